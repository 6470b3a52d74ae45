"""Scale the change of brows, eyes and mouth separately.

The photo decoder gives a flow and a residual for every position. Brows, eyes and mouth have fixed positions in the
aligned crop, so the change of each part can be scaled by its rows.
"""

import torch

from ..model.errors_tergan import InvalidInputError
from ..model.outputs_tergan import TerGanChange


# Heights in the aligned crop (0 top, 1 bottom) half way between brows and eyes, and between nose and mouth; see
# `face_alignment_tergan.TEMPLATE`, in which the eyes are at 0.335 and the mouth at 0.735.
BROWS_END, EYES_END = 0.265, 0.55
SOFTNESS = 0.05  # share of the crop's side over which one part passes into the next


def scale_parts(change: TerGanChange, brows: float = 1.0, eyes: float = 1.0, mouth: float = 1.0) -> TerGanChange:
    """
    Scale a change for each part of the face.

    Args:
        change: of a decoder that gives a residual.
        brows: factor for forehead and brows. eyes: for eyes and nose. mouth: for mouth, cheeks and chin. 0 keeps a
            part unchanged, 1 changes it fully.

    Returns:
        the change to paste, without `pixel_values`.

    Raises:
        InvalidInputError: the model replaces the whole crop (the paper's model).
    """
    if change.residual is None:
        raise InvalidInputError(
            "this model replaces the whole face: brows, eyes and mouth cannot be changed separately"
        )
    weight = part_weights(change.residual.shape[-1], brows, eyes, mouth).to(change.residual)
    flow = None if change.flow is None else change.flow * weight.to(change.flow)
    return TerGanChange(None, flow, change.residual * weight, change.identity_embedding)


def part_weights(size: int, brows: float, eyes: float, mouth: float) -> torch.Tensor:
    """Weights (1, size, 1) of the rows of the crop, passing smoothly from part to part."""
    height = (torch.arange(size, dtype=torch.float32) + 0.5) / size
    below_brows = torch.sigmoid((height - BROWS_END) / SOFTNESS * 4)
    below_eyes = torch.sigmoid((height - EYES_END) / SOFTNESS * 4)
    weights = brows + (eyes - brows) * below_brows + (mouth - eyes) * below_eyes
    return weights[None, :, None]
