"""What `train_accelerate.py` can be told: a YAML file, and dotted overrides on the command line."""

import argparse
import copy
import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from transformers import PreTrainedConfig

from ..configuration_tergan import TerGanConfig
from ..data.augmentation import AugmentationConfig
from ..data.loading import HUB_PREFIX, DataSource


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
        preset: `paper`, `compact` or `photo`, the `TerGanConfig` to start from.
        model: changes to the preset's `TerGanConfig`, and `expressions`, the list of labels.
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
        if self.preset not in PRESETS:
            raise ValueError(f"preset must be one of {', '.join(PRESETS)}, not {self.preset!r}")
        if not self.sources:
            raise ValueError("sources is empty: name at least one set of photos")
        names = [source.name for source in self.sources]
        if len(set(names)) != len(names):
            raise ValueError(f"two sources have the same name: {names}")

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
        return path if path.startswith(HUB_PREFIX) else str(Path(self.data_root) / path)

    def to_dict(self) -> dict:
        """Plain values, for the log and for `training.yaml` beside the weights."""
        return _plain(dataclasses.asdict(self))


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
        "--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", dest="overrides",
        help="change any value of the YAML file, for example generator_stage.steps=100 sources.0.weight=2",
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
        arguments = _build(TrainingArguments, _over_preset(values), "")
        arguments.model_config()
        return arguments
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
        parser.error(str(error))


def _set(values: dict, override: str):
    key, separator, value = override.partition("=")
    if not separator:
        raise ValueError(f"--set needs KEY=VALUE, got {override!r}")
    *parents, last = key.split(".")
    for parent in parents:
        place = _place(values, parent, key)
        # A copy: with YAML anchors two keys may share one mapping.
        values[place] = copy.copy(values[place] if isinstance(values, list) else values.get(place) or {})
        values = values[place]
    values[_place(values, last, key)] = yaml.safe_load(value)


def _place(values: dict | list, name: str, key: str) -> str | int:
    if isinstance(values, dict):
        return name
    if isinstance(values, list) and name.isdigit() and int(name) < len(values):
        return int(name)
    raise ValueError(f"--set {key}: there is no {name!r} to change")


_NESTED = {
    "expression_stage": OptimizerArguments,
    "identity_stage": OptimizerArguments,
    "generator_stage": OptimizerArguments,
    "pairs": PairArguments,
    "classifier_augmentation": AugmentationConfig,
    "pair_augmentation": AugmentationConfig,
}


def claim_output_dir(arguments: TrainingArguments):
    """
    Write the run's arguments to `output_dir/arguments.yaml`.

    Raises:
        FileExistsError: another run's checkpoints are there and this one was not told to resume.
        ValueError: this run resumes one whose people or networks are not its own.
    """
    folder = Path(arguments.output_dir)
    record, now = folder / "arguments.yaml", arguments.to_dict()
    if arguments.resume_from_checkpoint is None:
        if (folder / "checkpoints").exists() or (folder / "stages").exists():
            raise FileExistsError(
                f"{folder} holds an earlier run: add --resume_from_checkpoint latest to go on with it, or choose "
                "another --output_dir"
            )
    elif record.is_file():
        before = yaml.safe_load(record.read_text())
        for name in ("preset", "model", "sources", "split_seed"):
            if before.get(name) != now[name]:
                raise ValueError(
                    f"cannot resume: '{name}' is {now[name]}, but the run in {folder} has {before.get(name)}"
                )
    folder.mkdir(parents=True, exist_ok=True)
    record.write_text(yaml.safe_dump(now, sort_keys=False))


# What the preset means for a run, where the YAML file does not say otherwise.
PRESETS = {
    "paper": {
        "classifier_augmentation": dataclasses.asdict(AugmentationConfig.paper()),
        "pair_augmentation": dataclasses.asdict(AugmentationConfig.paper()),
    },
    "compact": {
        "pairs": {"ground_truth_share": 0.85, "recognition_share": 0.5, "costly_interval": 4},
        "classifier_augmentation": {"erase": 0.3, "low_resolution": 0.3, "grey": 0.3},
        "pair_augmentation": {"shift": 0.05, "grey": 0.1, "low_resolution": 0.1, "noise": 0.02},
    },
}
PRESETS["photo"] = PRESETS["compact"]


def _over_preset(values: dict) -> dict:
    merged = dict(values)
    for name, defaults in PRESETS.get(values.get("preset", "paper"), {}).items():
        if isinstance(values.get(name, {}), dict):
            merged[name] = {**defaults, **values.get(name, {})}
    return merged


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
            try:
                value = float(value)  # YAML reads 2e-4 as text
            except (TypeError, ValueError):
                raise ValueError(f"{where}{name} must be a number, not {value!r}") from None
        elif fields[name].type is int and not isinstance(value, int):
            raise ValueError(f"{where}{name} must be a whole number, not {value!r}")
        built[name] = value
    return kind(**built)


def _plain(value):
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
