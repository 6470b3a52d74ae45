"""Fit f(i) anew on the frozen features of G_et, so that it tells strangers apart."""

import logging
from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional as F

from ..data.photo_set import PhotoSet
from ..model.modeling_tergan import TerGanModel
from .embedding import choose_rows, identity_features


logger = logging.getLogger(__name__)

SHRINKAGE = 0.1  # of the scatter within people towards a multiple of the identity matrix


def discriminant_analysis(
    sets: Sequence[tuple[torch.Tensor, np.ndarray]], size: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Linear discriminant analysis (Fisher 1936; Rao 1948): the directions in which people differ most from each other,
    in units of how much photos of one person differ. Every set counts alike.

    Args:
        sets: features (N, D) in doubles and people (N,) of each set.
        size: number of directions.

    Returns:
        weight (size, D) and bias (size,) of a layer whose output is 0 on average.
    """
    within, between, middles = [], [], []
    for features, people in sets:
        names, index = np.unique(people, return_inverse=True)
        index = torch.from_numpy(index)
        sums = features.new_zeros(len(names), features.shape[1]).index_add_(0, index, features)
        means = sums / torch.bincount(index)[:, None]
        rest = features - means[index]
        within.append(rest.T @ rest / (len(features) - len(names)))
        between.append(torch.cov(means.T))
        middles.append(means.mean(0))
    scatter = torch.stack(within).mean(0)
    scatter = scatter + SHRINKAGE * scatter.diagonal().mean() * torch.eye(len(scatter), dtype=scatter.dtype)
    inverse_root = _inverse_root(scatter)
    _, directions = torch.linalg.eigh(inverse_root @ torch.stack(between).mean(0) @ inverse_root)
    weight = directions[:, -size:].flip(1).T @ inverse_root
    weight = F.pad(weight, (0, 0, 0, size - len(weight)))  # where there are fewer features than directions
    return weight, -weight @ torch.stack(middles).mean(0)


def _inverse_root(matrix: torch.Tensor) -> torch.Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return vectors / values.sqrt() @ vectors.T


@torch.no_grad()
def fit_identity(model: TerGanModel, sets: Sequence[PhotoSet]):
    """
    Replace the last layer of G_et by a linear discriminant analysis of the features before it, in place.

    Stage 2 asks of f(i) only what the decoder needs, and the decoder sees the feature maps of G_et as well. After the
    fit the decoder computes the f(i) that it has learnt with from the new one, by least squares.

    Args:
        model: with the photo decoder.
        sets: training photos. Those with several photos of several people are used. If there are none, f(i) stays.
    """
    layer = model.identity_encoder.embedding
    model.eval()
    known = []
    for photos in sets:
        if not photos.has_identities:
            continue
        rows = choose_rows(np.arange(len(photos)))
        people = photos.identities[rows]
        if 1 < len(np.unique(people)) < len(people):
            known.append((identity_features(model.identity_encoder, photos, rows).cpu().double(), people))
    if not known:
        logger.warning("no set has several photos of several people: f(i) stays as it was learnt")
        return
    weight, bias = discriminant_analysis(known, layer.out_features)
    features = torch.cat([own for own, _ in known])
    new = features @ weight.T + bias
    learnt = features @ layer.weight.cpu().double().T + layer.bias.cpu().double()
    with_constant = torch.cat([new, torch.ones_like(new[:, :1])], dim=1)
    solution = torch.linalg.lstsq(with_constant, learnt).solution
    missed = (learnt - with_constant @ solution).var(0).sum() / learnt.var(0).sum()
    logger.info("f(i) fitted anew on %d photos; it holds %.0f %% of the learnt one", len(new), 100 * (1 - missed))
    model.decoder.read_identity_from(solution[:-1].T, solution[-1])
    layer.weight.copy_(weight)
    layer.bias.copy_(bias)
