"""Face alignment: landmarks → crop transform → aligned crop.

A crop transform is a 2×3 matrix that maps photo pixels (x, y) to crop coordinates, in which the crop is the unit
square.
"""

import math

import numpy as np
from PIL import Image

from .errors_tergan import InvalidInputError
from .image_loading_tergan import without_pixel_limit


# Eye centres, nose tip and mouth corners in the crop, in MTCNN's order. The crop is wider than FER2013's and tighter
# than a portrait.
TEMPLATE = np.array([[0.32, 0.335], [0.68, 0.335], [0.50, 0.555], [0.35, 0.735], [0.65, 0.735]])
# Mouth and nose move with the expression, so they count little. Without them the size of a face that is turned to the
# side would be read from the distance of its eyes alone.
TEMPLATE_WEIGHTS = np.array([1.0, 1.0, 0.1, 0.05, 0.05])


def fit_crop_transform(landmarks: np.ndarray) -> np.ndarray:
    """
    Fit the weighted least-squares similarity (rotation, uniform scale, translation; no reflection) from five landmarks
    to `TEMPLATE` (Umeyama 1991, in closed form for two dimensions).

    Args:
        landmarks: (5, 2) photo pixels: left eye, right eye, nose, left and right mouth corner.

    Returns:
        (2, 3) crop transform.

    Raises:
        InvalidInputError: the landmarks are not (5, 2) finite numbers, or coincide.
    """
    points = np.asarray(landmarks, dtype=float)
    if points.shape != (5, 2) or not np.isfinite(points).all():
        raise InvalidInputError(f"landmarks must be five finite (x, y) points, got {points.shape}")
    weights = TEMPLATE_WEIGHTS[:, None] / TEMPLATE_WEIGHTS.sum()
    points_mean, template_mean = (weights * points).sum(0), (weights * TEMPLATE).sum(0)
    p, t = points - points_mean, TEMPLATE - template_mean
    spread = (weights * p * p).sum()
    if spread < 1e-6:
        raise InvalidInputError("the landmarks coincide: no face size can be read from them")
    a = (weights * p * t).sum() / spread
    b = (weights[:, 0] * (p[:, 0] * t[:, 1] - p[:, 1] * t[:, 0])).sum() / spread
    linear = np.array([[a, -b], [b, a]])
    return np.hstack([linear, (template_mean - linear @ points_mean)[:, None]])


def whole_image_transform(width: int, height: int) -> np.ndarray:
    """The crop transform of an image that already is an aligned crop: its corners go to those of the unit square."""
    return np.array([[1 / width, 0.0, 0.0], [0.0, 1 / height, 0.0]])


def invert_transform(crop_transform: np.ndarray) -> np.ndarray:
    """Invert a crop transform: a (2, 3) matrix from crop coordinates to photo pixels."""
    return np.linalg.inv(np.vstack([crop_transform, [0.0, 0.0, 1.0]]))[:2]


def compose_transforms(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The (2, 3) matrix that applies `first`, then `second`."""
    row = [0.0, 0.0, 1.0]
    return (np.vstack([second, row]) @ np.vstack([first, row]))[:2]


def zoom_out(crop_transform: np.ndarray, margin: float) -> np.ndarray:
    """The crop transform of a square `margin` times as large about the same centre."""
    offset = (1 - 1 / margin) / 2
    return compose_transforms(np.array([[1 / margin, 0, offset], [0, 1 / margin, offset]]), crop_transform)


def crop_face(image: Image.Image, crop_transform: np.ndarray, size: int) -> Image.Image:
    """
    Crop a face. Outside the photo its edge repeats.

    If the crop is coarser than the photo, the photo is reduced first, so that nothing aliases. Only the cropped part
    is touched, so the work does not grow with the photo.

    Args:
        image: RGB photo.
        crop_transform: (2, 3) matrix, photo pixels to the unit square.
        size: side of the crop in pixels.

    Returns:
        RGB image of size×size.
    """
    to_photo = invert_transform(crop_transform)
    corners = to_photo @ np.array([[0, 1, 0, 1], [0, 0, 1, 1], [1, 1, 1, 1]], dtype=float)
    pixels_per_crop_pixel = math.sqrt(abs(np.linalg.det(to_photo[:, :2]))) / size
    border = math.ceil(2 * max(1.0, pixels_per_crop_pixel)) + 1
    left, top = np.floor(corners.min(1)).astype(int) - border
    right, bottom = np.ceil(corners.max(1)).astype(int) + border
    patch = _patch_with_repeated_edges(image, left, top, right, bottom)
    to_patch = to_photo - np.array([[0, 0, left], [0, 0, top]])
    if pixels_per_crop_pixel > 1:
        reduced = (
            max(1, round(patch.width / pixels_per_crop_pixel)),
            max(1, round(patch.height / pixels_per_crop_pixel)),
        )
        scale = np.array([[reduced[0] / patch.width], [reduced[1] / patch.height]])
        patch, to_patch = patch.resize(reduced, Image.Resampling.BILINEAR), to_patch * scale
    to_patch = to_patch @ np.diag([1 / size, 1 / size, 1.0])
    return patch.transform((size, size), Image.Transform.AFFINE, to_patch.ravel(), Image.Resampling.BILINEAR)


def _crop(image: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    left, top, right, bottom = box
    limit = Image.MAX_IMAGE_PIXELS  # `None` while another thread lifts it
    if limit is not None and (right - left) * (bottom - top) <= limit:
        return image.crop(box)
    with without_pixel_limit():  # a face may fill a large photo
        return image.crop(box)


def _patch_with_repeated_edges(image: Image.Image, left: int, top: int, right: int, bottom: int) -> Image.Image:
    if left >= 0 and top >= 0 and right <= image.width and bottom <= image.height:
        return _crop(image, (left, top, right, bottom))
    inside = (
        min(max(left, 0), image.width - 1),
        min(max(top, 0), image.height - 1),
        max(min(right, image.width), 1),
        max(min(bottom, image.height), 1),
    )
    inside = (*inside[:2], max(inside[2], inside[0] + 1), max(inside[3], inside[1] + 1))
    pixels = np.asarray(_crop(image, inside))
    columns = np.clip(np.arange(left, right) - inside[0], 0, pixels.shape[1] - 1)
    rows = np.clip(np.arange(top, bottom) - inside[1], 0, pixels.shape[0] - 1)
    return Image.fromarray(pixels[rows[:, None], columns[None, :]])
