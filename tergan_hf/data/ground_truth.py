"""Ground truths: exact movements between rendered faces, and photographs made comparable."""

import torch
from torch.nn import functional as F

from .crops import compose_affine


MOTION_STEPS_PER_SIDE = 640  # a motion map's grey level is 1/640 of the picture's side; 128 is standing still
MOTION_SCALE = 2 / MOTION_STEPS_PER_SIDE  # one grey level, on the photo's [-1, 1]
FLOW_ITERATIONS = 6
FLOW_TOLERANCE = 0.01  # of [-1, 1]
UNBENDING_ITERATIONS = 3
# An ellipse around the face in the aligned crop, [-1, 1], and the share of it over which it fades.
FACE_CENTRE, FACE_RADII, FACE_EDGE = (0.0, 0.1), (0.86, 1.0), 0.15
MOST_RELIT = 1.3  # times brighter or darker, per colour: more is no difference of light


def true_flow(
    target_motion: torch.Tensor,
    truth_motion: torch.Tensor,
    framings: torch.Tensor,
    to_photo: torch.Tensor,
    size: int,
    bends: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    The movement from a rendered target to its ground truth, exactly.

    A motion map says for each place of a photo where the surface seen there is in the neutral photo. From the place in
    the truth it leads to the neutral place n, and the place y in the target is the one that the target's map leads to
    n as well; it is found by repeating y ← n − motion(y).

    Args:
        target_motion, truth_motion: (B, 2, M, M) uint8 maps over the whole photo.
        framings: (B, 2, 3) the crops' framing, as for `cut_crops`.
        to_photo: (B, 2, 3) from the target's own framing to its photo, [-1, 1] over each.
        size: side of the flow in pixels.
        bends: (B, 2, size, size) from `draw_bends`, of both crops; default: none.

    Returns:
        flow (B, 2, size, size) as in `TerGanChange`, and whether it is known (B, 1, size, size): not where the target
        does not show the surface, as teeth behind closed lips.
    """
    target_motion, truth_motion = (MOTION_SCALE * (motion.float() - 128) for motion in (target_motion, truth_motion))
    to_photo = compose_affine(to_photo, framings)
    grid = F.affine_grid(framings.new_tensor([[1.0, 0, 0], [0, 1, 0]]).expand(len(framings), 2, 3),
                         (len(framings), 2, size, size), align_corners=False)  # fmt: skip

    def look_up(motion, places):
        return F.grid_sample(motion, places, padding_mode="border", align_corners=False).permute(0, 2, 3, 1)

    bent = grid if bends is None else grid + bends.permute(0, 2, 3, 1)
    places = _transform(to_photo, bent)
    neutral = places + look_up(truth_motion, places)
    found = neutral
    for _ in range(FLOW_ITERATIONS):
        found = neutral - look_up(target_motion, found)
    miss = (found + look_up(target_motion, found) - neutral).abs().amax(3)
    found = bent + torch.einsum("bij,bhwj->bhwi", torch.linalg.inv(to_photo[:, :, :2]), found - places)
    end = found
    if bends is not None:
        for _ in range(UNBENDING_ITERATIONS):
            end = found - look_up(bends, end)
    return (end - grid).permute(0, 3, 1, 2), (miss < FLOW_TOLERANCE)[:, None]


def _transform(matrices: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """(B, 2, 3) affine matrices on (B, H, W, 2) points."""
    return torch.einsum("bij,bhwj->bhwi", matrices[:, :, :2], points) + matrices[:, None, None, :, 2]


def confine_truth(target: torch.Tensor, truth: torch.Tensor, framings: torch.Tensor) -> torch.Tensor:
    """
    Make another photograph of the same person a ground truth: its light becomes the target's, and outside the face,
    where hair, clothes and the way the head is held differ for other reasons than the expression, it shows the target.
    The face is an ellipse about the template's; a bend moves it little.

    Args:
        target, truth: (B, 3, S, S) in [-1, 1], cut alike.
        framings: (B, 2, 3) from `draw_framings`, that they were cut with.
    """
    places = F.affine_grid(framings, list(target.shape), align_corners=False)
    distance = ((places - places.new_tensor(FACE_CENTRE)) / places.new_tensor(FACE_RADII)).square().sum(3).sqrt()
    face = ((1 - distance) / FACE_EDGE).clamp(0, 1)[:, None]
    light = ((target + 1) * face).sum((2, 3), keepdim=True) / ((truth + 1) * face).sum((2, 3), keepdim=True).clamp(
        1e-6
    )
    relit = (truth + 1) * light.clamp(1 / MOST_RELIT, MOST_RELIT) - 1
    return target + face * (relit - target)
