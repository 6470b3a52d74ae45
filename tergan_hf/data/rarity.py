"""How rare the expressions of rendered photos are."""

import numpy as np

from ..expressions.blendshapes import LEAST_DEVIATION, moments
from ..expressions.side_components import to_side_components
from .photo_set import PhotoSet


BOUNDS = 4.0, 64.0  # of the weights before `balance`


def rarity_weights(photos: PhotoSet, balance: float) -> np.ndarray | None:
    """
    Compute how often to draw each photo of a set, so that winks, puckers and wide open jaws are not drowned out.

    The weight of a photo is max_k ((c_k − mean_k) / std_k)², within `BOUNDS`, to the power of `balance`. The c_k are
    its `side_components`, mean and deviation are those of the set.

    Args:
        balance: 0 draws every photo equally often.

    Returns:
        (N,), or `None` if all photos weigh the same: photographs, whose blendshapes are not exact, sets without
        blendshapes, and a `balance` of 0.
    """
    if not balance or photos.blendshapes is None or photos.are_photographs:
        return None
    components = to_side_components(photos.blendshapes)
    means, deviations = moments(components)
    moving = deviations > LEAST_DEVIATION
    distances = (components - means)[:, moving] / deviations[moving]
    return np.nan_to_num(distances**2).max(1, initial=0).clip(*BOUNDS) ** balance


class RowChoice:
    """
    Draw one of some rows of a set.

    Args:
        weights: (N,) of all rows of the set. Default: every row equally often.
    """

    def __init__(self, weights: np.ndarray | None):
        self.weights = weights

    def __call__(self, random: np.random.Generator, rows: np.ndarray) -> int:
        """One of `rows`, numbers of rows."""
        if self.weights is None:
            return random.choice(rows)
        sums = self.weights[rows].cumsum()
        return rows[np.searchsorted(sums, random.random() * sums[-1], side="right")]
