"""Starting from a saved model."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..model.configuration_tergan import TerGanConfig
from ..model.errors_tergan import InvalidInputError, TerGanError
from ..model.model_loading_tergan import check_model_name, foreseen_loading_errors
from ..model.modeling_tergan import TerGanModel


logger = logging.getLogger(__name__)

# Tensors that mean something only for the labels they were made for.
OF_LABELS = ("classifier.weight", "classifier.bias", "expression_prototypes")
# Buffers that a new model fills itself.
INITIAL_BUFFERS = ("scale", "activation_ranges")
# Of `config.json`, about the file and not about the networks.
OF_THE_FILE = ("architectures", "auto_map", "custom_pipelines", "dtype", "model_type", "transformers_version")


def load_saved(name: str) -> TerGanModel:
    """
    Load the saved model that the argument `pretrained` names.

    Raises:
        InvalidInputError: there is none, or it cannot be read.
    """
    with _loading(name):
        return TerGanModel.from_pretrained(name, use_safetensors=True)


def saved_settings(name: str) -> dict:
    """
    The values of a saved model's configuration, for `TerGanConfig`.

    Raises:
        InvalidInputError: there is no such model, or it cannot be read.
    """
    with _loading(name):
        values, _ = TerGanConfig.get_config_dict(name)
    return {key: value for key, value in values.items() if key not in OF_THE_FILE}


def check_saved(name: str):
    """
    Check that the argument `pretrained` can be the name of a saved model.

    Raises:
        InvalidInputError: it cannot.
    """
    with _loading(name):
        pass


@contextmanager
def _loading(name: str) -> Iterator[None]:
    """Check the argument `pretrained`, and name it in the errors of loading what it names."""
    try:
        check_model_name(name)
        with foreseen_loading_errors(name):
            yield
    except TerGanError as error:
        raise InvalidInputError(f"pretrained: {error}") from error


def shares_expression_encoder(model: TerGanModel, saved: TerGanModel) -> bool:
    """Whether `warm_start` takes over all of a saved model's G_es, so that f(e) of both is the same."""
    ours, theirs = model.expression_encoder, saved.expression_encoder
    shapes, saved_shapes = (
        {name: value.shape for name, value in encoder.named_parameters()} for encoder in (ours, theirs)
    )
    return ours.image_size == theirs.image_size and shapes == saved_shapes


def warm_start(model: TerGanModel, saved: TerGanModel) -> TerGanModel:
    """
    Take over every tensor of a saved model that has the same name and shape; the others stay as they are. If the
    labels differ, classifier and prototypes stay new.

    Args:
        model: changed in place.
        saved: as `from_pretrained` loads it; it is dequantised in place.

    Returns:
        `model`.

    Raises:
        InvalidInputError: nothing fits, or the photo decoders' hidden layers differ in size, so that their modulations
            would mean something else.
    """
    pretrained = saved.name_or_path
    former, size = saved.config, model.config.decoder_mapping_size
    if former.decoder_type == model.config.decoder_type == "photo" and former.decoder_mapping_size not in (0, size):
        raise InvalidInputError(
            f"pretrained: {pretrained} has decoder_mapping_size {former.decoder_mapping_size}, this run has {size}"
        )
    saved.dequantize()
    own, found = model.state_dict(), saved.state_dict()
    if former.expressions != model.config.expressions:
        logger.info(
            "%s knows the expressions %s, this run has %s: classifier and prototypes are new",
            pretrained, ", ".join(former.expressions), ", ".join(model.config.expressions),
        )  # fmt: skip
        found = {name: value for name, value in found.items() if name not in OF_LABELS}
    fitting = {name: value for name, value in found.items() if name in own and own[name].shape == value.shape}
    if not fitting:
        raise InvalidInputError(f"pretrained: no tensor of {pretrained} fits this run's model")
    left = sorted(name for name in set(own) - set(fitting) if name.split(".")[-1] not in INITIAL_BUFFERS)
    with torch.no_grad():
        model.load_state_dict(fitting, strict=False)
    parts = sorted({".".join(name.split(".")[:2]) for name in left})
    logger.info(
        "Started from %s: %d tensors taken over, new: %s", pretrained, len(fitting), ", ".join(parts) or "none"
    )
    return model
