"""A decoder that learnt with one G_es goes on with another."""

import logging

import torch
from torch import nn

from ..data.sampling import Chips
from ..modeling_tergan import ConditionMapping, TerGanEncoder, TerGanModel
from .encoder_classifier import EncoderClassifier
from .finalize import choose_rows, embed_expressions


logger = logging.getLogger(__name__)

PHOTOS = 3000  # of a set; the fit has some hundred numbers to find


def can_rebase(model: TerGanModel, former: TerGanModel) -> bool:
    """Whether `model` has taken over `former`'s photo decoder, and its f(e) has the former's length."""
    ours, theirs = model.config, former.config
    return (
        ours.decoder_type == theirs.decoder_type == "photo"
        and ours.expression_embedding_size == theirs.expression_embedding_size
    )


@torch.no_grad()
def rebase_decoder(model: TerGanModel, former: TerGanEncoder, new: EncoderClassifier, sets: list[Chips]) -> float:
    """
    Express the photo decoder's conditions in a new G_es's f(e).

    The former f(e) is fitted linearly to the new one on training photos, f = A n + b. The modulations, and the hidden
    layer before them, are linear in f(e), so A and b go into their weights, and the decoder goes on nearly as before.
    The new f(e) is scaled so that two photos differ on average as much as in the former: `expression_gate` and the
    losses keep their meaning.

    Args:
        model: its decoder is changed in place.
        former: the G_es the decoder was trained with.
        new: the G_es it is to be trained with; its embedding and head are rescaled in place.
        sets: those with identities are used, as in stage 2.

    Returns:
        the share of the former f(e)'s variance that the new one explains.
    """
    former_embeddings, new_embeddings = [], []
    for chips in (chips for chips in sets if chips.has_identities):
        rows = choose_rows(chips, PHOTOS)
        former_embeddings.append(embed_expressions(former, chips, rows).cpu())
        new_embeddings.append(embed_expressions(new.encoder, chips, rows).cpu())
    before, after = torch.cat(former_embeddings), torch.cat(new_embeddings)

    scale = float((before.var(0).sum() / after.var(0).sum()).sqrt())
    for parameter in (new.encoder.embedding.weight, new.encoder.embedding.bias):
        parameter.mul_(scale)
    for layer in (new.head, new.activation_head):
        if layer is not None:
            layer.weight.div_(scale)
    after = after * scale

    design = torch.cat([after, torch.ones(len(after), 1)], dim=1).double()
    solution = torch.linalg.lstsq(design, before.double()).solution
    explained = 1 - float((before - design @ solution).square().sum() / (before - before.mean(0)).square().sum())
    matrix, shift = solution[:-1].T.float(), solution[-1].float()
    matrix, shift = matrix.to(model.device), shift.to(model.device)
    for layer in _modulations(model):
        _rebase_layer(layer, matrix, shift)
    if isinstance(model.decoder.mapping, ConditionMapping):
        _rebase_layer(model.decoder.mapping.hidden, matrix, shift)
        _rebase_output(model.decoder.mapping.output, torch.linalg.pinv(matrix))
    logger.info("The new f(e) explains %.1f %% of the former one, which the decoder was trained with", 100 * explained)
    return explained


def _modulations(model: TerGanModel) -> list[nn.Linear]:
    return [module.modulation for module in model.decoder.modules() if hasattr(module, "modulation")]


def _rebase_layer(layer: nn.Linear, matrix: torch.Tensor, shift: torch.Tensor):
    """The layer's input begins with two f(e): wanted, own."""
    size = len(matrix)
    wanted, own, identity = layer.weight.split([size, size, layer.in_features - 2 * size], dim=1)
    layer.bias.add_((wanted + own) @ shift)
    layer.weight.copy_(torch.cat([wanted @ matrix, own @ matrix, identity], dim=1))


def _rebase_output(layer: nn.Linear, inverse: torch.Tensor):
    """The layer's output is added to a condition that begins with two f(e): wanted, own."""
    size = len(inverse)
    for values in (layer.weight, layer.bias):
        for part in (values[:size], values[size : 2 * size]):
            part.copy_(inverse @ part)
