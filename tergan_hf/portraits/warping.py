"""Image sampling, and membrane interpolation that extends flow from the face to the whole picture."""

import cv2
import numpy as np
from numba import njit


COARSEST_STEP = 8
SWEEPS_COARSE, SWEEPS_FINE, OVERRELAXATION = 150, 10, 1.8


@njit(cache=True)
def _relax(values, fixed, sweeps, factor):
    """Solve Laplace's equation in place on pixels that are not fixed: Gauss-Seidel sweeps with mirrored borders."""
    height, width, channels = values.shape
    for sweep in range(sweeps):
        for row in range(height):
            y = row if sweep % 2 == 0 else height - 1 - row
            up, down = max(y - 1, 0), min(y + 1, height - 1)
            for x in range(width):
                if not fixed[y, x]:
                    left, right = max(x - 1, 0), min(x + 1, width - 1)
                    for c in range(channels):
                        mean = 0.25 * (
                            values[up, x, c] + values[down, x, c] + values[y, left, c] + values[y, right, c]
                        )
                        values[y, x, c] += factor * (mean - values[y, x, c])


def interpolate_membrane(values: np.ndarray, known: np.ndarray, still: np.ndarray) -> np.ndarray:
    """
    Extend a field smoothly by membrane interpolation, from coarse to fine.

    Args:
        values: (S, S, C) float32. known: (S, S) bool, pixels with valid values.
        still: (S, S) bool, pixels where the field is 0. At the top and the sides it is 0 too.

    Returns:
        (S, S, C) float32.
    """
    size = len(values)
    side = size // COARSEST_STEP
    area = cv2.resize(known.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA)
    summed = cv2.resize(values * known[..., None], (side, side), interpolation=cv2.INTER_AREA)
    held = area > 0.5
    found = np.where(held[..., None], summed.reshape(side, side, -1) / np.maximum(area, 1e-6)[..., None], 0)
    zero = cv2.resize(still.astype(np.uint8), (side, side), interpolation=cv2.INTER_NEAREST) > 0
    zero[0] = zero[:, 0] = zero[:, -1] = True
    found[zero & ~held] = 0
    found = np.ascontiguousarray(found, np.float32)
    _relax(found, held | zero, SWEEPS_COARSE, OVERRELAXATION)
    step = COARSEST_STEP // 2
    while step >= 1:
        side = size // step
        found = cv2.resize(found, (side, side), interpolation=cv2.INTER_LINEAR).reshape(side, side, -1)
        at = slice(step // 2, None, step)
        held, zero = known[at, at], still[at, at]
        found[held] = values[at, at][held]
        found[zero & ~held] = 0
        _relax(found, held | zero, SWEEPS_FINE, 1.0)
        step //= 2
    return found


def pixel_grid(size: int) -> np.ndarray:
    """(S, S, 2) float32 pixel centres, x and y."""
    at = np.arange(size, dtype=np.float32) + 0.5
    return np.stack(np.meshgrid(at, at), 2)


def sample(picture: np.ndarray, places: np.ndarray, interpolation: int = cv2.INTER_CUBIC) -> np.ndarray:
    """Sample a picture at (…, 2) positions in pixels. Pixel centres are at .5, and the edge repeats."""
    return cv2.remap(
        picture, np.ascontiguousarray(places[..., 0] - 0.5), np.ascontiguousarray(places[..., 1] - 0.5),
        interpolation, borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip


def distance_from_top(mask: np.ndarray) -> np.ndarray:
    """(h, w) float32 length in pixels of the unbroken run of the mask from each pixel upwards."""
    run = np.zeros(mask.shape, np.float32)
    count = np.zeros(mask.shape[1], np.float32)
    for row in range(len(mask)):
        count = (count + 1) * mask[row]
        run[row] = count
    return run
