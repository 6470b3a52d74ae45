"""What a training run can be told."""

import dataclasses
from dataclasses import dataclass, field

from transformers import PreTrainedConfig

from ..configuration_tergan import TerGanConfig
from ..data.augmentation import AugmentationConfig
from ..data.loading import DataSource, source_path


PRESETS = ("paper", "compact", "photo")


@dataclass
class OptimizerArguments:
    """Adam as in section 4.1 (batch 64, learning rate 2e-4).

    Args:
        optimizer: `"adam"`, with weight decay the decoupled kind, or `"muon"`: Muon (Jordan et al. 2024) for the
            convolutions, Adam for the rest.
        matrix_learning_rate: of Muon; `learning_rate` is Adam's.
        steps: optimiser steps; 0 leaves the stage out.
        batch_size: per process.
        betas: decided: (0.5, 0.999), the usual choice for a GAN.
        schedule: a name `transformers.get_scheduler` knows.
        ema_decay: of the averaged weights that are evaluated and saved; 0 saves the raw ones.
        mixup: α of mixup (Zhang et al. 2018) in stage 1 of G_es; 0 mixes nothing.
        distillation: share, in a photo's label in stage 1 of G_es, of what `teachers` answer for the same crop,
            against labels that are wrong. 0 trusts the labels.
        consensus: share, in the loss of stage 1 of G_es, of `consensus.Consensus`: f(e) of a rendered photo becomes
            what `pretrained` reads on average in photos of several people with its recipe, other photos' stays. 1
            leaves labels out. G_es keeps its batch statistics.
        nuances: with `consensus`, how many numbers of f(e) are to tell what recipes change in a face beyond what f(e)
            tells, see `nuances.Nuances`.
        transfer: with `consensus`, weight of `transfer_term.TransferTerm`: how far results are from their truth that
            the decoder of `pretrained`, which stays as it is, makes by this f(e).
    """

    steps: int = 10_000
    batch_size: int = 64
    optimizer: str = "adam"
    learning_rate: float = 2e-4
    matrix_learning_rate: float = 0.02
    betas: tuple[float, float] = (0.5, 0.999)
    weight_decay: float = 0.0
    schedule: str = "constant"
    warmup_steps: int = 0
    max_grad_norm: float = 5.0
    ema_decay: float = 0.999
    label_smoothing: float = 0.0
    mixup: float = 0.0
    distillation: float = 0.0
    consensus: float = 0.0
    nuances: int = 0
    transfer: float = 0.0

    def __post_init__(self):
        for name in ("distillation", "consensus"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be between 0 and 1, not {getattr(self, name)}")
        if self.nuances and not self.consensus:
            raise ValueError(f"nuances ({self.nuances}) are part of consensus, which is 0")
        if self.transfer and not self.consensus:
            raise ValueError(f"transfer ({self.transfer}) comes beside consensus, which is 0")
        if self.optimizer not in ("adam", "muon"):
            raise ValueError(f"optimizer must be 'adam' or 'muon', not {self.optimizer!r}")


@dataclass
class PairArguments:
    """Stage 2's pairs.

    Args:
        ground_truth_share: how many pairs are drawn so that their true result is known. 0 is the paper.
        recognition_share: photos from all sets for the recognition term, as a share of the batch. 0 is the paper.
        back_translation: a share of the batch whose truth is any photograph, and whose target is what the model, as it
            was at the start of the stage, made of it (`training/back_translation.py`). 0 is the paper.
        costly_interval: compute the terms that take further passes through encoders and D every so many steps, with
            weights as many times larger. 1 is the paper.
    """

    ground_truth_share: float = 0.0
    recognition_share: float = 0.0
    back_translation: float = 0.0
    costly_interval: int = 1

    def __post_init__(self):
        if not 0 <= self.back_translation < 1:
            raise ValueError(f"back_translation must be at least 0 and below 1, not {self.back_translation}")


@dataclass
class TrainingArguments:
    """
    A whole training run.

    Args:
        preset: `paper`, `compact` or `photo`, the `TerGanConfig` to start from.
        model: changes to the preset's `TerGanConfig`, and `expressions`, the list of labels.
        sources: the photo sets.
        data_root: relative paths of `sources` start here.
        output_dir: checkpoints, logs, samples, and the result in `model/`.
        pretrained: a saved model, a folder or an id on the Hub, whose weights to start from; a stage of 0 steps leaves
            them as they are. Tensors of another shape than this run's are not taken over.
        teachers: saved models, folders or ids on the Hub, whose mean answer `expression_stage.distillation` takes;
            default: `pretrained`.
        class_balance: how equally stage 1 and the final classifier weigh the expressions: 1 every one alike, 0 as
            often as the sets have them; between, tempered (`tergan_hf.data.sampling.class_shares`).
        push_to_hub: publish the result as `hub_model_id` (`owner/name`), tagged with the run's folder name.
            `hub_private_repo` makes a new repository private.
        workers: processes that load data; -1 is none on a CPU, whose cores are busy, and up to 8 beside a GPU.
        photos_on_device: keep all photos in the memory of the device that trains, so that a GPU does not wait for
            workers: about 130 kB a photo at 128 pixels. On a CPU this is main memory, where otherwise a set keeps
            1.5 GiB of decoded photos.
        mixed_precision: `auto` is bf16 on a GPU that has it, fp32 elsewhere. On a CPU with AVX-512 BF16 (`lscpu`) a
            step in `bf16` takes about 0.6 of the time; on a CPU without, many times as long.
        resume_from_checkpoint: a checkpoint folder, or `latest`.
    """

    sources: list[DataSource]
    preset: str = "paper"
    model: dict = field(default_factory=dict)
    data_root: str = "."
    output_dir: str = "runs/tergan"
    seed: int = 0
    split_seed: int = 0
    mixed_precision: str = "auto"
    pretrained: str | None = None
    teachers: list[str] = field(default_factory=list)
    class_balance: float = 1.0
    push_to_hub: bool = False
    hub_model_id: str | None = None
    hub_private_repo: bool | None = None
    workers: int = -1
    photos_on_device: bool = False
    checkpointing_steps: int = 1000
    checkpoints_kept: int = 2
    evaluation_steps: int = 1000
    logging_steps: int = 20
    resume_from_checkpoint: str | None = None
    expression_stage: OptimizerArguments = field(default_factory=OptimizerArguments)
    identity_stage: OptimizerArguments = field(default_factory=OptimizerArguments)
    generator_stage: OptimizerArguments = field(default_factory=OptimizerArguments)
    pairs: PairArguments = field(default_factory=PairArguments)
    classifier_augmentation: AugmentationConfig = field(default_factory=AugmentationConfig.paper)
    pair_augmentation: AugmentationConfig = field(default_factory=AugmentationConfig.paper)

    def __post_init__(self):
        if self.preset not in PRESETS:
            raise ValueError(f"preset must be one of {', '.join(PRESETS)}, not {self.preset!r}")
        if not self.sources:
            raise ValueError("sources is empty: name at least one set of photos")
        names = [source.name for source in self.sources]
        if len(set(names)) != len(names):
            raise ValueError(f"two sources have the same name: {names}")
        if self.expression_stage.distillation and not (self.teachers or self.pretrained):
            raise ValueError(
                "expression_stage.distillation needs a model to learn from: name it in 'teachers' or 'pretrained'"
            )
        if self.expression_stage.consensus and not self.pretrained:
            raise ValueError("expression_stage.consensus needs a model that has learnt: name it in 'pretrained'")
        if self.pairs.back_translation and not self.pretrained:
            raise ValueError("pairs.back_translation needs a model that can make targets: name it in 'pretrained'")
        for stage in ("identity_stage", "generator_stage"):
            for name in ("mixup", "distillation", "consensus", "transfer"):
                if getattr(getattr(self, stage), name):
                    raise ValueError(f"{stage}.{name} is not known: only expression_stage has it")
        if self.push_to_hub and not self.hub_model_id:
            raise ValueError("push_to_hub needs hub_model_id, for example --hub_model_id me/ter-gan")

    def model_config(self, **overrides) -> TerGanConfig:
        """The preset with the changes of `model`, then `overrides`."""
        settings = dict(self.model)
        known = {item.name for item in dataclasses.fields(TerGanConfig)} - {
            item.name for item in dataclasses.fields(PreTrainedConfig)
        }
        unknown = sorted(set(settings) - known - {"expressions"})
        if unknown:
            raise ValueError(f"unknown key 'model.{unknown[0]}'; known here: {', '.join(sorted(known))}, expressions")
        if "expressions" in settings:
            settings["id2label"] = dict(enumerate(settings.pop("expressions")))
            settings["label2id"] = {label: index for index, label in settings["id2label"].items()}
        return getattr(TerGanConfig, self.preset)(**{**settings, **overrides})

    def resolve(self, path: str) -> str:
        """A source's path: below `data_root`, unless it is absolute or on the Hub."""
        return source_path(path, self.data_root)

    def to_dict(self) -> dict:
        """Plain values, for the log and for `training.yaml` beside the weights."""
        return _plain(dataclasses.asdict(self))


def _plain(value):
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
