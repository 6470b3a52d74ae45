"""Flow maps stored as images: for each position of a photo, the offset to the same surface point in the neutral photo
of its session.

Red and green are the offset along x and y. 128 is no movement, and one level is 1/640 of the photo's side. A 16-bit
map adds blue and alpha, 1/256 of a level each; 128 adds nothing. Red and green alone are the map in whole levels.
"""

import numpy as np
import torch
from torch.nn import functional as F


FLOW_STEPS_PER_SIDE = 640
STILL, FINE_STEPS = 128, 256


def encode_fine_flow_map(motion: np.ndarray, levels_per_step: int = 8) -> np.ndarray:
    """
    Encode offsets, (2, M, M) shares of the photo's side, as (M, M, 4) uint8.

    Args:
        levels_per_step: round to multiples of this many 256ths of a level. Coarser steps compress better. 8 is
            1/20,480 of the side.
    """
    steps = np.rint(motion * (FLOW_STEPS_PER_SIDE * FINE_STEPS / levels_per_step)).astype(np.int64) * levels_per_step
    steps = np.clip(steps, -STILL * FINE_STEPS, (255 - STILL) * FINE_STEPS)
    coarse = (steps + FINE_STEPS // 2) // FINE_STEPS
    fine = steps - coarse * FINE_STEPS  # -128 to 127
    return np.moveaxis(np.concatenate([coarse + STILL, fine + STILL]), 0, -1).astype(np.uint8)


def decode_flow_map(levels: torch.Tensor) -> torch.Tensor:
    """Decode (…, 2 or 4, M, M) uint8 to offsets, (…, 2, M, M) float32 shares of the photo's side."""
    levels = levels.float() - STILL
    motion = levels[..., :2, :, :]
    if levels.shape[-3] == 4:
        motion = motion + levels[..., 2:, :, :] / FINE_STEPS
    return motion / FLOW_STEPS_PER_SIDE


def match_flow_map(levels: torch.Tensor, shape: tuple[int, int, int]) -> torch.Tensor:
    """Convert a (2 or 4, M, M) uint8 map to another size, or to 8 or 16 bits."""
    if tuple(levels.shape) == tuple(shape):
        return levels
    if levels.shape[1:] == shape[1:]:
        return torch.cat([levels, torch.full_like(levels, STILL)]) if shape[0] == 4 else levels[:2]
    motion = F.interpolate(
        decode_flow_map(levels)[None], shape[1:], mode="bilinear", align_corners=False, antialias=True
    )[0]  # fmt: skip
    fine = torch.from_numpy(encode_fine_flow_map(motion.numpy(), 1)).permute(2, 0, 1)
    return fine if shape[0] == 4 else fine[:2]
