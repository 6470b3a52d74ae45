"""Going on from a saved model."""

import logging

import torch

from ..modeling_tergan import TerGanModel
from .widening import can_widen, widen_decoder


logger = logging.getLogger(__name__)


def warm_start(model: TerGanModel, saved: TerGanModel) -> TerGanModel:
    """
    Take over every tensor of a saved model that has the same name and shape; the others stay as they are. A photo
    decoder with whole multiples of the saved one's channels begins as that one, see `widen_decoder`.

    Args:
        model: changed in place.
        saved: as `from_pretrained` loads it.

    Returns:
        `model`.

    Raises:
        ValueError: the labels differ, so that classifier and prototypes would mean something else; or nothing fits.
    """
    pretrained = saved.name_or_path
    if saved.config.expressions != model.config.expressions:
        raise ValueError(
            f"pretrained: {pretrained} knows the expressions {', '.join(saved.config.expressions)}, this run has "
            f"{', '.join(model.config.expressions)}"
        )
    own, found = model.state_dict(), saved.state_dict()
    if can_widen(saved.config, model.config):
        wider = widen_decoder(saved.decoder.state_dict(), saved.config, model.config, model.decoder.shaded_block)
        found.update({f"decoder.{name}": value for name, value in wider.items()})
    fitting = {name: value for name, value in found.items() if name in own and own[name].shape == value.shape}
    if not fitting:
        raise ValueError(f"pretrained: no tensor of {pretrained} fits this run's model")
    left = sorted(set(own) - set(fitting))
    with torch.no_grad():
        model.load_state_dict(fitting, strict=False)
    parts = sorted({".".join(name.split(".")[:2]) for name in left})
    logger.info(
        "Started from %s: %d tensors taken over, new: %s", pretrained, len(fitting), ", ".join(parts) or "none"
    )
    return model
