"""Going on from a saved model."""

import logging

import torch

from ..modeling_tergan import TerGanModel
from .widening import widened_tensors


logger = logging.getLogger(__name__)


def reads_alike(model: TerGanModel, saved: TerGanModel) -> bool:
    """Whether `warm_start` takes over all of a saved model's G_es."""
    ours, theirs = (each.expression_encoder for each in (model, saved))
    shapes = ({name: value.shape for name, value in encoder.named_parameters()} for encoder in (ours, theirs))
    return ours.image_size == theirs.image_size and next(shapes) == next(shapes)


def warm_start(model: TerGanModel, saved: TerGanModel) -> TerGanModel:
    """
    Take over every tensor of a saved model that has the same name and shape; the others stay as they are. A G_es or
    photo decoder with whole multiples of the saved one's channels begins as that one, see `widened_tensors`.

    Args:
        model: changed in place.
        saved: as `from_pretrained` loads it.

    Returns:
        `model`.

    Raises:
        ValueError: the labels differ, so that classifier and prototypes would mean something else; the photo decoders'
            hidden layers differ in size, so that the modulations would; or nothing fits.
    """
    pretrained = saved.name_or_path
    if saved.config.expressions != model.config.expressions:
        raise ValueError(
            f"pretrained: {pretrained} knows the expressions {', '.join(saved.config.expressions)}, this run has "
            f"{', '.join(model.config.expressions)}"
        )
    former, size = saved.config, model.config.decoder_mapping_size
    if former.decoder_type == model.config.decoder_type == "photo" and former.decoder_mapping_size not in (0, size):
        raise ValueError(
            f"pretrained: {pretrained} has decoder_mapping_size {former.decoder_mapping_size}, this run has {size}"
        )
    saved.expression_encoder.leave_int8()  # this run's model may compute in floats
    own, found = model.state_dict(), saved.state_dict() | widened_tensors(saved, model)
    fitting = {name: value for name, value in found.items() if name in own and own[name].shape == value.shape}
    if not fitting:
        raise ValueError(f"pretrained: no tensor of {pretrained} fits this run's model")
    begins_alike = ("scale", "activation_ranges")
    left = sorted(name for name in set(own) - set(fitting) if name.split(".")[-1] not in begins_alike)
    with torch.no_grad():
        model.load_state_dict(fitting, strict=False)
    parts = sorted({".".join(name.split(".")[:2]) for name in left})
    logger.info(
        "Started from %s: %d tensors taken over, new: %s", pretrained, len(fitting), ", ".join(parts) or "none"
    )
    return model
