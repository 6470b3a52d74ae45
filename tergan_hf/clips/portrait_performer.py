"""A portrait as a performer."""

from dataclasses import dataclass

import cv2
import numpy as np

from ..expressions.blendshapes import BLENDSHAPES
from ..portraits.assets import PortraitAssets, fit_portrait
from ..portraits.people import PortraitPerson
from ..portraits.portrait import Portrait
from ..portraits.rendering import Session, View


class PortraitPerformer:
    """
    A `Performer` made from a photo.

    Args:
        portrait: the fitted photo, with the size and margin of the clip.
    """

    def __init__(self, portrait: Portrait):
        self.portrait = portrait
        self._still = Session(portrait)

    def possible(self, vector: np.ndarray) -> np.ndarray:
        """The vector without the brows, if spectacles keep them still."""
        weights, gaze = np.split(vector, [len(BLENDSHAPES)])
        return np.concatenate([self.portrait.renderable(weights), gaze])

    def render(self, vector: np.ndarray, yaw: float, pitch: float) -> np.ndarray:
        """(size, size, 3) uint8, the portrait in an expression and view. The eyeLook blendshapes hold the gaze."""
        session = Session(self.portrait, View(yaw, pitch)) if yaw or pitch else self._still
        return session.render(vector[: len(BLENDSHAPES)]).image


@dataclass(frozen=True)
class PortraitLoader:
    """
    A `PerformerLoader` for a person with a photo.

    Args:
        person: with the photo. assets: face model, landmarker and smile prior.
        size: side of the frames in pixels. margin: side / side of the aligned face.
        seed: of the set.
    """

    person: PortraitPerson
    assets: PortraitAssets
    size: int
    margin: float
    seed: int

    @property
    def identity(self) -> str:
        """The person's name."""
        return self.person.identity

    @property
    def file_name(self) -> str:
        """Path of the photo in its source."""
        return self.person.file_name

    def load(self) -> PortraitPerformer | None:
        """Fit the face model to the photo. None without a face or without a plausible fit."""
        cv2.setNumThreads(1)
        portrait = fit_portrait(self.person, self.assets, self.size, self.margin, self.seed)
        return None if portrait is None else PortraitPerformer(portrait)
