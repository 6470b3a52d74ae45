"""The points of a photo that the neutral photo of its session does not show."""

import numpy as np


TOLERANCE = 0.0015  # metres


def nearest_around(depth: np.ndarray) -> np.ndarray:
    """The smallest nearness of each point (S, S) and its eight neighbours, so that edges hide nothing beside them."""
    padded = np.pad(depth, 1, mode="edge")
    side = len(depth)
    shifted = [padded[y : y + side, x : x + side] for y in range(3) for x in range(3)]
    return np.minimum.reduce(shifted)


def find_uncovered(
    rest: np.ndarray, covered: np.ndarray, neutral_depth: np.ndarray, neutral_covered: np.ndarray, factor: int
) -> np.ndarray:
    """
    Find the points that the neutral photo does not show.

    Args:
        rest: (S·factor, S·factor, 3) position of the visible point in the neutral photo, in points, and its nearness.
        covered: (S·factor, S·factor) bool: the person is visible here, not the background.
        neutral_depth: (S·factor, S·factor) nearness of the neutral person, from `nearest_around`.
        neutral_covered: as `covered`, for the neutral photo.
        factor: supersampling factor.

    Returns:
        (S, S) bool. True where the surface is hidden or out of the picture in the neutral photo, and where the
        background was behind the person.
    """
    picked = slice(factor // 2, None, factor)
    rest, covered, neutral_covered = rest[picked, picked], covered[picked, picked], neutral_covered[picked, picked]
    at = np.floor(np.nan_to_num(rest[..., :2], nan=0.0)).astype(int)
    side = len(neutral_depth)
    outside = ((at < 0) | (at >= side)).any(2)
    at = np.clip(at, 0, side - 1)
    hidden = neutral_depth[at[..., 1], at[..., 0]] > rest[..., 2] + TOLERANCE
    return np.where(covered, hidden | outside, neutral_covered)
