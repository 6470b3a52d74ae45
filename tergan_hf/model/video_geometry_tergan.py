"""Apply pixel aspects and display matrices, and fit frames into one size."""

import math
import struct

from PIL import Image, ImageOps


# Anamorphic video stays below 4:1. Larger ratios are mistakes, or made to exhaust memory.
LARGEST_ASPECT = 8
RIGHT_ANGLE_TOLERANCE = 0.02  # radians
# (axes swapped, x axis mirrored, y axis mirrored) → PIL's operation.
ORIENTATIONS = {
    (False, False, False): None,
    (False, True, False): Image.Transpose.FLIP_LEFT_RIGHT,
    (False, False, True): Image.Transpose.FLIP_TOP_BOTTOM,
    (False, True, True): Image.Transpose.ROTATE_180,
    (True, False, False): Image.Transpose.TRANSPOSE,
    (True, True, False): Image.Transpose.ROTATE_270,
    (True, False, True): Image.Transpose.ROTATE_90,
    (True, True, True): Image.Transpose.TRANSVERSE,
}


def shown_size(size: tuple[int, int], pixel_aspect) -> tuple[int, int]:
    """Width and height in square pixels; `pixel_aspect` is the width of a stored pixel over its height, or `None`."""
    width, height = size
    if not pixel_aspect or not 1 / LARGEST_ASPECT <= pixel_aspect <= LARGEST_ASPECT:
        return size
    return max(1, round(width * pixel_aspect)), height


def display_matrix(frame) -> tuple[float, float, float, float] | None:
    """
    The 2×2 part of a frame's display matrix, in the form (a, b, c, d): the stored pixel (x, y) is shown at
    (a·x + c·y, b·x + d·y), with y downwards.

    Args:
        frame: PyAV's `VideoFrame`.
    """
    try:
        a, b, _, c, d = struct.unpack("=9i", bytes(frame.side_data["DISPLAYMATRIX"]))[:5]
    except (KeyError, struct.error):
        return None
    except ValueError:  # side data of a kind that PyAV does not know
        angle = math.radians(frame.rotation)
        return math.cos(angle), -math.sin(angle), math.sin(angle), math.cos(angle)
    return a / 65536, b / 65536, c / 65536, d / 65536


def orient(image: Image.Image, matrix: tuple[float, float, float, float] | None) -> Image.Image:
    """Turn and mirror an image as a display matrix says. Its scale is left out: the pixel aspect has it."""
    if matrix is None:
        return image
    a, b, c, d = matrix
    if not all(map(math.isfinite, matrix)) or abs(a * d - b * c) < 1e-6:
        return image
    angle = math.atan2(b, a)  # of the shown x axis, clockwise
    quarter = round(angle / (math.pi / 2))
    if abs(angle - quarter * math.pi / 2) <= RIGHT_ANGLE_TOLERANCE:
        swapped = quarter % 2 == 1
        across, down = (c, b) if swapped else (a, d)
        turn = ORIENTATIONS[swapped, across < 0, down < 0]
        return image if turn is None else image.transpose(turn)
    if a * d - b * c < 0:
        image = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    return image.rotate(-math.degrees(angle), Image.Resampling.BILINEAR, expand=True)


def fit(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Fit an image into a size without stretching or cutting it; the rest is black."""
    return image if image.size == size else ImageOps.pad(image, size, Image.Resampling.BILINEAR)


__all__ = ["display_matrix", "fit", "orient", "shown_size"]
