"""Prior knowledge from photos of real smiles, and its file."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..expressions.blendshapes import BLENDSHAPES
from ..model.atomic_file_tergan import write_whole
from .face_model import FaceModel
from .fitting import LandmarkCorrespondence
from .mouth_materials import MouthMaterials, mouth_materials
from .teeth_donors import TeethDonor
from .wrinkles import SIDE


SMILE = [BLENDSHAPES.index(f"mouthSmile{side}") for side in ("Left", "Right")]


@dataclass(frozen=True)
class SmilePrior:
    """
    Statistics and teeth of real smiles.

    Args:
        smile_shape: (skin, 2) cm, correction of the model's full smile, to the right and down.
        smile_wrinkles: (SIDE, SIDE) change of log brightness in a full smile (`wrinkles`).
        donors: inner mouths of real smiles.
        mouth: materials of the model's mouth.
    """

    smile_shape: np.ndarray
    smile_wrinkles: np.ndarray
    donors: tuple[TeethDonor, ...]
    mouth: MouthMaterials

    @classmethod
    def empty(cls, model: FaceModel) -> "SmilePrior":
        """A prior without data: no correction, wrinkles or donors."""
        return cls(
            np.zeros((model.skin, 2), np.float32), np.zeros((SIDE, SIDE), np.float32), (), mouth_materials(model)
        )


def save_smile_prior(path: Path, prior: SmilePrior, correspondence: LandmarkCorrespondence):
    """Write the prior and the correspondence to an `.npz` file."""
    donors, content = prior.donors, io.BytesIO()
    np.savez_compressed(
        content, smile_shape=prior.smile_shape, smile_wrinkles=prior.smile_wrinkles,
        triangles=correspondence.triangles, weights=correspondence.weights, distance=correspondence.distance,
        pictures=np.array([donor.picture for donor in donors], np.uint8),
        contours=np.array([donor.contour for donor in donors], np.float32),
        tooth_colours=np.array([donor.tooth_colour for donor in donors], np.float32),
        owners=np.array([donor.owner for donor in donors], str),
    )  # fmt: skip
    write_whole(path, content.getvalue())


def load_smile_prior(path: Path, model: FaceModel) -> tuple[SmilePrior, LandmarkCorrespondence]:
    """Read a file of `save_smile_prior`."""
    with np.load(path) as stored:
        donors = tuple(
            TeethDonor(picture, contour, white, str(owner))
            for picture, contour, white, owner in zip(
                stored["pictures"], stored["contours"], stored["tooth_colours"], stored["owners"]
            )
        )
        prior = SmilePrior(stored["smile_shape"], stored["smile_wrinkles"], donors, mouth_materials(model))
        return prior, LandmarkCorrespondence(stored["triangles"], stored["weights"], stored["distance"])
