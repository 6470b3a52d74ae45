"""Fit the layer that reads blendshapes on frozen f(e)."""

from collections.abc import Sequence

import numpy as np
import torch

from ..data.photo_set import PhotoSet
from ..expressions.blendshapes import COLUMN_NAMES, GAZE_DEGREES
from ..model.blendshapes_tergan import GAZE_NAMES, mirror_blendshapes
from ..model.modeling_tergan import TerGanModel
from .embedding import choose_rows, embed_expressions


RIDGE = 1e-3  # of the variance of f(e)


@torch.no_grad()
def fit_blendshape_regressor(model: TerGanModel, sets: Sequence[PhotoSet]):
    """
    Fit `model.blendshape_regressor` by ridge regression on photos with known blendshapes and their mirror images.

    A name that no set knows gives 0. A model that reads no blendshapes is left alone.
    """
    layer, names = model.blendshape_regressor, model.config.blendshape_names
    if layer is None:
        return
    layer.weight.zero_()
    layer.bias.zero_()
    known = [photos for photos in sets if photos.blendshapes is not None]
    if not known:
        return
    features, values = [], []
    for photos in known:
        assert photos.blendshapes is not None
        rows = choose_rows(np.arange(len(photos)))
        features.append(embed_expressions(model.expression_encoder, photos, rows, mirrored=True))
        own = torch.from_numpy(photos.blendshapes[rows])
        values.append(torch.stack([own, mirror_blendshapes(own, COLUMN_NAMES)], dim=1).flatten(0, 1))
    inputs, wanted = torch.cat(features).double().cpu(), torch.cat(values).double()
    for number, name in enumerate(names):
        if name not in COLUMN_NAMES:
            continue
        column = wanted[:, COLUMN_NAMES.index(name)]
        rows = column.isfinite()
        if rows.sum() > inputs.shape[1]:
            weight, bias = _ridge(inputs[rows], column[rows])
            unit = GAZE_DEGREES if name in GAZE_NAMES else 1.0
            layer.weight[number] = (weight * unit).to(layer.weight)
            layer.bias[number] = (bias * unit).to(layer.bias)


def _ridge(inputs: torch.Tensor, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight (D,) and bias of the ridge regression of (N,) on (N, D)."""
    mean, middle = inputs.mean(0), wanted.mean()
    centred = inputs - mean
    covariance = centred.T @ centred / len(inputs)
    penalty = RIDGE * covariance.diagonal().mean() * torch.eye(len(covariance), dtype=inputs.dtype)
    weight = torch.linalg.solve(covariance + penalty, centred.T @ (wanted - middle) / len(inputs))
    return weight, middle - mean @ weight
