"""Objects in front of a face, and random erasing."""

import math

import torch
from torch.nn import functional as F

from ..model.outputs_tergan import pixel_centres


def draw_occluders(
    count: int, probability: float, size: int, generator: torch.Generator, device
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Draw objects in front of faces: each is an ellipse or a bar of one tone with some grain that reaches in from a
        side.

    Returns:
        soft masks (count, 1, size, size) in [0, 1], all zero for images without an object, and colours
        (count, 3, size, size) in [-1, 1].
    """

    def rand(*shape):
        return torch.rand(count, *shape, generator=generator).to(device)

    axis = pixel_centres(size, device)
    y, x = axis[None, :, None], axis[None, None, :]
    angle, turn = rand(1, 1) * 2 * math.pi, rand(1, 1) * math.pi
    centre_x, centre_y = 0.9 * angle.cos(), 0.9 * angle.sin()
    along = (x - centre_x) * turn.cos() + (y - centre_y) * turn.sin()
    across = (y - centre_y) * turn.cos() - (x - centre_x) * turn.sin()
    distance = (along / (0.2 + 0.8 * rand(1, 1))) ** 2 + (across / (0.08 + 0.3 * rand(1, 1))) ** 2
    mask = ((1 - distance) * 8).clamp(0, 1)[:, None] * (rand(1, 1, 1) < probability)
    colour = (rand(3, 1, 1) * 2 - 1) * 0.8
    grain = F.interpolate(
        torch.randn(count, 1, size // 4, size // 4, generator=generator).to(device), size=(size, size)
    )
    return mask, (colour + 0.15 * rand(1, 1, 1) * grain).clamp(-1, 1)


def erase_rectangles(images: torch.Tensor, probability: float, generator: torch.Generator) -> torch.Tensor:
    """
    Erase a grey rectangle at random (Zhong et al. 2020).

    Args:
        images: (B, C, H, W) in [-1, 1].
        probability: share of the images that lose a rectangle. Its sides are 15 to 45 % of the image's.

    Returns:
        (B, C, H, W), a new tensor.
    """
    count, _, height, width = images.shape
    size = 0.15 + 0.3 * torch.rand(count, 2, generator=generator)
    start = torch.rand(count, 2, generator=generator) * (1 - size)
    chosen = torch.rand(count, generator=generator) < probability
    size, start, chosen = (drawn.to(images.device) for drawn in (size, start, chosen))

    def inside(length, axis):
        position = (torch.arange(length, device=images.device) + 0.5) / length
        return (position >= start[:, axis, None]) & (position < (start + size)[:, axis, None])

    mask = inside(height, 0)[:, :, None] & inside(width, 1)[:, None, :] & chosen[:, None, None]
    return images.masked_fill(mask[:, None], 0.0)
