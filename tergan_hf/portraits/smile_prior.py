"""What is prior from real smiles before portraits are rendered, in one file."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..expressions.blendshapes import BLENDSHAPES
from .face_model import FaceModel
from .fitting import LandmarkCorrespondence
from .mouth_materials import MouthMaterials, mouth_materials
from .teeth_donors import TeethDonor
from .wrinkles import SIDE


SMILE = [BLENDSHAPES.index(f"mouthSmile{side}") for side in ("Left", "Right")]


@dataclass(frozen=True)
class SmilePrior:
    """
    Args:
        smile_shape: (skin, 2) cm by which a full smile differs from the model's, to the right and down.
        smile_wrinkles: (SIDE, SIDE) change of log brightness in a full smile (`folds`).
        donors: inner mouths of real smiles.
        mouth: of the face model.
    """

    smile_shape: np.ndarray
    smile_wrinkles: np.ndarray
    donors: tuple[TeethDonor, ...]
    mouth: MouthMaterials
    smile_indices: tuple[int, ...] = tuple(SMILE)

    @classmethod
    def empty(cls, model: FaceModel) -> "SmilePrior":
        """Of no smiles at all."""
        return cls(
            np.zeros((model.skin, 2), np.float32), np.zeros((SIDE, SIDE), np.float32), (), mouth_materials(model)
        )


def save_smile_prior(path: Path, prior: SmilePrior, correspondence: LandmarkCorrespondence):
    """Write both to an `.npz` file."""
    donors = prior.donors
    with open(path, "wb") as file:
        np.savez_compressed(
            file, smile_shape=prior.smile_shape, smile_wrinkles=prior.smile_wrinkles,
            triangles=correspondence.triangles, weights=correspondence.weights, distance=correspondence.distance,
            pictures=np.array([donor.picture for donor in donors], np.uint8),
            contours=np.array([donor.contour for donor in donors], np.float32),
            tooth_colours=np.array([donor.tooth_colour for donor in donors], np.float32),
            owners=np.array([donor.owner for donor in donors], str),
        )  # fmt: skip


def load_smile_prior(path: Path, model: FaceModel) -> tuple[SmilePrior, LandmarkCorrespondence]:
    """Read what `save_smile_prior` wrote."""
    with np.load(path) as stored:
        donors = tuple(
            TeethDonor(picture, contour, white, str(owner))
            for picture, contour, white, owner in zip(
                stored["pictures"], stored["contours"], stored["tooth_colours"], stored["owners"]
            )
        )
        prior = SmilePrior(stored["smile_shape"], stored["smile_wrinkles"], donors, mouth_materials(model))
        return prior, LandmarkCorrespondence(stored["triangles"], stored["weights"], stored["distance"])
