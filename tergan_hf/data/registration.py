"""Registration of two photographs of a face, more exact than alignment by five landmarks."""

import math

import torch
from torch.nn import functional as F

from ..model.face_alignment_tergan import TEMPLATE
from ..model.outputs_tergan import pixel_centres


SIDE = 64  # pixels of the compared crops
BLURS = 4.0, 2.0, 1.0  # standard deviations in pixels, from coarse to fine
STEPS_PER_BLUR = 8
CONTRAST_BLUR = 8.0  # pixels; light and contrast are normalised over this distance
MIN_CONTRAST = 0.02  # of [-1, 1]; less is noise
# The region that a smile moves least: forehead, eyes and the bridge of the nose.
REGION_CENTRE = (0.0, -0.3)
REGION_RADII = (0.72, 0.36)
OUTLIER = 0.7  # standard deviations of grey; larger differences count little
MAX_DRIFT = 0.12  # of [-1, 1], at the centre of the face; MTCNN's error is smaller
MAX_ANGLE, MAX_SCALE = math.radians(8), 0.12


@torch.no_grad()
def register_faces(images: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """
    Estimate the similarity transform between two aligned crops of the same person.

    Gauss-Newton steps minimise the differences of grey levels (Lucas & Kanade 1981) after normalisation of the light.
    Outliers such as a wink or a lock of hair get small weights. Only the upper face is compared.

    Args:
        images: (B, 3, S, S) in [-1, 1].
        reference: (B, 3, S, S) in [-1, 1], the crops to register them with.

    Returns:
        (B, 2, 3) matrices from the coordinates of `reference` to those of `images`, [-1, 1] over the crop: a
        `registration` for `cut_crops`. It is the identity if the grey levels do not fit better than before, or if the
        transform is larger than crops of one face can differ.
    """
    moving, fixed = _normalized_greys(images), _normalized_greys(reference)
    axis = pixel_centres(SIDE, images.device)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    region = (((x - REGION_CENTRE[0]) / REGION_RADII[0]) ** 2 + ((y - REGION_CENTRE[1]) / REGION_RADII[1]) ** 2) < 1
    x, y, region = x[region], y[region], region.flatten()
    moves = torch.zeros(len(images), 4, device=images.device)  # scale, angle, x and y
    for blur in BLURS:
        blurred, wanted = _blur(moving, blur), _blur(fixed, blur).flatten(1)[:, region]
        slopes = torch.cat([blurred, *_slopes(blurred)], dim=1)
        for _ in range(STEPS_PER_BLUR):
            found, slope_x, slope_y = _look_up(slopes, moves, x, y).unbind(1)
            miss = found - wanted
            weight = 1 / (1 + (miss / OUTLIER) ** 2)
            lever = torch.stack([slope_x * x + slope_y * y, slope_y * x - slope_x * y, slope_x, slope_y], dim=1)
            squares = torch.einsum("bin,bjn,bn->bij", lever, lever, weight)
            squares = squares + 1e-3 * squares.diagonal(dim1=1, dim2=2).mean(1)[:, None, None].clamp(min=1e-6) * (
                torch.eye(4, device=images.device)
            )
            moves = moves - torch.linalg.solve(squares, torch.einsum("bin,bn,bn->bi", lever, miss, weight))
    still = torch.zeros_like(moves)
    before, after = (
        (_look_up(blurred, way, x, y)[:, 0] - wanted).abs().clamp(max=OUTLIER).mean(1) for way in (still, moves)
    )
    matrices = _matrices(moves)
    centre = torch.as_tensor(2 * TEMPLATE.mean(0) - 1, dtype=matrices.dtype, device=matrices.device)
    drift = (matrices @ torch.cat([centre, centre.new_ones(1)]) - centre).norm(dim=1)
    plausible = (after < before) & (drift < MAX_DRIFT) & (moves[:, 0].abs() < MAX_SCALE) & (
        moves[:, 1].abs() < MAX_ANGLE
    )  # fmt: skip
    return torch.where(plausible[:, None, None], matrices, _matrices(still))


def _matrices(moves: torch.Tensor) -> torch.Tensor:
    """(B, 4) scale, angle, x and y → (B, 2, 3) matrices."""
    scale, angle, x, y = moves.unbind(1)
    return torch.stack([1 + scale, -angle, x, angle, 1 + scale, y], dim=1).view(-1, 2, 3)


def _look_up(maps: torch.Tensor, moves: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Sample (B, C, S, S) maps at N points moved by the transforms → (B, C, N)."""
    points = torch.stack([x, y, torch.ones_like(x)])
    places = (_matrices(moves) @ points).transpose(1, 2)[:, None]
    return F.grid_sample(maps, places, padding_mode="border", align_corners=False)[:, :, 0]


def _normalized_greys(images: torch.Tensor) -> torch.Tensor:
    """(B, 1, SIDE, SIDE) grey levels with local mean 0 and variance 1."""
    grey = F.interpolate(images.mean(1, keepdim=True), size=(SIDE, SIDE), mode="bilinear", antialias=True)
    grey = grey - _blur(grey, CONTRAST_BLUR)
    return grey / (_blur(grey.square(), CONTRAST_BLUR).sqrt() + MIN_CONTRAST)


def _slopes(maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Derivatives by x and y, with the image spanning [-1, 1]."""
    padded = F.pad(maps, (1, 1, 1, 1), mode="replicate")
    step = 4 / maps.shape[-1]
    return (
        (padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]) / step,
        (padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]) / step,
    )


def _blur(maps: torch.Tensor, sigma: float) -> torch.Tensor:
    reach = min(math.ceil(2.5 * sigma), maps.shape[-1] - 1)
    taps = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=maps.device) / sigma) ** 2)
    taps = (taps / taps.sum()).to(maps.dtype)
    padded = F.pad(maps, (reach, reach, reach, reach), mode="replicate")
    return F.conv2d(F.conv2d(padded, taps.view(1, 1, 1, -1)), taps.view(1, 1, -1, 1))
