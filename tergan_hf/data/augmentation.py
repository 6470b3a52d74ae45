"""Augmentation of whole batches on their device: one affine resampling for framing, then light and quality."""

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from .framing import CHIP_MARGIN


@dataclass
class AugmentationConfig:
    """
    How training images are varied.

    Args:
        mode: `"paper"` draws section 4.1's samples: one of five crops (centre, corners) of an aligned face 85/75 as
            large, one of the angles -6, -3, 0, 3, 6°, flipped or not. `"jitter"` draws scale, shift and angle from
            continuous ranges, as wide as detectors wobble and crops differ.
        scale: largest relative change of size (`jitter`).
        shift: largest shift, as a share of the crop (`jitter`).
        angle: largest rotation in degrees (`jitter`).
        flip: probability of a mirror image.
        gain: largest relative change of each colour's contrast.
        bias: largest shift of each colour's brightness, on the scale of [-1, 1].
        gamma: largest change of the exponent's logarithm.
        grey: probability of a grey image.
        low_resolution: probability of losing detail down to `smallest` pixels.
        smallest: see `low_resolution`.
        noise: largest standard deviation of added noise, on the scale of [-1, 1].
        erase: probability of a grey rectangle over a part of the face (stage 1 only).
    """

    mode: str = "jitter"
    scale: float = 0.12
    shift: float = 0.07
    angle: float = 8.0
    flip: float = 0.5
    gain: float = 0.25
    bias: float = 0.15
    gamma: float = 0.25
    grey: float = 0.2
    low_resolution: float = 0.2
    smallest: int = 24
    noise: float = 0.04
    erase: float = 0.0

    def __post_init__(self):
        if self.mode not in ("paper", "jitter"):
            raise ValueError(f"augmentation mode must be 'paper' or 'jitter', not {self.mode!r}")

    @classmethod
    def paper(cls) -> "AugmentationConfig":
        """Section 4.1's augmentation and nothing else."""
        return cls(mode="paper", gain=0, bias=0, gamma=0, grey=0, low_resolution=0, noise=0, erase=0)


PAPER_ANGLES = (-6.0, -3.0, 0.0, 3.0, 6.0)
PAPER_CROPS = ((0, 0), (-1, -1), (-1, 1), (1, -1), (1, 1))
PAPER_SHIFT = 5 / 75  # (85 − 75) / 2 pixels, as a share of the 75-pixel crop


def to_range(images: torch.Tensor) -> torch.Tensor:
    """uint8 [0, 255] → float [-1, 1]."""
    return images.float() / 127.5 - 1


def draw_framings(count: int, config: AugmentationConfig, generator: torch.Generator, device) -> torch.Tensor:
    """
    Draw `count` framing changes.

    Returns:
        (count, 2, 3) affine matrices from output to input coordinates, both [-1, 1] over the aligned crop, as
        `torch.nn.functional.affine_grid` takes them.
    """

    def uniform(shape, limit):
        return (torch.rand(shape, generator=generator) * 2 - 1) * limit

    if config.mode == "paper":
        angle = torch.tensor(PAPER_ANGLES)[torch.randint(len(PAPER_ANGLES), (count,), generator=generator)]
        crop = torch.tensor(PAPER_CROPS)[torch.randint(len(PAPER_CROPS), (count,), generator=generator)]
        shift, scale = crop * 2 * PAPER_SHIFT, torch.ones(count)
    else:
        angle, shift = uniform(count, config.angle), uniform((count, 2), 2 * config.shift)
        scale = 1 + uniform(count, config.scale)
    angle = torch.deg2rad(angle)
    mirror = 1 - 2 * (torch.rand(count, generator=generator) < config.flip).float()
    cos, sin = scale * angle.cos(), scale * angle.sin()
    theta = torch.stack([cos * mirror, -sin, shift[:, 0], sin * mirror, cos, shift[:, 1]], dim=1)
    return theta.view(count, 2, 3).to(device)


def cut_crops(chips: torch.Tensor, framings: torch.Tensor, size: int, registration: torch.Tensor | None = None):
    """
    Cut the network's crops out of chips.

    Args:
        chips: (B, 3, H, H) in [-1, 1], each with `CHIP_MARGIN` around its aligned crop.
        framings: (B, 2, 3) from `draw_framings`.
        size: side of the crops in pixels.
        registration: (B, 2, 3) from the coordinates the framing is meant in to those of the chip's own crop, for a
            ground truth that is cut with its target's framing; default: the same coordinates.

    Returns:
        (B, 3, size, size).
    """
    if registration is not None:
        framings = _compose(registration, framings)
    grid = F.affine_grid(framings / CHIP_MARGIN, (len(chips), 3, size, size), align_corners=False)
    return F.grid_sample(chips, grid, padding_mode="border", align_corners=False)


def _compose(second: torch.Tensor, first: torch.Tensor) -> torch.Tensor:
    linear = second[:, :, :2] @ first
    return torch.cat([linear[:, :, :2], linear[:, :, 2:] + second[:, :, 2:]], dim=2)


@dataclass
class Photometry:
    """One draw of light and quality per image, so that a target and its ground truth can be given the same."""

    gain: torch.Tensor  # (B, 3, 1, 1)
    bias: torch.Tensor  # (B, 3, 1, 1)
    gamma: torch.Tensor  # (B, 1, 1, 1)
    grey: torch.Tensor  # (B, 1, 1, 1) bool
    low_resolution: torch.Tensor  # (B, 1, 1, 1) bool
    resolution: int
    noise: torch.Tensor  # (B, 1, 1, 1)
    noise_seed: int

    @classmethod
    def draw(cls, count: int, config: AugmentationConfig, generator: torch.Generator, device) -> "Photometry":
        """Draw for `count` images."""

        def uniform(*shape):
            return torch.rand(count, *shape, generator=generator) * 2 - 1

        def chosen(probability):
            return (torch.rand(count, 1, 1, 1, generator=generator) < probability).to(device)

        # Two thirds of a light change are common to the colours, one third is theirs: exposure before white balance.
        gain = 1 + config.gain * (uniform(1, 1, 1) * 2 + uniform(3, 1, 1)) / 3
        bias = config.bias * (uniform(1, 1, 1) * 2 + uniform(3, 1, 1)) / 3
        gamma = torch.exp(config.gamma * uniform(1, 1, 1))
        resolution = int(torch.randint(config.smallest, 2 * config.smallest + 1, (), generator=generator))
        noise = config.noise * uniform(1, 1, 1).clamp(min=0)
        return cls(
            gain.to(device), bias.to(device), gamma.to(device), chosen(config.grey), chosen(config.low_resolution),
            resolution, noise.to(device), int(torch.randint(2**31, (), generator=generator)),
        )  # fmt: skip

    def apply(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, S, S) in [-1, 1] → the same, relit and degraded."""
        images = ((images + 1) / 2).clamp(0, 1) ** self.gamma * 2 - 1
        images = images * self.gain + self.bias
        luma = (images * images.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
        images = torch.where(self.grey, luma, images)
        if self.low_resolution.any() and self.resolution < images.shape[-1]:
            side = (self.resolution, self.resolution)
            coarse = F.interpolate(images, size=side, mode="bilinear", antialias=True)
            coarse = F.interpolate(coarse, size=images.shape[-2:], mode="bilinear")
            images = torch.where(self.low_resolution, coarse, images)
        if self.noise.any():
            generator = torch.Generator(images.device).manual_seed(self.noise_seed)
            noise = torch.randn(images.shape, generator=generator, device=images.device, dtype=images.dtype)
            images = images + self.noise * noise
        return images.clamp(-1, 1)


def erase_rectangles(images: torch.Tensor, probability: float, generator: torch.Generator) -> torch.Tensor:
    """Random erasing (Zhong et al. 2020): a grey rectangle of 15 to 45 % of the side over some of the images."""
    count, _, height, width = images.shape
    size = 0.15 + 0.3 * torch.rand(count, 2, generator=generator)
    start = torch.rand(count, 2, generator=generator) * (1 - size)
    chosen = torch.rand(count, generator=generator) < probability

    def inside(length, axis):
        position = (torch.arange(length) + 0.5) / length
        return (position >= start[:, axis, None]) & (position < (start + size)[:, axis, None])

    mask = inside(height, 0)[:, :, None] & inside(width, 1)[:, None, :] & chosen[:, None, None]
    return images.masked_fill(mask[:, None].to(images.device), 0.0)
