"""Fit the layer that reads blendshapes on frozen f(e)."""

from collections.abc import Sequence

import numpy as np
import torch

from ..data.photo_set import PhotoSet
from ..data.ridge_regression import fit_ridge
from ..expressions.blendshapes import COLUMN_NAMES, column_units
from ..model.blendshapes_tergan import mirror_blendshapes
from ..model.modeling_tergan import TerGanModel
from .embedding import choose_rows, embed_expressions


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
    inputs, wanted = torch.cat(features).double().cpu().numpy(), torch.cat(values).double().numpy()
    for number, (name, unit) in enumerate(zip(names, column_units(names))):
        if name not in COLUMN_NAMES:
            continue
        column = wanted[:, COLUMN_NAMES.index(name)]
        rows = np.isfinite(column)
        if rows.sum() > inputs.shape[1]:
            weight, bias = fit_ridge(inputs[rows], column[rows])
            layer.weight[number] = torch.from_numpy(weight * unit).to(layer.weight)
            layer.bias[number] = float(bias * unit)
