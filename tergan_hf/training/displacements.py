"""How far each blendshape moves the points of a face: a linear model, learnt from photos with known flow."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from ..data.ground_truth import true_flow
from ..data.photo_set import PhotoSet, aligned_crops
from ..data.ridge_regression import fit_ridge
from .embedding import spread_rows


GRID_SIZE = 48
MOST_PHOTOS = 3000  # of a set
BATCH_SIZE = 256
LEAST_DISPLACEMENT = 1e-4  # of [-1, 1]; the root has no gradient at 0


@dataclass(frozen=True)
class DisplacementMetric:
    """
    Tell how visible an error of the blendshapes is: by how much it displaces the points of a face. A wrong `jawOpen`
    moves more points, and further, than a wrong `cheekPuff`. Points count as their surroundings have edges, because a
    movement of smooth skin is not seen.

    Attributes:
        matrix: (53, 53), symmetric. The mean squared displacement of a difference d of blendshapes is d @ matrix @ d.
        usual: the root of it between neutral and the photos, on average.
    """

    matrix: torch.Tensor
    usual: float

    def loss(self, read: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """
        Displacement between the blendshapes that are read and the true ones, over that between neutral and the true
        ones plus `usual`. So an error in a faint expression counts more than the same error in a broad one.

        Args:
            read: (B, 53) in the order and units of `COLUMN_NAMES`. wanted: the same; photos with NaN do not count.
        """
        known, true = wanted.isfinite().all(1), wanted.nan_to_num()
        relative = self.displacement(read.float() - true) / (self.displacement(true) + self.usual)
        return (relative * known).sum() / known.sum().clamp(min=1)

    def displacement(self, difference: torch.Tensor) -> torch.Tensor:
        """Root mean square displacement (B,) of differences of blendshapes (B, 53)."""
        squared = ((difference @ self.matrix.to(difference)) * difference).sum(1)
        return (squared.clamp(min=0) + LEAST_DISPLACEMENT**2).sqrt()


def fit_displacements(sets: Sequence[PhotoSet], size: int = GRID_SIZE) -> torch.Tensor | None:
    """
    Fit the flow from the neutral photo of a session to its other photos as a sum over blendshapes, by ridge
    regression.

    Args:
        sets: training photos. Those with flow maps and blendshapes are used.
        size: side of the flow in pixels.

    Returns:
        (53, 2, size, size): the flow of one unit of each of `COLUMN_NAMES` in the aligned crop, as in `TerGanChange`.
        `None` without such sets.
    """
    measured = _measured_photos(sets)
    if not measured:
        return None
    flows = [_flows_from_neutral(own, size) for own in measured]
    blendshapes = np.concatenate([own.blendshapes for own in measured])
    basis, _ = fit_ridge(blendshapes.astype(float), torch.cat(flows).flatten(1).double().numpy())
    return torch.from_numpy(basis).float().unflatten(1, (2, size, size))


def fit_displacement_metric(sets: Sequence[PhotoSet]) -> DisplacementMetric | None:
    """Fit the metric to the training photos with flow maps and blendshapes; `None` without any."""
    basis = fit_displacements(sets)
    if basis is None:
        return None
    measured = _measured_photos(sets)
    weighted = basis * _edges(measured, basis.shape[-1]).sqrt()
    matrix = weighted.flatten(1) @ weighted.flatten(1).T / weighted[0].numel()
    values = torch.from_numpy(np.concatenate([own.blendshapes for own in measured])).float()
    return DisplacementMetric(matrix, float(DisplacementMetric(matrix, 0.0).displacement(values).mean()))


class _Measured(NamedTuple):
    """Photos of a set that are not neutral, with the neutral photo of their session.

    Args:
        rows, neutral: row numbers. blendshapes: (rows, 53), all known.
    """

    photos: PhotoSet
    rows: np.ndarray
    neutral: np.ndarray
    blendshapes: np.ndarray


def _measured_photos(sets: Sequence[PhotoSet]) -> list[_Measured]:
    """At most `MOST_PHOTOS` of each set with flow maps and blendshapes."""
    measured = []
    for photos in sets:
        if photos.has_flow and photos.blendshapes is not None:
            neutral = photos.neutral_rows()
            known = np.isfinite(photos.blendshapes).all(1) & (neutral >= 0) & (neutral != np.arange(len(photos)))
            if known.any():
                rows = spread_rows(np.flatnonzero(known), MOST_PHOTOS)
                measured.append(_Measured(photos, rows, neutral[rows], photos.blendshapes[rows]))
    return measured


def _flows_from_neutral(measured: _Measured, size: int) -> torch.Tensor:
    """The exact flow (rows, 2, size, size) from the neutral photos, in their aligned crops, as in `TerGanChange`; 0
    where it is unknown."""
    photos, flows = measured.photos, []
    for rows, neutral in zip(_batches(measured.rows), _batches(measured.neutral)):
        maps, still = (torch.stack([photos.flow_map(row) for row in part]) for part in (rows, neutral))
        to_photo = torch.stack([photos.crop_to_photo(row) for row in neutral])
        aligned = torch.eye(2, 3).expand(len(rows), 2, 3)
        flow, known = true_flow(still, maps, aligned, to_photo, size)
        flows.append(flow * known)
    return torch.cat(flows)


def _edges(measured: list[_Measured], size: int) -> torch.Tensor:
    """(size, size), the mean difference of neighbouring pixels of the photos at each place, on average 1."""
    total = torch.zeros(size, size)
    for own in measured:
        for part in _batches(own.rows[: 2 * BATCH_SIZE]):
            grey = aligned_crops(own.photos, part, 2 * size, "cpu").mean(1, keepdim=True)
            across, down = (F.pad(grey.diff(dim=axis).abs(), pad) for axis, pad in ((3, (0, 1)), (2, (0, 0, 0, 1))))
            total += F.avg_pool2d(across + down, 2).sum((0, 1))
    return total / total.mean()


def _batches(rows: np.ndarray) -> Iterator[np.ndarray]:
    return (rows[start : start + BATCH_SIZE] for start in range(0, len(rows), BATCH_SIZE))
