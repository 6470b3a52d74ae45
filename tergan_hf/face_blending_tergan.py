"""Putting a changed face crop back into its photo."""

import math

import numpy as np
from PIL import Image

from .face_alignment_tergan import invert_framing


FEATHER = 0.15  # share of the crop's side over which the change fades out towards the crop's border


def paste_face(
    photo: Image.Image,
    crop: np.ndarray,
    framing: np.ndarray,
    original_crop: np.ndarray | None = None,
    feather: float = FEATHER,
) -> Image.Image:
    """
    Return the photo with its framed face replaced by a crop.

    With `original_crop`, what differs between the two crops is enlarged and added to the photo, so that the photo
    keeps its own sharpness and an unchanged crop changes no pixel. Without it, the crop's pixels replace the photo's.

    Args:
        photo: RGB.
        crop: (S, S, 3) in [0, 255].
        framing: (2, 3) matrix, photo pixels to the unit square, that the crop was cut out with.
        original_crop: (S, S, 3) in [0, 255], the crop before the change.
        feather: 0 blends up to the crop's border: right where the crop is the whole photo.

    Returns:
        RGB photo of the same size; pixels outside the framed square are the same to the bit.
    """
    size = crop.shape[0]
    corners = invert_framing(framing) @ np.array([[0, 1, 0, 1], [0, 0, 1, 1], [1, 1, 1, 1]], dtype=float)
    left, top = (max(0, math.floor(value)) for value in corners.min(1))
    right = min(photo.width, math.ceil(corners[0].max()))
    bottom = min(photo.height, math.ceil(corners[1].max()))
    if right <= left or bottom <= top:
        return photo.copy()
    to_crop = size * (framing + framing[:, :2] @ np.array([[0, 0, left], [0, 0, top]]))

    def enlarge(channel: np.ndarray) -> np.ndarray:
        return np.asarray(
            Image.fromarray(channel.astype(np.float32)).transform(
                (right - left, bottom - top), Image.Transform.AFFINE, to_crop.ravel(), Image.Resampling.BICUBIC
            )
        )

    region = np.asarray(photo.crop((left, top, right, bottom))).astype(np.float32)
    weight = np.clip(enlarge(border_fade(size, feather)), 0, 1) if feather else 1.0
    for channel in range(3):
        before = region[..., channel]
        if original_crop is None:
            change = enlarge(crop[..., channel]) - before
        else:
            change = enlarge(crop[..., channel] - original_crop[..., channel])
        region[..., channel] = before + weight * change
    blended = photo.copy()
    blended.paste(Image.fromarray(np.uint8(np.rint(np.clip(region, 0, 255)))), (left, top))
    return blended


def border_fade(size: int, feather: float) -> np.ndarray:
    """(size, size) weights: 1 inside, falling smoothly to 0 over the outer `feather` of the side."""
    position = (np.arange(size) + 0.5) / size
    ramp = np.clip(np.minimum(position, 1 - position) / feather, 0, 1) if feather else np.ones(size)
    ramp = ramp * ramp * (3 - 2 * ramp)
    return ramp[:, None] * ramp[None, :]
