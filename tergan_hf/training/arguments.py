"""What `train_accelerate.py` can be told: a YAML file, and dotted overrides on the command line."""

import argparse
import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from ..configuration_tergan import TerGanConfig
from ..data.augmentation import AugmentationConfig
from ..data.loading import DataSource


@dataclass
class OptimizerArguments:
    """Adam as in section 4.1 (batch 64, learning rate 2e-4).

    Args:
        steps: optimiser steps; 0 leaves the stage out.
        batch_size: per process.
        betas: decided: (0.5, 0.999), the usual choice for a GAN.
        schedule: a name `transformers.get_scheduler` knows.
        ema_decay: of the averaged weights that are evaluated and saved; 0 saves the raw ones.
    """

    steps: int = 10_000
    batch_size: int = 64
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    weight_decay: float = 0.0
    schedule: str = "constant"
    warmup_steps: int = 0
    max_grad_norm: float = 5.0
    ema_decay: float = 0.999
    label_smoothing: float = 0.0


@dataclass
class PairArguments:
    """Stage 2's pairs.

    Args:
        ground_truth_share: how many pairs are drawn so that their true result is known. 0 is the paper.
        recognition_share: photos from all sets for the recognition term, as a share of the batch. 0 is the paper.
        costly_interval: compute the terms that take further passes through encoders and D every so many steps, with
            weights as many times larger. 1 is the paper.
    """

    ground_truth_share: float = 0.0
    recognition_share: float = 0.0
    costly_interval: int = 1


@dataclass
class TrainingArguments:
    """
    A whole training run.

    Args:
        preset: `paper` or `compact`, the `TerGanConfig` to start from.
        model: changes to the preset.
        sources: the photo sets.
        data_root: relative paths of `sources` start here.
        output_dir: checkpoints, logs, samples, and the result in `model/`.
        workers: processes that load data; -1 is none on a CPU, whose cores are busy, and up to 8 beside a GPU.
        mixed_precision: `auto` is bf16 on a GPU that has it, fp32 elsewhere.
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
    workers: int = -1
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
        if self.preset not in ("paper", "compact"):
            raise ValueError(f"preset must be 'paper' or 'compact', not {self.preset!r}")
        if not self.sources:
            raise ValueError("sources is empty: name at least one set of photos")
        names = [source.name for source in self.sources]
        if len(set(names)) != len(names):
            raise ValueError(f"two sources have the same name: {names}")

    def model_config(self, **overrides) -> TerGanConfig:
        """The preset with the changes of `model`, then `overrides`."""
        settings = dict(self.model)
        if "expressions" in settings:
            settings["id2label"] = dict(enumerate(settings.pop("expressions")))
            settings["label2id"] = {label: index for index, label in settings["id2label"].items()}
        return getattr(TerGanConfig, self.preset)(**{**settings, **overrides})

    def resolve(self, path: str) -> str:
        """A source's path: below `data_root` where something is there, unchanged (a Hub id) otherwise."""
        below = Path(self.data_root) / path
        return str(below) if below.exists() else path

    def to_dict(self) -> dict:
        """Plain values, for the log and for `training.yaml` beside the weights."""
        return dataclasses.asdict(self)


def parse_arguments(argv: list[str] | None = None) -> TrainingArguments:
    """Read the command line.

    Raises:
        SystemExit: an unknown option or key, or a value of the wrong kind; the message names it.
    """
    parser = argparse.ArgumentParser(
        description="Train TER-GAN: stage 1 (encoders as classifiers), then stage 2 (the whole network).",
        epilog="example: accelerate launch train_accelerate.py --config configs/compact.yaml --data_root data",
    )
    parser.add_argument("--config", required=True, help="YAML file, see configs/")
    parser.add_argument("--data_root", help="folder that relative data paths start from")
    parser.add_argument("--output_dir", help="where checkpoints, logs and the model go")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--resume_from_checkpoint", help="a checkpoint folder, or 'latest'")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="KEY=VALUE", dest="overrides",
        help="change any value of the YAML file, for example generator_stage.steps=100",
    )  # fmt: skip
    options = parser.parse_args(argv)
    try:
        with open(options.config, encoding="utf-8") as file:
            values = yaml.safe_load(file)
        if not isinstance(values, dict):
            raise ValueError(f"{options.config} does not hold a mapping")
        for name in ("data_root", "output_dir", "seed", "resume_from_checkpoint"):
            if getattr(options, name) is not None:
                values[name] = getattr(options, name)
        for override in options.overrides:
            _set(values, override)
        return _build(TrainingArguments, values, "")
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
        parser.error(str(error))


def _set(values: dict, override: str):
    key, separator, value = override.partition("=")
    if not separator:
        raise ValueError(f"--set needs KEY=VALUE, got {override!r}")
    *parents, last = key.split(".")
    for parent in parents:
        # A copy: with YAML anchors two keys may share one mapping.
        values[parent] = dict(values.get(parent) or {})
        values = values[parent]
    values[last] = yaml.safe_load(value)


_NESTED = {
    "expression_stage": OptimizerArguments,
    "identity_stage": OptimizerArguments,
    "generator_stage": OptimizerArguments,
    "pairs": PairArguments,
    "classifier_augmentation": AugmentationConfig,
    "pair_augmentation": AugmentationConfig,
}


def _build(kind: type, values: dict, where: str):
    if not isinstance(values, dict):
        raise ValueError(f"{where or 'the configuration'} must be a mapping, not {values!r}")
    fields = {item.name: item for item in dataclasses.fields(kind)}
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise ValueError(f"unknown key {where + unknown[0]!r}; known here: {', '.join(sorted(fields))}")
    built = {}
    for name, value in values.items():
        if name == "sources":
            value = [_build(DataSource, item, "sources.") for item in value or []]
        elif name in _NESTED and value is not None:
            value = _build(_NESTED[name], value, f"{name}.")
        elif fields[name].type is float:
            # YAML reads 2e-4 as text.
            value = float(value)
        elif fields[name].type is int and not isinstance(value, int):
            raise ValueError(f"{where}{name} must be a whole number, not {value!r}")
        built[name] = value
    return kind(**built)
