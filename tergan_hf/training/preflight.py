"""What can be checked before hours of training: the hardware's mode, and what the photos must have."""

import logging
from collections.abc import Sequence

import numpy as np
from accelerate import Accelerator
from accelerate.utils import DistributedType

from ..data.photo_set import PhotoSet
from ..model.configuration_tergan import TerGanConfig
from ..model.errors_tergan import InvalidInputError
from ..model.modeling_tergan import TerGanModel
from .arguments import TrainingArguments
from .blendshape_fitting import can_fit_directions


logger = logging.getLogger(__name__)

SHARDED = (DistributedType.DEEPSPEED, DistributedType.FSDP, DistributedType.MEGATRON_LM)


def check_hardware(accelerator: Accelerator):
    """
    Raises:
        InvalidInputError: Accelerate shards the model. It is small, and each stage trains several networks.
    """
    if accelerator.distributed_type in SHARDED:
        raise InvalidInputError(
            f"{accelerator.distributed_type.value} cannot train several networks side by side: run `accelerate config`"
            " again and answer no to DeepSpeed, FSDP and Megatron-LM. Several GPUs need none of them"
        )


def check_photos(
    arguments: TrainingArguments, config: TerGanConfig, sets: Sequence[PhotoSet], pretrained: TerGanModel | None
):
    """
    Check what the stages and the final fit will ask of the photos. Warn about labels without a photo and about losses
    without an effect.

    Args:
        config: of the model to train. sets: training photos. pretrained: the saved model that the run starts from.

    Raises:
        InvalidInputError: no photo has a label or an identity where one is needed, nothing could be drawn, or nothing
            tells how to read or set blendshapes.
    """
    if not any(len(photos.labelled_rows) for photos in sets):
        raise InvalidInputError(
            f"no photo of the sources has one of the labels {', '.join(config.expressions)}: change model.expressions "
            "or the labels"
        )
    needs_identities = [stage for stage in ("identity_stage", "generator_stage") if getattr(arguments, stage).steps]
    if needs_identities and not any(photos.has_identities for photos in sets):
        raise InvalidInputError(
            f"{needs_identities[0]} has no set to draw from: no source has the column `identity` for every photo. Add "
            f"such a source, or set {'.steps=0 '.join(needs_identities)}.steps=0"
        )
    for stage, key in (("identity_stage", "weight"), ("generator_stage", "pair_weight")):
        weights = [getattr(photos, key) for photos in sets if photos.has_identities]
        if getattr(arguments, stage).steps and not any(weights):
            raise InvalidInputError(f"{stage} has no set to draw from: the {key} of every set with identities is 0")
    if arguments.pairs.edited_by_name and arguments.generator_stage.steps:
        _check_edits(config, sets, pretrained)
    keeps_reading = arguments.freeze_expression_encoder or not arguments.generator_stage.steps
    known = any(photos.blendshapes is not None for photos in sets)
    if pretrained is not None and config.blendshape_names and not keeps_reading and not known:
        raise InvalidInputError(
            "stage 2 trains G_es, and no photo of the sources has blendshapes, so that the model would no longer read "
            "them: set freeze_expression_encoder=true, add photos with blendshapes, or set model.blendshape_names=[]"
        )
    _warn_about_labels(config, sets, pretrained)
    _warn_about_losses(arguments, config)


def _warn_about_labels(config: TerGanConfig, sets: Sequence[PhotoSet], pretrained: TerGanModel | None):
    if pretrained is not None and pretrained.config.expressions == config.expressions:
        return
    shown = np.unique(np.concatenate([photos.expressions for photos in sets]))
    if missing := [label for number, label in enumerate(config.expressions) if number not in shown]:
        logger.warning(
            "no training photo shows %s: the model will neither recognise it nor edit to it. Were its photos all held "
            "out? Add some, or leave it out of model.expressions", " or ".join(missing),
        )  # fmt: skip


def _warn_about_losses(arguments: TrainingArguments, config: TerGanConfig):
    weights, idle = arguments.losses, dict[str, str]()
    if config.decoder_type != "photo":
        idle |= dict.fromkeys(("flow", "smoothness"), "the paper's decoder has no flow")
    if arguments.freeze_expression_encoder:
        idle |= dict.fromkeys(("expression_consistency", "recognition"), "G_es is frozen in stage 2")
    if not weights.blendshapes:
        idle["displacement"] = "losses.blendshapes is 0"
    for name, reason in idle.items():
        if getattr(weights, name):
            logger.warning("losses.%s has no effect: %s", name, reason)


def _check_edits(config: TerGanConfig, sets: Sequence[PhotoSet], pretrained: TerGanModel | None):
    off = "set pairs.edited_by_name=0"
    if not config.blendshape_names:
        raise InvalidInputError(f"pairs.edited_by_name needs a model with blendshape_names: {off}")
    learnt = (
        pretrained is not None
        and pretrained.config.blendshape_names == config.blendshape_names
        and bool(pretrained.blendshape_directions.any())
    )
    if not learnt and not can_fit_directions(config.blendshape_names, sets):
        raise InvalidInputError(
            "pairs.edited_by_name needs photos with all of their blendshapes known, such as those of `avatars` or "
            f"`portraits`, and the sources have too few: add such a set, or {off}"
        )
