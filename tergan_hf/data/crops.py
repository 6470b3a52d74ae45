"""Network inputs from padded crops: one affine resampling with random crop transforms and elastic deformations."""

import numpy as np
import torch
from torch.nn import functional as F

from ..model.face_alignment_tergan import compose_transforms
from .augmentation import AugmentationConfig
from .padded_crops import PADDED_CROP_MARGIN


PAPER_ANGLES = (-6.0, -3.0, 0.0, 3.0, 6.0)
PAPER_CROPS = ((0, 0), (-1, -1), (-1, 1), (1, -1), (1, 1))
PAPER_SHIFT = 5 / 75  # (85 − 75) / 2 pixels, as a share of the 75-pixel crop
ELASTIC_KNOTS = 4
HALVE = np.array([[0.5, 0, 0.5], [0, 0.5, 0.5]])  # [-1, 1] → [0, 1]
DOUBLE = np.array([[2.0, 0, -1], [0, 2, -1]])


def to_range(images: torch.Tensor) -> torch.Tensor:
    """Convert uint8 [0, 255] to float [-1, 1]."""
    return images.float() / 127.5 - 1


def to_symmetric_range(transform: np.ndarray) -> np.ndarray:
    """A (2, 3) matrix between coordinates in [0, 1] → the same one between coordinates in [-1, 1]."""
    return compose_transforms(DOUBLE, compose_transforms(transform, HALVE))


def to_unit_range(transform: np.ndarray) -> np.ndarray:
    """The inverse of `to_symmetric_range`."""
    return compose_transforms(HALVE, compose_transforms(transform, DOUBLE))


def draw_crop_transforms(count: int, config: AugmentationConfig, generator: torch.Generator, device) -> torch.Tensor:
    """
    Draw `count` random changes of the crop.

    Returns:
        (count, 2, 3) affine matrices from output to input coordinates, both [-1, 1] over the aligned crop, as for
        `torch.nn.functional.affine_grid`.
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


def cut_crops(
    padded_crops: torch.Tensor,
    crop_transforms: torch.Tensor,
    size: int,
    registration: torch.Tensor | None = None,
    deformations: torch.Tensor | None = None,
) -> torch.Tensor:
    """
    Cut the network's inputs out of padded crops.

    Args:
        padded_crops: (B, C, H, H) in [-1, 1], with a margin of `PADDED_CROP_MARGIN` around the aligned crop.
        crop_transforms: (B, 2, 3) from `draw_crop_transforms`.
        size: side of the result in pixels.
        registration: (B, 2, 3) from the coordinates of `crop_transforms` to those of the padded crop's own aligned
            crop, for a ground truth that is cut with its target's crop transform. Default: the identity.
        deformations: (B, 2, size, size) from `draw_elastic_deformations`. Default: none.

    Returns:
        (B, C, size, size) in [-1, 1].
    """
    if registration is not None:
        crop_transforms = compose_affine(registration, crop_transforms)
    crop_transforms = crop_transforms / PADDED_CROP_MARGIN
    grid = F.affine_grid(crop_transforms, [len(padded_crops), 3, size, size], align_corners=False)
    if deformations is not None:
        grid = grid + torch.einsum("bij,bjhw->bhwi", crop_transforms[:, :, :2], deformations)
    return F.grid_sample(padded_crops, grid, padding_mode="border", align_corners=False)


def draw_elastic_deformations(
    amounts: torch.Tensor, size: int, generator: torch.Generator, device: torch.device | str
) -> torch.Tensor:
    """
    Draw smooth elastic deformations.

    Args:
        amounts: (count,) standard deviations as shares of the crop.

    Returns:
        (count, 2, size, size) offsets (x, y), [-1, 1] over the crop.
    """
    knots = torch.randn(len(amounts), 2, ELASTIC_KNOTS, ELASTIC_KNOTS, generator=generator)
    knots = 2 * amounts.cpu()[:, None, None, None] * knots
    return F.interpolate(knots.to(device), size=(size, size), mode="bicubic", align_corners=True)


def compose_affine(second: torch.Tensor, first: torch.Tensor) -> torch.Tensor:
    """(B, 2, 3) matrices that apply `first`, then `second`."""
    linear = second[:, :, :2] @ first
    return torch.cat([linear[:, :, :2], linear[:, :, 2:] + second[:, :, 2:]], dim=2)


def relative_affine(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """(B, 2, 3) matrices that resample crops cut with the transforms `before` as if cut with `after` (n, 2, 3)."""
    inverse = invert_matrices(before[:, :, :2])
    return inverse @ torch.cat([after[:, :, :2].expand_as(inverse), after[:, :, 2:] - before[:, :, 2:]], dim=2)


def invert_matrices(matrices: torch.Tensor) -> torch.Tensor:
    """Invert (B, n, n) matrices that have an inverse. Unlike `torch.linalg.inv` it does not wait for a GPU to check
    that."""
    return torch.linalg.inv_ex(matrices).inverse
