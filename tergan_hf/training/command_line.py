"""The command line of `train_accelerate.py`: a YAML file, and dotted overrides of its values."""

import argparse
import copy
import dataclasses

import yaml

from ..data.augmentation import AugmentationConfig
from ..data.loading import DataSource
from ..model.errors_tergan import InvalidInputError
from .arguments import (
    DiscriminatorArguments,
    LossArguments,
    OptimizerArguments,
    PairArguments,
    TrainingArguments,
)


_NESTED = {
    "expression_stage": OptimizerArguments,
    "identity_stage": OptimizerArguments,
    "generator_stage": OptimizerArguments,
    "losses": LossArguments,
    "discriminators": DiscriminatorArguments,
    "pairs": PairArguments,
    "classifier_augmentation": AugmentationConfig,
    "pair_augmentation": AugmentationConfig,
}

_DEFAULTS = {
    item.name: item.default_factory
    for item in dataclasses.fields(TrainingArguments)
    if item.name in _NESTED and callable(item.default_factory)
}

# `--without`: a loss of the paper → its weights in `LossArguments`.
ABLATIONS = {
    "expression_consistency": ("expression_consistency",),  # eq. 4
    "identity_consistency": ("identity_consistency",),  # eq. 5
    "reconstruction": ("identity_reconstruction", "expression_reconstruction"),  # eq. 6 and 7
    "expression_feature": ("expression_feature",),  # eq. 8
    "identity_feature": ("identity_feature",),  # eq. 9
    "adversarial": ("adversarial",),  # eq. 3
}


def parse_arguments(argv: list[str] | None = None) -> TrainingArguments:
    """Read the command line.

    Raises:
        SystemExit: an unknown option or key, or a value of the wrong type; the message names it.
    """
    parser = argparse.ArgumentParser(
        description="Train TER-GAN: stage 1 (encoders as classifiers), then stage 2 (the whole network).",
        epilog="example: accelerate launch train_accelerate.py --config configs/photo.yaml --data_root data",
    )
    parser.add_argument("--config", required=True, help="YAML file, see configs/")
    parser.add_argument("--data_root", help="folder that relative data paths start from")
    parser.add_argument("--output_dir", help="where checkpoints, logs and the model go")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--resume_from_checkpoint", help="a checkpoint folder, or 'latest'")
    parser.add_argument(
        "--report_to", type=lambda names: [name for name in names.split(",") if name], metavar="TRACKER,…",
        help="where scalars go: tensorboard (the default), trackio, …",
    )  # fmt: skip
    parser.add_argument("--push_to_hub", action="store_true", default=None, help="publish the result")
    parser.add_argument("--hub_model_id", help="owner/name to publish it as")
    parser.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", dest="overrides",
        help="change any value of the YAML file, for example generator_stage.steps=100 sources.0.weight=2",
    )  # fmt: skip
    parser.add_argument(
        "--without", nargs="+", action="extend", default=[], choices=sorted(ABLATIONS), metavar="LOSS",
        help=f"train without losses of the paper: {', '.join(ABLATIONS)}",
    )  # fmt: skip
    options = parser.parse_args(argv)
    try:
        with open(options.config, encoding="utf-8") as file:
            values = yaml.safe_load(file)
        if not isinstance(values, dict):
            raise InvalidInputError(f"{options.config} does not hold a mapping")
        for name in (
            "data_root", "output_dir", "seed", "resume_from_checkpoint", "report_to", "push_to_hub", "hub_model_id",
        ):  # fmt: skip
            if getattr(options, name) is not None:
                values[name] = getattr(options, name)
        left_out = [f"losses.{weight}=0" for loss in options.without for weight in ABLATIONS[loss]]
        for override in options.overrides + left_out:
            _set(values, override)
        arguments = _build(TrainingArguments, values, "")
        arguments.model_config()
        return arguments
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
        parser.error(str(error))


def _set(values: dict, override: str):
    key, separator, value = override.partition("=")
    if not separator:
        raise InvalidInputError(f"--set needs KEY=VALUE, got {override!r}")
    *parents, last = key.split(".")
    if parents and parents[0] in _DEFAULTS and not values.get(parents[0]):
        # A change of the default, which need not be that of the class: the augmentation is the paper's.
        values[parents[0]] = dataclasses.asdict(_DEFAULTS[parents[0]]())
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
    raise InvalidInputError(f"--set {key}: there is no {name!r} to change")


def _number(value, name: str) -> float:
    try:
        return float(value)  # YAML reads 2e-4 as text
    except (TypeError, ValueError):
        raise InvalidInputError(f"{name} must be a number, not {value!r}") from None


def _build(kind: type, values: dict, where: str):
    if not isinstance(values, dict):
        raise InvalidInputError(f"{where or 'the configuration'} must be a mapping, not {values!r}")
    fields = {item.name: item for item in dataclasses.fields(kind)}
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise InvalidInputError(f"unknown key {where + unknown[0]!r}; known here: {', '.join(sorted(fields))}")
    built = {}
    for name, value in values.items():
        if name == "sources":
            value = [_build(DataSource, item, "sources.") for item in value or []]
        elif name in _NESTED and value is not None:
            value = _build(_NESTED[name], value, f"{name}.")
        elif fields[name].type is float or (fields[name].type == float | None and value is not None):
            value = _number(value, f"{where}{name}")
        elif fields[name].type in (tuple[float, float], tuple[float, ...]):
            if not isinstance(value, (list, tuple)):
                raise InvalidInputError(f"{where}{name} must be a list of numbers, not {value!r}")
            value = [_number(item, f"{where}{name}") for item in value]
        elif fields[name].type is int and not isinstance(value, int):
            raise InvalidInputError(f"{where}{name} must be a whole number, not {value!r}")
        built[name] = value
    return kind(**built)
