"""Ground truths: exact movements between rendered faces, and photographs made comparable."""

import numpy as np
import torch
from torch.nn import functional as F

from .crops import compose_affine
from .flow_maps import decode_flow_map


FLOW_ITERATIONS = 6
FLOW_TOLERANCE = 0.01  # of [-1, 1]
INVERSION_ITERATIONS = 3
# An ellipse around the face in the aligned crop, [-1, 1], and the share of it over which it fades.
FACE_CENTRE, FACE_RADII, FACE_EDGE = (0.0, 0.1), (0.86, 1.0), 0.15
MOST_RELIT = 1.3  # times brighter or darker, per colour: more is no difference of light


def true_flow(
    target_flow_map: torch.Tensor,
    truth_flow_map: torch.Tensor,
    crop_transforms: torch.Tensor,
    to_photo: torch.Tensor,
    size: int,
    deformations: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    The movement from a rendered target to its ground truth, exactly.

    A flow map says for each place of a photo where the surface seen there is in the neutral photo. From the place in
    the truth it leads to the neutral place n, and the place y in the target is the one that the target's map leads to
    n as well; it is found by repeating y ← n − motion(y).

    Args:
        target_flow_map, truth_flow_map: (B, 2 or 4, M, M) uint8 maps over the whole photo (`flow_maps`).
        crop_transforms: (B, 2, 3) the crops' crop_transform, as for `cut_crops`.
        to_photo: (B, 2, 3) from the target's own crop_transform to its photo, [-1, 1] over each.
        size: side of the flow in pixels.
        deformations: (B, 2, size, size) from `draw_elastic_deformations`, of both crops; default: none.

    Returns:
        flow (B, 2, size, size) as in `TerGanChange`, and whether it is known (B, 1, size, size): not where the target
        does not show the surface, as teeth behind closed lips.
    """
    # Shares of the side are half as much on the photo's [-1, 1].
    target_flow_map, truth_flow_map = (2 * decode_flow_map(levels) for levels in (target_flow_map, truth_flow_map))
    to_photo = compose_affine(to_photo, crop_transforms)
    grid = F.affine_grid(crop_transforms.new_tensor([[1.0, 0, 0], [0, 1, 0]]).expand(len(crop_transforms), 2, 3),
                         (len(crop_transforms), 2, size, size), align_corners=False)  # fmt: skip

    def look_up(motion, places):
        return F.grid_sample(motion, places, padding_mode="border", align_corners=False).permute(0, 2, 3, 1)

    deformed = grid if deformations is None else grid + deformations.permute(0, 2, 3, 1)
    places = _transform(to_photo, deformed)
    neutral = places + look_up(truth_flow_map, places)
    found = neutral
    for _ in range(FLOW_ITERATIONS):
        found = neutral - look_up(target_flow_map, found)
    miss = (found + look_up(target_flow_map, found) - neutral).abs().amax(3)
    found = deformed + torch.einsum("bij,bhwj->bhwi", torch.linalg.inv(to_photo[:, :, :2]), found - places)
    end = found
    if deformations is not None:
        for _ in range(INVERSION_ITERATIONS):
            end = found - look_up(deformations, end)
    return (end - grid).permute(0, 3, 1, 2), (miss < FLOW_TOLERANCE)[:, None]


def _transform(matrices: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """(B, 2, 3) affine matrices on (B, H, W, 2) points."""
    return torch.einsum("bij,bhwj->bhwi", matrices[:, :, :2], points) + matrices[:, None, None, :, 2]


def confine_truth(target: torch.Tensor, truth: torch.Tensor, crop_transforms: torch.Tensor) -> torch.Tensor:
    """
    Make another photograph of the same person a ground truth: its light becomes the target's, and outside the face,
    where hair, clothes and the way the head is held differ for other reasons than the expression, it shows the target.
    The face is an ellipse about the template's; a elastic_deformation moves it little.

    Args:
        target, truth: (B, 3, S, S) in [-1, 1], cut alike.
        crop_transforms: (B, 2, 3) from `draw_crop_transforms`, that they were cut with.
    """
    places = F.affine_grid(crop_transforms, list(target.shape), align_corners=False)
    distance = ((places - places.new_tensor(FACE_CENTRE)) / places.new_tensor(FACE_RADII)).square().sum(3).sqrt()
    face = ((1 - distance) / FACE_EDGE).clamp(0, 1)[:, None]
    light = ((target + 1) * face).sum((2, 3), keepdim=True) / ((truth + 1) * face).sum((2, 3), keepdim=True).clamp(
        1e-6
    )
    relit = (truth + 1) * light.clamp(1 / MOST_RELIT, MOST_RELIT) - 1
    return target + face * (relit - target)


def expression_gain(
    generated: torch.Tensor | np.ndarray, target: torch.Tensor | np.ndarray, truth: torch.Tensor | np.ndarray
) -> torch.Tensor:
    """
    1 − Σ|x̄ − truth| / Σ|x_t − truth| for each pair: 1 is perfect, 0 is what handing x_t back gets, negative is worse
    than doing nothing.

    Args:
        generated, target, truth: (B, …) images on any one scale.

    Returns:
        (B,); NaN where target and truth are the same image.
    """
    generated, target, truth = (torch.as_tensor(images).float() for images in (generated, target, truth))
    miss = (generated - truth).abs().flatten(1).sum(1)
    nothing = (target - truth).abs().flatten(1).sum(1)
    return torch.where(nothing > 0, 1 - miss / nothing, torch.nan)
