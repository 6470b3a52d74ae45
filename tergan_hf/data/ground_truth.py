"""Ground truth: the exact flow between rendered faces, photographs made comparable, and the expression gain."""

import numpy as np
import torch
from torch.nn import functional as F

from ..model.face_alignment_tergan import TEMPLATE
from .crops import compose_affine, invert_matrices, relative_affine
from .flow_maps import decode_flow_map


FLOW_ITERATIONS = 6
FLOW_TOLERANCE = 0.01  # of [-1, 1]
INVERSION_ITERATIONS = 3
# An ellipse around the face in the aligned crop, [-1, 1], and the share of its radius over which it fades.
FACE_CENTRE, FACE_RADII, FACE_EDGE = (0.0, 0.1), (0.86, 1.0), 0.15
# Both eyes with their lids in the aligned crop, [-1, 1], and the radii of an ellipse around each.
EYE_CENTRES = tuple(tuple(2 * float(place) - 1 for place in eye) for eye in TEMPLATE[:2])
EYE_RADII = (0.22, 0.14)
# The mouth in the aligned crop, wide open and smiling, [-1, 1].
MOUTH_CENTRE, MOUTH_REACH = (0.0, 0.58), (0.5, 1 / 3)
MAX_RELIGHTING = 1.3  # factor per colour; a larger difference is not one of light


def true_flow(
    target_flow_map: torch.Tensor,
    truth_flow_map: torch.Tensor,
    crop_transforms: torch.Tensor,
    to_photo: torch.Tensor,
    size: int,
    deformations: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Compute the exact flow from a rendered target to its ground truth.

    A flow map m gives, for each position of a photo, the offset to the same surface point in the neutral photo. From a
    position in the truth it leads to the neutral position n. The position y in the target is the one with
    y + m(y) = n for the target's map; the fixed-point iteration y ← n − m(y) finds it, from two starts.

    Args:
        target_flow_map, truth_flow_map: (B, 2 or 4, M, M) uint8 maps over the whole photo (`flow_maps`).
        crop_transforms: (B, 2, 3) crop transforms of both crops, as for `cut_crops`.
        to_photo: (B, 2, 3) from the target's aligned crop to its photo, both [-1, 1].
        size: side of the flow in pixels.
        deformations: (B, 2, size, size) elastic deformations of both crops, from `draw_elastic_deformations`. Default:
            none.

    Returns:
        the flow (B, 2, size, size) as in `TerGanChange`, and a mask (B, 1, size, size) of the positions with a known
        flow. It is unknown where the target hides the surface, as closed lips hide the teeth.
    """
    # `decode_flow_map` counts in shares of the side, which spans 2 in [-1, 1].
    target_offsets, truth_offsets = (2 * decode_flow_map(levels) for levels in (target_flow_map, truth_flow_map))
    to_photo = compose_affine(to_photo, crop_transforms)
    grid = F.affine_grid(crop_transforms.new_tensor([[1.0, 0, 0], [0, 1, 0]]).expand(len(crop_transforms), 2, 3),
                         [len(crop_transforms), 2, size, size], align_corners=False)  # fmt: skip

    def look_up(offsets, places):
        return F.grid_sample(offsets, places, padding_mode="border", align_corners=False).permute(0, 2, 3, 1)

    deformed = grid if deformations is None else grid + deformations.permute(0, 2, 3, 1)
    places = _transform(to_photo, deformed)
    neutral = places + look_up(truth_offsets, places)

    def find(start):
        for _ in range(FLOW_ITERATIONS):
            start = neutral - look_up(target_offsets, start)
        return start, (start + look_up(target_offsets, start) - neutral).abs().amax(3)

    # Where skin folds, the iteration leaves a solution again unless it starts near it.
    found, miss = find(neutral)
    nearby, missed = find(places)
    found = torch.where((missed < miss)[..., None], nearby, found)
    miss = torch.minimum(miss, missed)
    found = deformed + torch.einsum("bij,bhwj->bhwi", invert_matrices(to_photo[:, :, :2]), found - places)
    end = found
    if deformations is not None:
        for _ in range(INVERSION_ITERATIONS):
            end = found - look_up(deformations, end)
    return (end - grid).permute(0, 3, 1, 2), (miss < FLOW_TOLERANCE)[:, None]


def _transform(matrices: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Apply (B, 2, 3) affine matrices to (B, H, W, 2) points."""
    return torch.einsum("bij,bhwj->bhwi", matrices[:, :, :2], points) + matrices[:, None, None, :, 2]


def eye_regions(crop_transforms: torch.Tensor, size: int) -> torch.Tensor:
    """
    Where the eyes are in crops of aligned faces.

    Args:
        crop_transforms: (B, 2, 3) from `draw_crop_transforms`. size: side of the result in pixels.

    Returns:
        (B, 1, size, size), 1 in the eyes and 0 elsewhere.
    """
    places = F.affine_grid(crop_transforms, [len(crop_transforms), 1, size, size], align_corners=False)
    centres = places.new_tensor(EYE_CENTRES)
    distances = ((places[:, :, :, None] - centres) / places.new_tensor(EYE_RADII)).square().sum(4)
    return (distances.amin(3) < 1).to(places.dtype)[:, None]


def cut_mouths(images: torch.Tensor, crop_transforms: torch.Tensor) -> torch.Tensor:
    """
    Cut the mouths out of crops of aligned faces, upright and all at the same place.

    Args:
        images: (B, C, S, S), cut with these transforms.
        crop_transforms: (B, 2, 3) from `draw_crop_transforms`.

    Returns:
        (B, C, S/3, S/2).
    """
    size = images.shape[-1]
    window = crop_transforms.new_tensor([[MOUTH_REACH[0], 0, MOUTH_CENTRE[0]], [0, MOUTH_REACH[1], MOUTH_CENTRE[1]]])
    shape = [len(images), images.shape[1], round(MOUTH_REACH[1] * size), round(MOUTH_REACH[0] * size)]
    with torch.autocast(images.device.type, enabled=False):  # bf16 would shift the mouths
        grid = F.affine_grid(relative_affine(crop_transforms, window[None]), shape, align_corners=False)
        return F.grid_sample(images.float(), grid, align_corners=False)


def confine_truth(target: torch.Tensor, truth: torch.Tensor, crop_transforms: torch.Tensor) -> torch.Tensor:
    """
    Turn another photograph of the target's person into a ground truth.

    It gets the light of the target. Outside the face it shows the target, because hair, clothes and head pose differ
    for other reasons than the expression. The face is an ellipse around the alignment template's face; an elastic
    deformation moves it little.

    Args:
        target, truth: (B, 3, S, S) in [-1, 1], cut with the same crop transforms.
        crop_transforms: (B, 2, 3) from `draw_crop_transforms`, with which both were cut.

    Returns:
        (B, 3, S, S), the new truth.
    """
    places = F.affine_grid(crop_transforms, list(target.shape), align_corners=False)
    distance = ((places - places.new_tensor(FACE_CENTRE)) / places.new_tensor(FACE_RADII)).square().sum(3).sqrt()
    face = ((1 - distance) / FACE_EDGE).clamp(0, 1)[:, None]
    light = ((target + 1) * face).sum((2, 3), keepdim=True) / ((truth + 1) * face).sum((2, 3), keepdim=True).clamp(
        1e-6
    )
    relit = (truth + 1) * light.clamp(1 / MAX_RELIGHTING, MAX_RELIGHTING) - 1
    return target + face * (relit - target)


def expression_gain(
    generated: torch.Tensor | np.ndarray, target: torch.Tensor | np.ndarray, truth: torch.Tensor | np.ndarray
) -> torch.Tensor:
    """
    Compute 1 − Σ|x̄ − truth| / Σ|x_t − truth| for each pair. 1 is perfect, 0 is the score of an unchanged x_t, and a
    negative value is worse than that.

    Args:
        generated, target, truth: (B, …) images, all on the same scale.

    Returns:
        (B,), NaN where target and truth are the same image.
    """
    generated, target, truth = (torch.as_tensor(images).float() for images in (generated, target, truth))
    miss = (generated - truth).abs().flatten(1).sum(1)
    unchanged = (target - truth).abs().flatten(1).sum(1)
    return torch.where(unchanged > 0, 1 - miss / unchanged, torch.nan)
