"""
Flow maps as pictures: for each place of a photo, where the surface seen there is in its session's reference photo.

Red and green are the movement along x and y; 128 is standing still, one level is 1/640 of the picture's side. A fine
map adds blue and alpha: 1/256 of a level each, 128 being none. Red and green alone give the nearest level.
"""

import numpy as np
import torch
from torch.nn import functional as F


FLOW_STEPS_PER_SIDE = 640
STILL, FINE_STEPS = 128, 256


def encode_fine_flow_map(motion: np.ndarray, levels_per_step: int = 8) -> np.ndarray:
    """
    (2, M, M) shares of the picture's side → (M, M, 4) uint8.

    Args:
        levels_per_step: round to so many 256ths of a level; more compress better. 8 are 1/20,480 of the side.
    """
    steps = np.rint(motion * (FLOW_STEPS_PER_SIDE * FINE_STEPS / levels_per_step)).astype(np.int64) * levels_per_step
    steps = np.clip(steps, -STILL * FINE_STEPS, (255 - STILL) * FINE_STEPS)
    coarse = (steps + FINE_STEPS // 2) // FINE_STEPS
    fine = steps - coarse * FINE_STEPS  # -128 to 127
    return np.moveaxis(np.concatenate([coarse + STILL, fine + STILL]), 0, -1).astype(np.uint8)


def decode_flow_map(levels: torch.Tensor) -> torch.Tensor:
    """(…, 2 or 4, M, M) uint8 → (…, 2, M, M) float32 shares of the picture's side."""
    levels = levels.float() - STILL
    motion = levels[..., :2, :, :]
    if levels.shape[-3] == 4:
        motion = motion + levels[..., 2:, :, :] / FINE_STEPS
    return motion / FLOW_STEPS_PER_SIDE


def match_flow_map(levels: torch.Tensor, shape: tuple[int, int, int]) -> torch.Tensor:
    """A (2 or 4, M, M) uint8 map in another size, or with channels for finer steps."""
    if tuple(levels.shape) == tuple(shape):
        return levels
    if levels.shape[1:] == shape[1:]:
        return torch.cat([levels, torch.full_like(levels, STILL)]) if shape[0] == 4 else levels[:2]
    motion = F.interpolate(
        decode_flow_map(levels)[None], shape[1:], mode="bilinear", align_corners=False, antialias=True
    )[0]  # fmt: skip
    fine = torch.from_numpy(encode_fine_flow_map(motion.numpy(), 1)).permute(2, 0, 1)
    return fine if shape[0] == 4 else fine[:2]
