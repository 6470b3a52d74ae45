"""Let a saved model go on with another G_es: what reads f(e) reads the former one from the new one."""

import logging
from collections.abc import Sequence

import numpy as np
import torch

from ..data.photo_set import PhotoSet
from ..data.ridge_regression import fit_ridge
from ..model.decoder_tergan import TerGanPhotoDecoder
from ..model.encoder_tergan import TerGanEncoder
from ..model.modeling_tergan import TerGanModel
from .embedding import embed_expressions, spread_rows


logger = logging.getLogger(__name__)

MOST_PHOTOS = 3000  # of a set


@torch.no_grad()
def adapt_to_encoder(model: TerGanModel, former: TerGanEncoder, encoder: TerGanEncoder, sets: Sequence[PhotoSet]):
    """
    Let the photo decoder and the blendshape layers compute the f(e) that they have learnt with from a new one, by
    least squares on photos.

    Args:
        model: changed in place. The paper's decoder is left alone.
        former: G_es that the model was trained with. encoder: the new G_es. If their f(e) differ in length, nothing is
            changed.
        sets: training photos. Those with identities are used, as in stage 2, or all if there are none.
    """
    sets = [photos for photos in sets if photos.has_identities] or sets
    if former.embedding.out_features != encoder.embedding.out_features:
        return
    learnt, new = (
        np.concatenate([
            embed_expressions(own, photos, spread_rows(np.arange(len(photos)), MOST_PHOTOS)).cpu().double().numpy()
            for photos in sets
        ])
        for own in (former, encoder)
    )  # fmt: skip
    backwards, shift = _fit(new, learnt)
    held = 1 - (learnt - new @ backwards - shift).var(0).sum() / max(learnt.var(0).sum(), 1e-12)
    logger.info("G_es is new: its f(e) holds %.0f %% of the one that the model has learnt with", 100 * held)
    weight, bias = torch.from_numpy(backwards.T), torch.from_numpy(shift)
    if isinstance(model.decoder, TerGanPhotoDecoder):
        model.decoder.read_expression_from(weight, bias)
    layer, directions = model.blendshape_regressor, model.blendshape_directions
    if layer is not None:
        layer.bias += layer.weight @ bias.to(layer.weight)
        layer.weight.copy_(layer.weight @ weight.to(layer.weight))
        forwards, _ = _fit(learnt, new)
        directions.copy_(torch.from_numpy(forwards.T).to(directions) @ directions)


def _fit(inputs: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """wanted ≈ inputs @ matrix + bias. From few photos nothing is learnt about most directions of f(e): those stay as
    they are."""
    change, bias = fit_ridge(inputs, wanted - inputs)
    return np.eye(len(change)) + change, bias
