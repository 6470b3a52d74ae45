"""Paste a changed face back into its photo, at the photo's own resolution."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from .face_alignment_tergan import invert_transform


class Fade(NamedTuple):
    """How a change fades at the border of its crop: full at `inside`, nothing at `outside`, as shares of the side."""

    inside: float
    outside: float


PAINT = Fade(0.1, 0.0)  # of pixels that are replaced or added
MOVEMENT = Fade(0.05, 0.15)  # of the flow: a jaw that opens leaves the crop
# Magnifications of the network's crop in the photo.
FINE_BELOW = 1.5  # below, painted pixels are enlarged by cubic interpolation: a linear one would blur them
CREASED_ABOVE = 2.5  # above, they are enlarged by cubic interpolation first: a linear one shows its creases
# Below, pixels are moved by linear interpolation, as in training, where the residual was learnt. Above, that blur
# would show, and they are moved by cubic interpolation.
SHARP_ABOVE = 2.0
STILL = 1e-3  # pixels; a pixel that moves less keeps its value to the bit
# Larger regions are pasted in horizontal strips of about this many pixels, each of which takes about 80 bytes.
STRIP_PIXELS = 2**21


def paste_crop(photo: Image.Image, crop_transform: np.ndarray, crop: np.ndarray, fades: bool = True) -> Image.Image:
    """
    Replace the face of a photo by a crop.

    Args:
        photo: RGB.
        crop_transform: (2, 3) matrix of the crop, photo pixels to the unit square.
        crop: (S, S, 3) in [0, 255].
        fades: blend towards the border of the crop; `False` if the crop is the whole photo.

    Returns:
        RGB photo of the same size. Pixels outside the crop are unchanged to the bit.
    """
    region = PhotoRegion(photo, crop_transform, crop.shape[0])
    enlarge, fade = region.enlarger(_to_planes(crop)), PAINT if fades else None

    def blend(strip: "Strip") -> torch.Tensor:
        return strip.pixels + strip.weight(fade) * (enlarge(strip) - strip.pixels)

    return region.replace(blend)


def paste_change(
    photo: Image.Image,
    crop_transform: np.ndarray,
    residual: np.ndarray,
    flow: np.ndarray | None = None,
    fades: bool = True,
) -> Image.Image:
    """
    Apply a change to the face of a photo: move its own pixels along the enlarged flow and add the enlarged residual.
    The photo keeps its sharpness, and an empty change changes no pixel.

    Args:
        photo, crop_transform, fades: as for `paste_crop`.
        residual: (S, S, 3), grey levels to add.
        flow: (S, S, 2), (x, y) offsets to where each pixel comes from, as shares of the crop's side.

    Returns:
        RGB photo of the same size. Pixels outside the crop are unchanged to the bit; with a flow, those outside the
        crop widened by `MOVEMENT.outside`.
    """
    moves = flow is not None
    region = PhotoRegion(photo, crop_transform, residual.shape[0], MOVEMENT.outside if moves and fades else 0.0)
    paint, movement = (PAINT, MOVEMENT) if fades else (None, None)
    if moves:
        residual = np.concatenate([residual, flow @ invert_transform(crop_transform)[:, :2].T], axis=2)
    enlarge = region.enlarger(_to_planes(residual))

    def apply(strip: "Strip") -> torch.Tensor:
        enlarged = enlarge(strip)
        pixels = strip.fetch(strip.weight(movement) * enlarged[3:]) if moves else strip.pixels
        return pixels + strip.weight(paint) * enlarged[:3]

    return region.replace(apply)


class PhotoRegion:
    """
    The part of a photo that a crop covers, and the mapping between it and maps over the S×S crop.

    Args:
        size: S. reach: how far the region extends around the crop, as a share of its side.
    """

    def __init__(self, photo: Image.Image, crop_transform: np.ndarray, size: int, reach: float = 0.0):
        low, high = -reach, 1 + reach
        corners = np.array([[low, high, low, high], [low, low, high, high], [1, 1, 1, 1]], dtype=float)
        corners = invert_transform(crop_transform) @ corners
        self.photo, self.size = photo, size
        self.magnification = 1 / (size * math.sqrt(abs(np.linalg.det(crop_transform[:, :2]))))
        self.left, self.top = (max(0, math.floor(value)) for value in corners.min(1))
        self.right = min(photo.width, math.ceil(corners[0].max()))
        self.bottom = min(photo.height, math.ceil(corners[1].max()))
        self.width, self.height = max(0, self.right - self.left), max(0, self.bottom - self.top)
        self.to_crop = crop_transform + crop_transform[:, :2] @ np.array([[0, 0, self.left], [0, 0, self.top]])

    def replace(self, new_pixels: Callable[["Strip"], torch.Tensor]) -> Image.Image:
        """
        Copy the photo and replace the region's pixels, strip by strip.

        Args:
            new_pixels: from a strip to its new pixels (3, height, width), which are rounded to grey levels.
        """
        result = self.photo.copy()
        if not self.width:
            return result
        strips = max(1, math.ceil(self.width * self.height / STRIP_PIXELS))
        rows = max(1, math.ceil(self.height / strips))
        for first in range(0, self.height, rows):
            strip = Strip(self, first, min(first + rows, self.height))
            levels = new_pixels(strip).clamp(0, 255).round().to(torch.uint8).permute(1, 2, 0).contiguous()
            result.paste(Image.fromarray(levels.numpy()), (self.left, strip.top))
        return result

    def enlarger(self, maps: torch.Tensor) -> Callable[["Strip"], torch.Tensor]:
        """A function that enlarges maps over the crop (C, S, S) to a strip, (C, height, width). Outside the crop they
        repeat the values at its border."""
        planes = maps[None]
        if self.magnification < FINE_BELOW:
            return lambda strip: _sample(planes, strip.grid, "bicubic")
        if math.sqrt(self.width * self.height) / self.size > CREASED_ABOVE:
            planes = F.interpolate(planes, scale_factor=2, mode="bicubic")
        return lambda strip: _sample(planes, strip.grid, "bilinear")


class Strip:
    """
    Whole rows of a region.

    Args:
        first, last: its rows in the region, without the last one.

    Attributes:
        pixels: (3, height, width) float, 0 to 255.
        grid: positions of the pixels in the crop, (height, width, 2), [-1, 1] over it.
    """

    def __init__(self, region: PhotoRegion, first: int, last: int):
        self.region = region
        self.top, self.bottom = region.top + first, region.top + last
        self.grid = self._positions(first, last)
        self.pixels = _pixels(region.photo, (region.left, self.top, region.right, self.bottom))
        self._from_middle = self.grid.abs().amax(2)

    def _positions(self, first: int, last: int) -> torch.Tensor:
        # On the CPU, as the photo, whatever the default device is.
        x = 2 * (torch.arange(self.region.width, dtype=torch.float32, device="cpu") + 0.5)
        y = 2 * (torch.arange(first, last, dtype=torch.float32, device="cpu") + 0.5)
        (a, b, c), (d, e, f) = self.region.to_crop.tolist()
        grid = torch.empty(last - first, self.region.width, 2, dtype=torch.float32, device="cpu")
        grid[..., 0] = a * x + (b * y + 2 * c - 1)[:, None]
        grid[..., 1] = d * x + (e * y + 2 * f - 1)[:, None]
        return grid

    def weight(self, fade: Fade | None) -> torch.Tensor:
        """Weights (1, height, width): 1 inside, falling smoothly to exactly 0 at the end of the fade. Without a fade
        they are 1 all over the crop."""
        if fade is None:
            return (self._from_middle <= 1).float()[None]
        # Shares of the side, which is 2 long here.
        ramp = ((1 + 2 * fade.outside - self._from_middle) / (2 * (fade.inside + fade.outside))).clamp(0, 1)
        return (ramp * ramp * (3 - 2 * ramp))[None]

    def fetch(self, offsets: torch.Tensor) -> torch.Tensor:
        """Look up the strip's pixels at (x, y) pixel offsets (2, height, width), also from the photo around it."""
        region, photo = self.region, self.region.photo
        # Rounded, so that the frames of a clip need memory of few different sizes.
        across, down = (16 * math.ceil((float(largest) + 2) / 16) for largest in offsets.abs().amax((1, 2)))
        if self.bottom - self.top == region.height:
            across = down = max(across, down)
        left, top = max(0, region.left - across), max(0, self.top - down)
        right, bottom = min(photo.width, region.right + across), min(photo.height, self.bottom + down)
        around = _pixels(photo, (left, top, right, bottom))[None]
        x = torch.arange(region.width, dtype=torch.float32, device="cpu") + 0.5 + region.left - left
        y = torch.arange(self.bottom - self.top, dtype=torch.float32, device="cpu")[:, None] + 0.5 + self.top - top
        grid = torch.stack([(x + offsets[0]) * 2 / (right - left) - 1, (y + offsets[1]) * 2 / (bottom - top) - 1], -1)
        still = (offsets.abs() < STILL).all(0)
        mode = "bicubic" if region.magnification > SHARP_ABOVE else "bilinear"
        return torch.where(still, self.pixels, _sample(around, grid, mode))


def _pixels(photo: Image.Image, box: tuple[int, int, int, int]) -> torch.Tensor:
    """(3, height, width) float, 0 to 255."""
    return torch.from_numpy(np.array(photo.crop(box))).permute(2, 0, 1).float().contiguous()


def _to_planes(crop_map: np.ndarray) -> torch.Tensor:
    """(S, S, C) → (C, S, S)."""
    return torch.from_numpy(np.ascontiguousarray(crop_map, dtype=np.float32)).permute(2, 0, 1)


def _sample(planes: torch.Tensor, grid: torch.Tensor, mode: str) -> torch.Tensor:
    """`grid_sample` of one image (1, C, h, w) at (H, W, 2) → (C, H, W). The rows of the grid are split into a batch,
    because only the images of a batch are sampled in parallel."""
    height, parts = len(grid), max(1, min(torch.get_num_threads(), len(grid)))
    rows = math.ceil(height / parts)
    dealt = F.pad(grid, (0, 0, 0, 0, 0, rows * parts - height)).unflatten(0, (parts, rows))
    sampled = F.grid_sample(
        planes.expand(parts, -1, -1, -1), dealt, mode=mode, padding_mode="border", align_corners=False
    )
    return sampled.transpose(0, 1).flatten(1, 2)[:, :height]
