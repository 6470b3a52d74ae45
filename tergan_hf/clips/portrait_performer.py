"""A portrait as a performer."""

import numpy as np

from ..expressions.blendshapes import BLENDSHAPES
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
