"""What can be checked before hours of training: the hardware's mode, and what the photos must have."""

from collections.abc import Sequence

from accelerate import Accelerator
from accelerate.utils import DistributedType

from ..data.photo_set import PhotoSet
from ..model.configuration_tergan import TerGanConfig
from ..model.errors_tergan import InvalidInputError
from ..model.modeling_tergan import TerGanModel
from .arguments import TrainingArguments
from .blendshape_fitting import can_fit_directions


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
    Check what the stages and the final fit will ask of the photos.

    Args:
        config: of the model to train. sets: training photos. pretrained: the saved model that the run starts from.

    Raises:
        InvalidInputError: no photo has a label or an identity where one is needed, or nothing tells how to set
            blendshapes.
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
    if arguments.pairs.edited_by_name and arguments.generator_stage.steps:
        _check_edits(config, sets, pretrained)


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
