"""Putting a changed face back into its photo, at the photo's own resolution."""

import math
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from .face_alignment_tergan import invert_transform


class Fade(NamedTuple):
    """How a change ends at the border of its crop: from full inside to nothing outside, as shares of the side."""

    inside: float
    outside: float


PAINT = Fade(0.1, 0.0)  # what replaces or is added to the photo's pixels
MOVEMENT = Fade(0.05, 0.15)  # a jaw that opens leaves the crop
# Times the photo is larger than the network's crop: below, linear interpolation would blur what the network painted.
FINE_BELOW = 1.5
CREASED_ABOVE = 2.5  # times enlarged: beyond, linear interpolation shows, and a cubic one goes before it
# Times the photo is larger than the network's crop: below, pixels are moved by linear interpolation, as they were when
# the residual was learnt that goes with it; above, where that would be seen to blur, by a cubic one.
SHARP_ABOVE = 2.0
STILL = 1e-3  # pixels; what moves less keeps its value to the bit


def paste_crop(photo: Image.Image, crop_transform: np.ndarray, crop: np.ndarray, fades: bool = True) -> Image.Image:
    """
    The photo with its cropped face replaced by a crop.

    Args:
        photo: RGB.
        crop_transform: (2, 3) matrix, photo pixels to the unit square, that the crop belongs to.
        crop: (S, S, 3) in [0, 255].
        fades: blend towards the crop's border; not where the crop is the whole photo.

    Returns:
        RGB photo of the same size; pixels outside the cropped square are the same to the bit.
    """
    region = PhotoRegion(photo, crop_transform, crop.shape[0])
    if region.empty:
        return photo.copy()
    enlarged = region.enlarge(_to_planes(crop))
    weight = region.weight(PAINT if fades else None)
    return region.put_back(region.pixels + weight * (enlarged - region.pixels))


def paste_change(
    photo: Image.Image,
    crop_transform: np.ndarray,
    residual: np.ndarray,
    flow: np.ndarray | None = None,
    fades: bool = True,
) -> Image.Image:
    """
    The photo with a change applied to its cropped face: its own pixels moved along the enlarged flow, and the enlarged
    residual added. The photo keeps its sharpness, and a change of nothing changes no pixel.

    Args:
        photo, crop_transform, fades: as for `paste_crop`.
        residual: (S, S, 3), grey levels to add.
        flow: (S, S, 2), (x, y) offsets as shares of the crop's side, from where each pixel is fetched.

    Returns:
        RGB photo of the same size; pixels outside the cropped square are the same to the bit where there is no flow,
        with one those outside the square with `MOVEMENT.outside` around it.
    """
    moves = flow is not None
    region = PhotoRegion(photo, crop_transform, residual.shape[0], MOVEMENT.outside if moves and fades else 0.0)
    if region.empty:
        return photo.copy()
    weight = region.weight(PAINT if fades else None)
    if not moves:
        return region.put_back(region.pixels + weight * region.enlarge(_to_planes(residual)))
    pixel_flow = flow @ invert_transform(crop_transform)[:, :2].T
    enlarged = region.enlarge(_to_planes(np.concatenate([residual, pixel_flow], axis=2)))
    moved = region.fetch(region.weight(MOVEMENT if fades else None) * enlarged[3:])
    return region.put_back(moved + weight * enlarged[:3])


class PhotoRegion:
    """The part of a photo that a cropped square touches, with `reach` (a share of its side) around it, as float pixels
    (3, height, width), and the way between it and maps over the square's S×S crop."""

    def __init__(self, photo: Image.Image, crop_transform: np.ndarray, size: int, reach: float = 0.0):
        low, high = -reach, 1 + reach
        corners = np.array([[low, high, low, high], [low, low, high, high], [1, 1, 1, 1]], dtype=float)
        corners = invert_transform(crop_transform) @ corners
        self.photo, self.size = photo, size
        self.magnification = 1 / (size * math.sqrt(abs(np.linalg.det(crop_transform[:, :2]))))
        self.left, self.top = (max(0, math.floor(value)) for value in corners.min(1))
        self.right = min(photo.width, math.ceil(corners[0].max()))
        self.bottom = min(photo.height, math.ceil(corners[1].max()))
        self.width, self.height = self.right - self.left, self.bottom - self.top
        self.empty = self.width <= 0 or self.height <= 0
        if not self.empty:
            origin = np.array([[0, 0, self.left], [0, 0, self.top]])
            self._grid = self._positions(crop_transform + crop_transform[:, :2] @ origin)
            self._from_middle = self._grid.abs().amax(2)
            self.pixels = _pixels(photo, (self.left, self.top, self.right, self.bottom))

    def _positions(self, to_crop: np.ndarray) -> torch.Tensor:
        """Where the region's pixels are in the crop, (height, width, 2), [-1, 1] over it."""
        x = 2 * (torch.arange(self.width) + 0.5)
        y = 2 * (torch.arange(self.height) + 0.5)
        (a, b, c), (d, e, f) = to_crop.tolist()
        grid = torch.empty(self.height, self.width, 2)
        grid[..., 0] = a * x + (b * y + 2 * c - 1)[:, None]
        grid[..., 1] = d * x + (e * y + 2 * f - 1)[:, None]
        return grid

    def enlarge(self, maps: torch.Tensor) -> torch.Tensor:
        """(C, S, S) maps over the crop → (C, height, width); around it they keep the values of its border."""
        planes = maps[None]
        if self.magnification < FINE_BELOW:
            return _sample(planes, self._grid, "bicubic")
        if math.sqrt(self.width * self.height) / self.size > CREASED_ABOVE:
            planes = F.interpolate(planes, scale_factor=2, mode="bicubic")
        return _sample(planes, self._grid, "bilinear")

    def weight(self, fade: Fade | None) -> torch.Tensor:
        """(1, height, width): 1 inside, falling smoothly to exactly 0 where the fade ends. Without one, 1 all over the
        crop."""
        if fade is None:
            return (self._from_middle <= 1).float()[None]
        # Shares of the side, which is 2 long here.
        ramp = ((1 + 2 * fade.outside - self._from_middle) / (2 * (fade.inside + fade.outside))).clamp(0, 1)
        return (ramp * ramp * (3 - 2 * ramp))[None]

    def fetch(self, offsets: torch.Tensor) -> torch.Tensor:
        """The region's pixels looked up at (x, y) pixel offsets (2, height, width), from the whole photo around it."""
        # In steps, so that the frames of a clip need memory of the same few sizes.
        reach = 16 * math.ceil((float(offsets.abs().max()) + 2) / 16)
        left, top = max(0, self.left - reach), max(0, self.top - reach)
        right, bottom = min(self.photo.width, self.right + reach), min(self.photo.height, self.bottom + reach)
        around = _pixels(self.photo, (left, top, right, bottom))[None]
        x = torch.arange(self.width) + 0.5 + self.left - left
        y = torch.arange(self.height)[:, None] + 0.5 + self.top - top
        grid = torch.stack([(x + offsets[0]) * 2 / (right - left) - 1, (y + offsets[1]) * 2 / (bottom - top) - 1], -1)
        still = (offsets.abs() < STILL).all(0)
        mode = "bicubic" if self.magnification > SHARP_ABOVE else "bilinear"
        return torch.where(still, self.pixels, _sample(around, grid, mode))

    def put_back(self, pixels: torch.Tensor) -> Image.Image:
        """The photo with the region's pixels replaced by these (3, height, width), rounded to grey levels."""
        result = self.photo.copy()
        levels = pixels.clamp(0, 255).round().to(torch.uint8).permute(1, 2, 0).contiguous()
        result.paste(Image.fromarray(levels.numpy()), (self.left, self.top))
        return result


def _pixels(photo: Image.Image, box: tuple[int, int, int, int]) -> torch.Tensor:
    """(3, height, width) float, 0 to 255."""
    return torch.from_numpy(np.array(photo.crop(box))).permute(2, 0, 1).float().contiguous()


def _to_planes(crop_map: np.ndarray) -> torch.Tensor:
    """(S, S, C) → (C, S, S)."""
    return torch.from_numpy(np.ascontiguousarray(crop_map, dtype=np.float32)).permute(2, 0, 1)


def _sample(planes: torch.Tensor, grid: torch.Tensor, mode: str) -> torch.Tensor:
    """`grid_sample` of one image (1, C, h, w) at (H, W, 2) → (C, H, W). It works on the images of a batch in parallel,
    so the grid's rows are dealt out as a batch."""
    height, parts = len(grid), max(1, min(torch.get_num_threads(), len(grid)))
    rows = math.ceil(height / parts)
    dealt = F.pad(grid, (0, 0, 0, 0, 0, rows * parts - height)).unflatten(0, (parts, rows))
    sampled = F.grid_sample(
        planes.expand(parts, -1, -1, -1), dealt, mode=mode, padding_mode="border", align_corners=False
    )
    return sampled.transpose(0, 1).flatten(1, 2)[:, :height]
