"""The arguments of a training run."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

from accelerate.tracking import get_available_trackers
from accelerate.utils import LoggerType
from transformers import PreTrainedConfig

from ..data.augmentation import AugmentationConfig
from ..data.loading import DataSource, source_path
from ..model.configuration_tergan import TerGanConfig
from ..model.errors_tergan import InvalidInputError
from .warm_start import saved_settings


OF_PRETRAINED = "pretrained"
SCHEDULES = (
    "constant", "constant_with_warmup", "linear", "cosine", "cosine_with_restarts", "polynomial", "inverse_sqrt",
)  # fmt: skip
PRECISIONS = ("auto", "no", "bf16", "fp16")
PRESETS = ("paper", "compact", "photo", OF_PRETRAINED)


@dataclass
class OptimizerArguments:
    """
    One stage of training. The defaults are section 4.1's: Adam, batch 64, learning rate 2e-4.

    Args:
        steps: optimiser steps; 0 skips the stage.
        batch_size: per process.
        optimizer: `"adam"` (AdamW if there is weight decay), or `"muon"`: Muon (Jordan et al. 2024) for the
            convolutions and Adam for the rest.
        matrix_learning_rate: of Muon; `learning_rate` is Adam's.
        betas: decided: (0.5, 0.999), the usual choice for a GAN.
        schedule: of the learning rate, `"constant"`, `"constant_with_warmup"`, `"linear"`, `"cosine"`,
            `"cosine_with_restarts"`, `"polynomial"` or `"inverse_sqrt"` (`transformers.get_scheduler`).
        max_grad_norm: gradients are clipped to this norm. `gradient_norm` in the log is their norm before.
        ema_decay: of the averaged weights that are evaluated and saved, less in the first steps, min(ema_decay,
            (1 + n) / (10 + n)) after n of them; 0 saves the raw weights.
        label_smoothing: of the cross-entropy in stage 1.
        mixup: α of mixup (Zhang et al. 2018) in stage 1 of G_es; 0 is no mixup.
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

    def __post_init__(self):
        if self.optimizer not in ("adam", "muon"):
            raise InvalidInputError(f"optimizer must be 'adam' or 'muon', not {self.optimizer!r}")
        if not 0 <= self.ema_decay < 1:
            raise InvalidInputError(f"ema_decay must be at least 0 and less than 1, not {self.ema_decay}")
        if self.schedule not in SCHEDULES:
            raise InvalidInputError(f"schedule must be one of {', '.join(SCHEDULES)}, not {self.schedule!r}")
        if self.warmup_steps and self.schedule == "constant":
            raise InvalidInputError("warmup_steps has no effect with the schedule constant: use constant_with_warmup")


@dataclass
class LossArguments:
    """
    Weights of the objective. The defaults are the paper's equation 10; what is not in the paper starts at 0.

    A term of weight 0 is not computed. The value here is the effective weight of a term, whatever
    `pairs.costly_interval` says.

    Args:
        identity_feature, expression_feature: λ1 and λ2, equations 9 and 8.
        identity_reconstruction, expression_reconstruction: λ3 and λ4, equations 6 and 7.
        identity_consistency, expression_consistency: λ5 and λ6, equations 5 and 4.
        adversarial: λ7, equation 3.
        feature_layers: ω_1 = ω_2 of equations 8 and 9, one per encoder block.
        ground_truth: L1 between x̄ and its truth, for pairs whose true result is known.
        structure: the same L1 at 1/2, 1/4 and 1/8 of the resolution and between neighbouring pixels.
        ground_truth_focus: the weight of a pixel is 1 + focus · |truth − target|, mean over colours.
        uncovered_focus: added to the weight of a pixel where the truth shows what the target hides, such as teeth.
        eye_focus: added to the weight of a pixel of the eyes, in `ground_truth`, `structure` and `flow`.
        mouth_adversarial: hinge loss of a second discriminator that tells painted mouths from true ones, where the
            truth shows what the target hides.
        mouth_features: L1 between that discriminator's features of x̄ and of the truth, at the same places.
        mouth_start: share of stage 2's steps before both terms of the mouth begin, so that x̄ has mouths to judge.
        relative_truth: divide the error of each pair by how much its truth differs from its target, in `ground_truth`
            and `structure`, so that a faint change counts as much as a broad one.
        flow: L1 between the photo decoder's flow and the exact flow of rendered faces.
        smoothness: total variation of the photo decoder's flow. (The paper suggests total variation.)
        blendshapes: in stage 1 of G_es, mean squared error of the blendshapes read from f(e), over their variance.
        displacement: in stage 1 of G_es, how far an error of these blendshapes displaces the points of a face
            (`DisplacementMetric`).
        original_label: in stage 1 of G_es, cross-entropy of the second label of a photo (`original_expression`), read
            by a head of its own.
        recognition: in stage 2, cross-entropy of the expression read from f(e).
        pause_reversal_at_chance: in equations 4 and 5, reverse no gradient while D_es or D_et does worse than chance.
            The encoder should confuse it; without this bound it goes on with ever larger embeddings.
    """

    identity_feature: float = 1.0
    expression_feature: float = 1.0
    identity_reconstruction: float = 1.0
    expression_reconstruction: float = 1.0
    identity_consistency: float = 0.3
    expression_consistency: float = 0.3
    adversarial: float = 0.5
    feature_layers: tuple[float, ...] = (0.5, 0.6, 0.7, 0.88, 0.99)
    ground_truth: float = 0.0
    structure: float = 0.0
    ground_truth_focus: float = 0.0
    uncovered_focus: float = 0.0
    eye_focus: float = 0.0
    mouth_adversarial: float = 0.0
    mouth_features: float = 0.0
    mouth_start: float = 0.0
    relative_truth: bool = False
    flow: float = 0.0
    smoothness: float = 0.0
    blendshapes: float = 0.0
    displacement: float = 0.0
    original_label: float = 0.0
    recognition: float = 0.0
    pause_reversal_at_chance: bool = False


@dataclass
class DiscriminatorArguments:
    """
    Sizes of D, D_es and D_et, which exist only in training. The defaults are section 4.1's.

    Args:
        channels: of D's convolutions.
        hidden_size: of D's shared FC layer.
        branch_sizes: of the FC layers of each branch of D.
        embedding_sizes: of the hidden FC layers of D_es and D_et.
        mouth_channels: of the convolutions of the discriminator of mouths.
        mouth_learning_rate: of that discriminator, which Adam trains.
    """

    channels: tuple[int, ...] = (16, 32, 64, 128)
    hidden_size: int = 1024
    branch_sizes: tuple[int, ...] = (512, 256)
    embedding_sizes: tuple[int, ...] = (32, 16)
    mouth_channels: tuple[int, ...] = (32, 64, 128)
    mouth_learning_rate: float = 1e-3


@dataclass
class PairArguments:
    """
    The pairs of stage 2.

    Args:
        ground_truth_share: share of the pairs that are drawn so that their true result is known. 0 is the paper.
        recognition_share: photos from all sets for the recognition term, as a share of the batch. 0 is the paper.
        edited_by_name: share of the rendered pairs whose expression is given by blendshapes, as in editing by name,
            and not by a photo. It needs a model with `blendshape_names` and `freeze_expression_encoder`. 0 is the
            paper.
        costly_interval: compute the terms that take further passes through encoders and D only every so many steps,
            with weights as many times larger (lazy regularisation, Karras et al. 2020). 1 is the paper.
    """

    ground_truth_share: float = 0.0
    recognition_share: float = 0.0
    edited_by_name: float = 0.0
    costly_interval: int = 1

    def __post_init__(self):
        if self.costly_interval < 1:
            raise InvalidInputError(f"costly_interval must be at least 1, not {self.costly_interval}")


@dataclass
class TrainingArguments:
    """
    A whole training run.

    Args:
        preset: `paper`, `compact` or `photo`, the `TerGanConfig` to start from; or `pretrained`, that of the saved
            model.
        model: changes to the preset's `TerGanConfig`, and `expressions`, the list of labels.
        sources: the photo sets.
        data_root: relative paths of `sources` start here.
        output_dir: checkpoints, logs, samples, and the result in `model/`.
        seed: of all random choices but the split. split_seed: of the choice of validation groups.
        checkpointing_steps, evaluation_steps, logging_steps: optimiser steps between checkpoints, measurements and
            log entries. checkpoints_kept: number of the newest checkpoints of a stage that are kept.
        pretrained: a saved model, a folder or an id on the Hub, whose weights to start from. A stage of 0 steps keeps
            them. Tensors of another shape than this run's are not taken over; with other `expressions`, classifier and
            prototypes are new.
        pretrained_run: the `output_dir` of a finished run: stage 2 goes on from its D, D_es and D_et. For a stage 1 of
            0 steps, equations 8 and 9 keep the encoder that stage 1 of that run made. `pretrained` is then its
            `model/`, unless it is given.
        class_balance: how equally stage 1 and the final classifier weigh the expressions: 1 is every one alike, 0 as
            often as the sets have them (`tergan_hf.data.sampling.class_shares`).
        blendshape_balance: how much more often rendered photos with rare blendshapes are drawn, in both stages
            (`tergan_hf.data.rarity.rarity_weights`): 0 is every photo alike, 1 draws winks and puckers about three
            times as often.
        freeze_expression_encoder: stage 2 keeps G_es as stage 1 made it. It takes a third less work, and recognition
            stays what it was. `false` is the paper.
        freeze_batch_norm: stage 2 keeps the encoders' batch statistics of stage 1, so that photos without identities
            (FER2013), which are absent there, are still read correctly. `false` is the paper.
        fit_identity: after stage 2, fit f(i) anew on the features of G_et by a linear discriminant analysis of the
            training photos, so that it tells strangers apart. Photo decoder only. `false` is the paper.
        push_to_hub: publish the result as `hub_model_id` (`owner/name`), tagged with the name of the run's folder.
            `hub_private_repo` makes a new repository private.
        workers: processes that load data; -1 is none on a CPU and up to 8 beside a GPU.
        photos_on_device: keep all photos in the memory of the training device: about 300 kB a photo at 192 pixels.
        mixed_precision: `auto` is bf16 on a GPU that has it, fp32 elsewhere. On a CPU with AVX-512 BF16 (`lscpu`) a
            step in `bf16` takes about 0.6 of the time; on a CPU without, many times as long. `no` and `fp32` are the
            same, and `auto` follows `accelerate launch --mixed_precision` if that asks for `fp16` or `bf16`.
        report_to: names of trackers that Accelerate knows, such as `tensorboard` (`logs/` in `output_dir`) and
            `trackio`; an empty list is none.
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
    pretrained_run: str | None = None
    class_balance: float = 1.0
    blendshape_balance: float = 0.0
    freeze_expression_encoder: bool = False
    freeze_batch_norm: bool = False
    fit_identity: bool = False
    push_to_hub: bool = False
    hub_model_id: str | None = None
    hub_private_repo: bool | None = None
    workers: int = -1
    photos_on_device: bool = False
    checkpointing_steps: int = 1000
    checkpoints_kept: int = 2
    evaluation_steps: int = 1000
    logging_steps: int = 20
    report_to: list[str] = field(default_factory=lambda: ["tensorboard"])
    resume_from_checkpoint: str | None = None
    expression_stage: OptimizerArguments = field(default_factory=OptimizerArguments)
    identity_stage: OptimizerArguments = field(default_factory=OptimizerArguments)
    generator_stage: OptimizerArguments = field(default_factory=OptimizerArguments)
    losses: LossArguments = field(default_factory=LossArguments)
    discriminators: DiscriminatorArguments = field(default_factory=DiscriminatorArguments)
    pairs: PairArguments = field(default_factory=PairArguments)
    classifier_augmentation: AugmentationConfig = field(default_factory=AugmentationConfig.paper)
    pair_augmentation: AugmentationConfig = field(default_factory=AugmentationConfig.paper)

    def __post_init__(self):
        if self.mixed_precision in (False, "fp32"):  # YAML reads an unquoted no as false
            self.mixed_precision = "no"
        if self.mixed_precision not in PRECISIONS:
            raise InvalidInputError(
                f"mixed_precision must be one of {', '.join(PRECISIONS)}, not {self.mixed_precision!r}"
            )
        for name in ("checkpointing_steps", "checkpoints_kept", "evaluation_steps", "logging_steps"):
            if getattr(self, name) < 1:
                raise InvalidInputError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.pretrained_run and not self.pretrained:
            self.pretrained = str(Path(self.pretrained_run) / "model")
        if self.preset not in PRESETS:
            raise InvalidInputError(f"preset must be one of {', '.join(PRESETS)}, not {self.preset!r}")
        if self.preset == OF_PRETRAINED and not self.pretrained:
            raise InvalidInputError("preset: pretrained needs pretrained, the name of a saved model")
        if not self.sources:
            raise InvalidInputError("sources is empty: name at least one set of photos")
        for key, trains in (("weight", self.expression_stage), ("pair_weight", self.generator_stage)):
            if trains.steps and not any(getattr(source, key) for source in self.sources):
                raise InvalidInputError(f"the {key} of every source is 0: nothing could be drawn")
        names = [source.name for source in self.sources]
        if len(set(names)) != len(names):
            raise InvalidInputError(f"two sources have the same name: {names}")
        if self.pairs.edited_by_name and not self.freeze_expression_encoder:
            raise InvalidInputError("pairs.edited_by_name needs freeze_expression_encoder: true")
        for stage in ("identity_stage", "generator_stage"):
            if getattr(self, stage).mixup:
                raise InvalidInputError(f"{stage}.mixup is not known: only expression_stage has it")
        _check_trackers(self.report_to)
        if self.push_to_hub and not self.hub_model_id:
            raise InvalidInputError("push_to_hub needs hub_model_id, for example --hub_model_id me/ter-gan")

    def model_config(self, **overrides) -> TerGanConfig:
        """
        The preset with the changes of `model`, then `overrides`.

        Raises:
            InvalidInputError: an unknown field, sizes that contradict each other or `losses`, or no saved model.
        """
        settings = dict(self.model)
        known = {item.name for item in dataclasses.fields(TerGanConfig)} - {
            item.name for item in dataclasses.fields(PreTrainedConfig)
        }
        unknown = sorted(set(settings) - known - {"expressions"})
        if unknown:
            raise InvalidInputError(
                f"unknown key 'model.{unknown[0]}'; known here: {', '.join(sorted(known))}, expressions"
            )
        if "expressions" in settings:
            settings["id2label"] = dict(enumerate(settings.pop("expressions")))
            settings["label2id"] = {label: index for index, label in settings["id2label"].items()}
        settings |= overrides
        if self.preset == OF_PRETRAINED:
            assert self.pretrained is not None
            config = TerGanConfig(**{**saved_settings(self.pretrained), **settings})
        else:
            config = getattr(TerGanConfig, self.preset)(**settings)
        blocks = len(config.encoder_channels)
        if len(self.losses.feature_layers) != blocks:
            raise InvalidInputError(f"losses.feature_layers needs one weight per encoder block ({blocks})")
        if self.fit_identity and config.decoder_type != "photo":
            raise InvalidInputError("fit_identity needs the photo decoder (decoder_type: photo)")
        return config

    def resolve(self, path: str) -> str:
        """A source's path: below `data_root`, unless it is absolute or on the Hub."""
        return source_path(path, self.data_root)

    def to_dict(self) -> dict:
        """Plain values, for the log and for `training.yaml` beside the weights."""
        return _plain(dataclasses.asdict(self))


def _check_trackers(names: list[str]):
    known = sorted(set(LoggerType.list()) - {"all"})
    if not isinstance(names, list) or not set(names) <= set(known):
        raise InvalidInputError(f"report_to must be a list of {', '.join(known)}, not {names!r}")
    # Accelerate would leave out a missing one in silence.
    if missing := sorted(set(names) - {str(tracker.value) for tracker in get_available_trackers()}):
        raise InvalidInputError(f"report_to names {missing[0]}, which is not installed: pip install {missing[0]}")


def _plain(value):
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
