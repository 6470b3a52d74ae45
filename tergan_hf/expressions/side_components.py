"""Blendshapes as means and differences of both sides.

Both sides of a face nearly always move alike. A loss on each side alone hardly notices a wink that is read as half a
blink of both eyes; a loss on the differences, each divided by its own deviation, does.
"""

from typing import TypeVar

import numpy as np
import torch

from ..model.blendshapes_tergan import other_side
from .blendshapes import COLUMN_NAMES


Values = TypeVar("Values", np.ndarray, torch.Tensor)

LEFT = [number for number, name in enumerate(COLUMN_NAMES) if name.endswith("Left")]
RIGHT = [COLUMN_NAMES.index(other_side(COLUMN_NAMES[number])) for number in LEFT]


def to_side_components(values: Values) -> Values:
    """(N, 53) blendshapes in the order of `COLUMN_NAMES` → (N, 53): in the place of a left side the mean of both
    sides, in that of a right side left − right. Names without a side stay, and NaN stays NaN."""
    left, right = values[:, LEFT], values[:, RIGHT]
    return _replace(values, (left + right) / 2, left - right)


def from_side_components(components: Values) -> Values:
    """The inverse of `to_side_components`."""
    mean, difference = components[:, LEFT], components[:, RIGHT]
    return _replace(components, mean + difference / 2, mean - difference / 2)


def _replace(values: Values, left: Values, right: Values) -> Values:
    replaced = values.copy() if isinstance(values, np.ndarray) else values.clone()
    replaced[:, LEFT], replaced[:, RIGHT] = left, right
    return replaced
