"""How far blendshapes move the points of a face, and the loss that weighs their errors by it."""

import numpy as np
import pytest
import torch

from tergan_hf.data.flow_maps import encode_fine_flow_map
from tergan_hf.data.photo_set import PhotoSet
from tergan_hf.expressions.blendshapes import BLENDSHAPE_INDEX, COLUMN_NAMES
from tergan_hf.training.displacements import fit_displacement_metric, fit_displacements


SIDE = 32  # of photos and their flow maps
JAW, PUFF = (BLENDSHAPE_INDEX[name] for name in ("jawOpen", "cheekPuff"))


class MovingFaces(PhotoSet):
    """Sessions of a neutral photo and two others: `jawOpen` moves the lower half of the photo down, five times as far
    as `cheekPuff` moves its right half to the right. Edges are everywhere."""

    has_flow = True
    flow_map_shape = (4, SIDE, SIDE)

    def flow_map(self, row: int, shape=None) -> torch.Tensor:
        offset = np.zeros((2, SIDE, SIDE))
        offset[1, SIDE // 2 :] = -0.05 * self.blendshapes[row, JAW]
        offset[0, :, SIDE // 2 :] = -0.01 * self.blendshapes[row, PUFF]
        return torch.from_numpy(encode_fine_flow_map(offset, 1)).permute(2, 0, 1)

    def pixels(self, row: int, side: int) -> torch.Tensor:
        noise = np.random.default_rng(row).integers(0, 255, (3, side, side), dtype=np.uint8)
        return torch.from_numpy(noise)


def moving_faces(sessions: int = 40, with_neutral: bool = True) -> PhotoSet:
    count = 3 * sessions
    blendshapes = np.zeros((count, len(COLUMN_NAMES)), np.float32)
    blendshapes[:, [JAW, PUFF]] = np.random.default_rng(0).random((count, 2))
    blendshapes[::3] = 0
    scenes, zeros = np.arange(count) // 3, np.zeros(count, int)
    expression_ids = np.arange(count) % 3 + (0 if with_neutral else 1)
    transforms = np.tile([[1 / SIDE, 0, 0], [0, 1 / SIDE, 0]], (count, 1, 1))
    sizes = np.full((count, 2), SIDE)
    return MovingFaces(
        "set", [None] * count, zeros, zeros, scenes, expression_ids, transforms, sizes, blendshapes=blendshapes
    )


def test_a_blendshape_moves_what_it_moves_in_the_photos():
    basis = fit_displacements([moving_faces()], size=16)
    assert basis.shape == (len(COLUMN_NAMES), 2, 16, 16)
    # Shares of the side → [-1, 1], which spans 2.
    assert basis[JAW, 1, 10:].numpy() == pytest.approx(-0.1, abs=0.01)
    assert basis[PUFF, 0, :, 10:].numpy() == pytest.approx(-0.02, abs=0.005)
    assert basis[JAW, 1, :6].abs().max() < 0.01 and basis[PUFF, 1].abs().max() < 0.01
    still = [number for number in range(len(COLUMN_NAMES)) if number not in (JAW, PUFF)]
    assert basis[still].abs().max() < 1e-6


def test_errors_weigh_as_much_as_they_are_seen():
    photos = moving_faces()
    metric = fit_displacement_metric([photos])
    true = torch.from_numpy(photos.blendshapes)

    def loss(column: int, error: float) -> float:
        wrong = torch.zeros(len(COLUMN_NAMES))
        wrong[column] = error
        return float(metric.loss(true + wrong, true))

    assert metric.loss(true, true) < 0.02
    assert loss(JAW, 0.2) == pytest.approx(5 * loss(PUFF, 0.2), rel=0.2)
    assert loss(JAW, 0.4) == pytest.approx(2 * loss(JAW, 0.2), rel=0.05)
    neutral = true[::3]
    wrong = torch.zeros(len(COLUMN_NAMES))
    wrong[JAW] = 0.2
    broad = neutral.clone()
    broad[:, JAW] = 1
    assert metric.loss(neutral + wrong, neutral) > 2 * metric.loss(broad + wrong, broad)


def test_photos_with_an_unknown_blendshape_do_not_count():
    photos = moving_faces()
    metric = fit_displacement_metric([photos])
    true = torch.from_numpy(photos.blendshapes)[1:3]
    read = (true + 0.1).requires_grad_()
    unknown = true.clone()
    unknown[0, 5] = torch.nan
    metric.loss(read, unknown).backward()
    assert read.grad[0].abs().max() == 0 and read.grad[1].abs().max() > 0
    assert metric.loss(read, true * torch.nan) == 0


def test_without_a_neutral_photo_nothing_is_measured():
    assert fit_displacement_metric([moving_faces(with_neutral=False)]) is None
    assert fit_displacements([]) is None
