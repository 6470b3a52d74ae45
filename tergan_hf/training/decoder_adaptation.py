"""Let a saved decoder go on with the f(e) of a G_es that was trained anew."""

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
def adapt_decoder(
    model: TerGanModel, former: TerGanEncoder, encoder: TerGanEncoder, sets: Sequence[PhotoSet]
) -> float:
    """
    Let the photo decoder compute the f(e) that it has learnt with from a new f(e), by least squares on photos.

    Args:
        model: its decoder is changed in place. Other decoders than the photo decoder are left alone.
        former: G_es of the decoder's training. encoder: the new G_es.
        sets: training photos. Those with identities are used, as in stage 2.

    Returns:
        share of the variance of the former f(e) that the new one holds; NaN if the decoder was left alone.
    """
    known = [photos for photos in sets if photos.has_identities]
    sizes = {former.embedding.out_features, encoder.embedding.out_features}
    if not isinstance(model.decoder, TerGanPhotoDecoder) or not known or len(sizes) > 1:
        return float("nan")
    learnt, new = (
        np.concatenate([
            embed_expressions(own, photos, spread_rows(np.arange(len(photos)), MOST_PHOTOS)).double().cpu().numpy()
            for photos in known
        ])
        for own in (former, encoder)
    )  # fmt: skip
    # From few photos nothing is learnt about most directions of f(e): those stay as they are.
    change, bias = fit_ridge(new, learnt - new)
    weight = np.eye(len(change)) + change
    held = 1 - (learnt - new @ weight - bias).var(0).sum() / learnt.var(0).sum()
    logger.info("G_es is new: its f(e) holds %.0f %% of the one that the decoder has learnt with", 100 * held)
    model.decoder.read_expression_from(torch.from_numpy(weight.T), torch.from_numpy(bias))
    return float(held)
