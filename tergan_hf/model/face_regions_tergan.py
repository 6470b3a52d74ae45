"""Brows, eyes and mouth apart: a change restricted to parts of the aligned crop.

The photo decoder puts out a flow and a residual for every position. In the aligned crop brows, eyes and mouth have
their places, so that each part's share of the change can be scaled by itself.
"""

import torch

from .errors_tergan import InvalidInputError
from .outputs_tergan import TerGanChange


# Heights of the aligned crop (0 top, 1 bottom) half way between brows and eyes, and between nose and mouth; see
# `face_alignment_tergan.TEMPLATE`, in which the eyes are at 0.335 and the mouth at 0.735.
BROWS_END, EYES_END = 0.265, 0.55
SOFTNESS = 0.05  # of the crop's side, over which one part goes over into the next


def scale_parts(change: TerGanChange, brows: float = 1.0, eyes: float = 1.0, mouth: float = 1.0) -> TerGanChange:
    """
    Scale how much of a change reaches each part of the face.

    Args:
        change: of a decoder that gives a residual.
        brows: forehead and brows. eyes: eyes and nose. mouth: mouth, cheeks and chin. 0 leaves a part as it is, 1
            changes it fully.

    Returns:
        the change to paste; its `pixel_values` are left out, as they no longer hold.

    Raises:
        InvalidInputError: the model replaces the whole crop (the paper's), so that its parts cannot be told apart.
    """
    if change.residual is None:
        raise InvalidInputError("this model replaces the whole face: brows, eyes and mouth cannot be changed apart")
    weight = part_weights(change.residual.shape[-1], brows, eyes, mouth).to(change.residual)
    flow = None if change.flow is None else change.flow * weight.to(change.flow)
    return TerGanChange(None, flow, change.residual * weight, change.identity_embedding)


def part_weights(size: int, brows: float, eyes: float, mouth: float) -> torch.Tensor:
    """(1, size, 1): the weight of each row of the crop, changing softly from part to part."""
    height = (torch.arange(size) + 0.5) / size
    below_brows = torch.sigmoid((height - BROWS_END) / SOFTNESS * 4)
    below_eyes = torch.sigmoid((height - EYES_END) / SOFTNESS * 4)
    weights = brows + (eyes - brows) * below_brows + (mouth - eyes) * below_eyes
    return weights[None, :, None]
