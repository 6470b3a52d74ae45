"""What is learnt from real smiles before portraits are rendered, in one file."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..expressions.blendshapes import BLENDSHAPES
from .fitting import LandmarkCorrespondence
from .folds import SIDE
from .ict import FaceModel
from .teeth import MouthMaterials, TeethDonor, mouth_materials


SMILE = [BLENDSHAPES.index(f"mouthSmile{side}") for side in ("Left", "Right")]


@dataclass(frozen=True)
class Learnt:
    """
    Args:
        smile_shape: (skin, 2) cm by which a full smile differs from the model's, to the right and down.
        smile_folds: (SIDE, SIDE) change of log brightness in a full smile (`folds`).
        donors: inner mouths of real smiles.
        mouth: of the face model.
    """

    smile_shape: np.ndarray
    smile_folds: np.ndarray
    donors: tuple[TeethDonor, ...]
    mouth: MouthMaterials
    smile_indices: tuple[int, ...] = tuple(SMILE)

    @classmethod
    def nothing(cls, model: FaceModel) -> "Learnt":
        """Of no smiles at all."""
        return cls(
            np.zeros((model.skin, 2), np.float32), np.zeros((SIDE, SIDE), np.float32), (), mouth_materials(model)
        )


def save_learnt(path: Path, learnt: Learnt, correspondence: LandmarkCorrespondence):
    """Write both to an `.npz` file."""
    donors = learnt.donors
    with open(path, "wb") as file:
        np.savez_compressed(
            file, smile_shape=learnt.smile_shape, smile_folds=learnt.smile_folds,
            triangles=correspondence.triangles, weights=correspondence.weights, miss=correspondence.miss,
            pictures=np.array([donor.picture for donor in donors], np.uint8),
            contours=np.array([donor.contour for donor in donors], np.float32),
            whites=np.array([donor.white for donor in donors], np.float32),
            owners=np.array([donor.owner for donor in donors], str),
        )  # fmt: skip


def load_learnt(path: Path, model: FaceModel) -> tuple[Learnt, LandmarkCorrespondence]:
    """Read what `save_learnt` wrote."""
    with np.load(path) as stored:
        donors = tuple(
            TeethDonor(picture, contour, white, str(owner))
            for picture, contour, white, owner in zip(
                stored["pictures"], stored["contours"], stored["whites"], stored["owners"]
            )
        )
        learnt = Learnt(stored["smile_shape"], stored["smile_folds"], donors, mouth_materials(model))
        return learnt, LandmarkCorrespondence(stored["triangles"], stored["weights"], stored["miss"])
