"""Fit the layers that read and set blendshapes on frozen f(e)."""

from collections.abc import Sequence

import numpy as np
import torch

from ..data.photo_set import PhotoSet
from ..data.ridge_regression import fit_ridge
from ..expressions.blendshapes import COLUMN_NAMES, LEAST_DEVIATION, column_units
from ..model.blendshapes_tergan import EYE_LOOK_NAMES, mirror_blendshapes
from ..model.modeling_tergan import TerGanModel
from .embedding import choose_rows, embed_expressions


@torch.no_grad()
def fit_blendshape_layers(model: TerGanModel, sets: Sequence[PhotoSet], regressor: bool = True):
    """
    Fit `model.blendshape_regressor` and `model.blendshape_directions` by ridge regression on photos with known
    blendshapes and their mirror images: the blendshapes on f(e), and f(e) on the blendshapes.

    A name that no set knows gives 0. So do the directions of names that do not move, and of the eyeLook names, whose
    sums the gaze is. A model that reads no blendshapes is left alone.

    Args:
        regressor: `False` keeps the model's `blendshape_regressor` and, if no set knows blendshapes, its directions.
    """
    if model.blendshape_regressor is None:
        return
    known = [photos for photos in sets if photos.blendshapes is not None]
    if regressor:
        model.blendshape_regressor.weight.zero_()
        model.blendshape_regressor.bias.zero_()
    if regressor or known:
        model.blendshape_directions.zero_()
    if not known:
        return
    embeddings, columns = _embed(model, known)
    if regressor:
        _fit_regressor(model, embeddings, columns)
    _fit_directions(model, embeddings, columns)


def can_fit_directions(blendshape_names: Sequence[str], sets: Sequence[PhotoSet]) -> bool:
    """Whether enough photos of some sets have all blendshapes that directions are fitted for."""
    known = _settable(blendshape_names)
    places = [COLUMN_NAMES.index(name) for name in known]
    complete = sum(
        np.isfinite(photos.blendshapes[:, places]).all(1).sum() for photos in sets if photos.blendshapes is not None
    )
    return 2 * complete > len(known)  # with their mirror images


def _settable(blendshape_names: Sequence[str]) -> list[str]:
    return [name for name in blendshape_names if name in COLUMN_NAMES and name not in EYE_LOOK_NAMES]


def _embed(model: TerGanModel, sets: Sequence[PhotoSet]) -> tuple[np.ndarray, np.ndarray]:
    """f(e) (N, D) and blendshapes (N, 53) in the order and units of `COLUMN_NAMES`, NaN where unknown, of the photos
    of some sets and of their mirror images."""
    embeddings, columns = [], []
    for photos in sets:
        assert photos.blendshapes is not None
        rows = choose_rows(np.arange(len(photos)))
        embeddings.append(embed_expressions(model.expression_encoder, photos, rows, mirrored=True))
        own = torch.from_numpy(photos.blendshapes[rows])
        columns.append(torch.stack([own, mirror_blendshapes(own, COLUMN_NAMES)], dim=1).flatten(0, 1))
    return torch.cat(embeddings).cpu().double().numpy(), torch.cat(columns).double().numpy()


def _fit_regressor(model: TerGanModel, embeddings: np.ndarray, columns: np.ndarray):
    layer, names = model.blendshape_regressor, model.config.blendshape_names
    assert layer is not None
    for number, (name, unit) in enumerate(zip(names, column_units(names))):
        if name not in COLUMN_NAMES:
            continue
        column = columns[:, COLUMN_NAMES.index(name)]
        rows = np.isfinite(column)
        if rows.sum() > embeddings.shape[1]:
            weight, bias = fit_ridge(embeddings[rows], column[rows])
            layer.weight[number] = torch.from_numpy(weight * unit).to(layer.weight)
            layer.bias[number] = float(bias * unit)


def _fit_directions(model: TerGanModel, embeddings: np.ndarray, columns: np.ndarray):
    names, directions = model.config.blendshape_names, model.blendshape_directions
    known = _settable(names)
    values = columns[:, [COLUMN_NAMES.index(name) for name in known]]
    rows = np.isfinite(values).all(1)
    if rows.sum() <= len(known):
        return
    moving = np.flatnonzero(values[rows].std(0) >= LEAST_DEVIATION)
    fitted = [known[column] for column in moving]
    weight, _ = fit_ridge(values[rows][:, moving], embeddings[rows])
    weight /= np.array(column_units(fitted))[:, None]
    places = [names.index(name) for name in fitted]
    directions[:, places] = torch.from_numpy(weight.T).to(directions)
