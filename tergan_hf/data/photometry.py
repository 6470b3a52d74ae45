"""Random changes of light and image quality: contrast, colour, resolution, noise, compression."""

import math
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from .augmentation import AugmentationConfig


@dataclass
class Photometry:
    """One random change of light and quality per image. A target and its ground truth get the same one."""

    gain: torch.Tensor  # (B, 3, 1, 1)
    bias: torch.Tensor  # (B, 3, 1, 1)
    gamma: torch.Tensor  # (B, 1, 1, 1)
    grey: torch.Tensor  # (B, 1, 1, 1) bool
    low_resolution: torch.Tensor  # (B, 1, 1, 1) bool
    resolution: int | None  # `None` if no image loses detail
    noise: torch.Tensor  # (B, 1, 1, 1)
    noise_seed: int | None  # `None` if no image has noise
    jpeg: torch.Tensor  # (J,) coarseness for the images `jpeg_rows`, as in `quantize_blocks`
    jpeg_rows: torch.Tensor  # (J,)

    @classmethod
    def draw(cls, count: int, config: AugmentationConfig, generator: torch.Generator, device) -> "Photometry":
        """Draw the changes of `count` images."""

        def uniform(*shape):
            return torch.rand(count, *shape, generator=generator) * 2 - 1

        def chosen(probability):
            return torch.rand(count, 1, 1, 1, generator=generator) < probability

        # Two thirds of a change are common to all colours (exposure), one third is their own (white balance).
        gain = 1 + config.gain * (uniform(1, 1, 1) * 2 + uniform(3, 1, 1)) / 3
        bias = config.bias * (uniform(1, 1, 1) * 2 + uniform(3, 1, 1)) / 3
        gamma = torch.exp(config.gamma * uniform(1, 1, 1))
        resolution = int(torch.randint(config.smallest, 2 * config.smallest + 1, (), generator=generator))
        noise = config.noise * uniform(1, 1, 1).clamp(min=0)
        rows = torch.nonzero(torch.rand(count, generator=generator) < config.jpeg)[:, 0]
        jpeg = 0.5 + 2.5 * torch.rand(count, generator=generator)
        grey, coarse = chosen(config.grey), chosen(config.low_resolution)
        seed = int(torch.randint(2**31, (), generator=generator))
        # `any()` is evaluated on the CPU, because on a GPU it would wait for the device.
        return cls(
            gain.to(device), bias.to(device), gamma.to(device), grey.to(device), coarse.to(device),
            resolution if coarse.any() else None, noise.to(device), seed if noise.any() else None,
            jpeg[rows].to(device), rows.to(device),
        )  # fmt: skip

    def apply(self, images: torch.Tensor) -> torch.Tensor:
        """Relight and degrade (B, 3, S, S) images in [-1, 1]. Returns a new tensor of the same shape and range."""
        images = ((images + 1) / 2).clamp(0, 1) ** self.gamma * 2 - 1
        images = images * self.gain + self.bias
        luma = (images * images.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
        images = torch.where(self.grey, luma, images)
        if self.resolution is not None and self.resolution < images.shape[-1]:
            side = (self.resolution, self.resolution)
            coarse = F.interpolate(images, size=side, mode="bilinear", antialias=True)
            coarse = F.interpolate(coarse, size=images.shape[-2:], mode="bilinear")
            images = torch.where(self.low_resolution, coarse, images)
        if self.noise_seed is not None:
            generator = torch.Generator(images.device).manual_seed(self.noise_seed)
            noise = torch.randn(images.shape, generator=generator, device=images.device, dtype=images.dtype)
            images = images + self.noise * noise
        if len(self.jpeg_rows):
            images = images.index_copy(0, self.jpeg_rows, quantize_blocks(images[self.jpeg_rows], self.jpeg))
        return images.clamp(-1, 1)


def quantize_blocks(images: torch.Tensor, coarseness: torch.Tensor) -> torch.Tensor:
    """
    Imitate the loss of JPEG without chroma subsampling: round the cosine transform of 8×8 blocks to multiples of steps
    that grow with frequency.

    Args:
        images: (B, C, S, S) in [-1, 1]. If S is not a multiple of 8, they are returned unchanged.
        coarseness: (B,); 1 is about quality 50, 3 about quality 15.
    """
    count, channels, height, width = images.shape
    if height % 8 or width % 8:
        return images
    n = torch.arange(8, dtype=images.dtype, device=images.device)
    transform = torch.cos(math.pi / 8 * (n[None] + 0.5) * n[:, None]) / 2
    transform[0] /= math.sqrt(2)
    blocks = images.reshape(count, channels, height // 8, 8, width // 8, 8).transpose(3, 4)
    spectrum = transform @ blocks @ transform.T
    steps = (12 + 6 * (n[:, None] + n[None])) / 127.5 * coarseness.view(-1, 1, 1, 1, 1, 1)
    spectrum = torch.round(spectrum / steps) * steps
    return (transform.T @ spectrum @ transform).transpose(3, 4).reshape(images.shape)
