"""Putting a changed face back into its photo, at the photo's own resolution."""

import math

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from .face_alignment_tergan import invert_framing


FEATHER = 0.15  # share of the crop's side over which the change fades out towards the crop's border


def paste_crop(photo: Image.Image, framing: np.ndarray, crop: np.ndarray, feather: float = FEATHER) -> Image.Image:
    """
    The photo with its framed face replaced by a crop.

    Args:
        photo: RGB.
        framing: (2, 3) matrix, photo pixels to the unit square, that the crop belongs to.
        crop: (S, S, 3) in [0, 255].
        feather: 0 blends up to the crop's border: right where the crop is the whole photo.

    Returns:
        RGB photo of the same size; pixels outside the framed square are the same to the bit.
    """
    region = FramedRegion(photo, framing, crop.shape[0])
    if region.empty:
        return photo.copy()
    weight = region.fade(feather)
    return region.put_back(region.pixels + weight * (region.enlarge(crop) - region.pixels))


def paste_change(
    photo: Image.Image,
    framing: np.ndarray,
    residual: np.ndarray,
    flow: np.ndarray | None = None,
    feather: float = FEATHER,
) -> Image.Image:
    """
    The photo with a change applied to its framed face: its own pixels moved along the enlarged flow, and the enlarged
    residual added. The photo keeps its sharpness, and a change of nothing changes no pixel.

    Args:
        photo, framing, feather: as for `paste_crop`.
        residual: (S, S, 3), grey levels to add.
        flow: (S, S, 2), (x, y) offsets as shares of the crop's side, from where each pixel is fetched.

    Returns:
        RGB photo of the same size; pixels outside the framed square are the same to the bit.
    """
    region = FramedRegion(photo, framing, residual.shape[0])
    if region.empty:
        return photo.copy()
    weight = region.fade(feather)
    moved = region.pixels
    if flow is not None:
        offsets = weight * region.enlarge(flow) @ invert_framing(framing)[:, :2].T
        moved = region.fetch(offsets)
    return region.put_back(moved + weight * region.enlarge(residual))


class FramedRegion:
    """The part of a photo that a framed square touches, as float pixels, and the way between it and S×S crop maps."""

    def __init__(self, photo: Image.Image, framing: np.ndarray, size: int):
        corners = invert_framing(framing) @ np.array([[0, 1, 0, 1], [0, 0, 1, 1], [1, 1, 1, 1]], dtype=float)
        self.photo, self.size = photo, size
        self.left, self.top = (max(0, math.floor(value)) for value in corners.min(1))
        self.right = min(photo.width, math.ceil(corners[0].max()))
        self.bottom = min(photo.height, math.ceil(corners[1].max()))
        self.empty = self.right <= self.left or self.bottom <= self.top
        if not self.empty:
            origin = np.array([[0, 0, self.left], [0, 0, self.top]])
            self._to_crop = size * (framing + framing[:, :2] @ origin)
            box = (self.left, self.top, self.right, self.bottom)
            self.pixels = np.asarray(photo.crop(box)).astype(np.float32)

    def enlarge(self, crop_map: np.ndarray) -> np.ndarray:
        """(S, S, C) over the crop → (height, width, C) over the region, 0 outside the crop."""
        return np.stack([self._enlarge_channel(crop_map[..., channel]) for channel in range(crop_map.shape[-1])], -1)

    def _enlarge_channel(self, channel: np.ndarray) -> np.ndarray:
        side = (self.right - self.left, self.bottom - self.top)
        image = Image.fromarray(np.ascontiguousarray(channel, dtype=np.float32))
        return np.asarray(
            image.transform(side, Image.Transform.AFFINE, self._to_crop.ravel(), Image.Resampling.BICUBIC)
        )

    def fade(self, feather: float) -> np.ndarray:
        """(height, width, 1) weights: 1 inside the square, falling smoothly to 0 towards its border."""
        return np.clip(self.enlarge(border_fade(self.size, feather)[..., None]), 0, 1)

    def fetch(self, offsets: np.ndarray) -> np.ndarray:
        """The region's pixels looked up at (x, y) pixel offsets (height, width, 2), from the whole photo around it."""
        reach = math.ceil(float(np.abs(offsets).max())) + 2
        left, top = max(0, self.left - reach), max(0, self.top - reach)
        right, bottom = min(self.photo.width, self.right + reach), min(self.photo.height, self.bottom + reach)
        around = np.asarray(self.photo.crop((left, top, right, bottom))).astype(np.float32)
        height, width = self.pixels.shape[:2]
        x = np.arange(width) + 0.5 + self.left - left + offsets[..., 0]
        y = np.arange(height)[:, None] + 0.5 + self.top - top + offsets[..., 1]
        grid = np.stack([2 * x / (right - left) - 1, 2 * y / (bottom - top) - 1], axis=-1)
        fetched = F.grid_sample(
            torch.from_numpy(around).permute(2, 0, 1)[None], torch.from_numpy(grid.astype(np.float32))[None],
            mode="bicubic", padding_mode="border", align_corners=False,
        )  # fmt: skip
        still = (np.abs(offsets) < 1e-3).all(-1, keepdims=True)
        return np.where(still, self.pixels, fetched[0].permute(1, 2, 0).numpy())

    def put_back(self, pixels: np.ndarray) -> Image.Image:
        """The photo with the region's pixels replaced by these (height, width, 3), rounded to grey levels."""
        result = self.photo.copy()
        result.paste(Image.fromarray(np.uint8(np.rint(np.clip(pixels, 0, 255)))), (self.left, self.top))
        return result


def border_fade(size: int, feather: float) -> np.ndarray:
    """(size, size) weights: 1 inside, falling smoothly to 0 over the outer `feather` of the side; all 1 for 0."""
    position = (np.arange(size) + 0.5) / size
    ramp = np.clip(np.minimum(position, 1 - position) / feather, 0, 1) if feather else np.ones(size)
    ramp = ramp * ramp * (3 - 2 * ramp)
    return ramp[:, None] * ramp[None, :]
