"""Settings of training for tests: those of the shipped runs, with small discriminators."""

from tergan_hf.training.arguments import DiscriminatorArguments, TrainingArguments
from tergan_hf.training.command_line import parse_arguments

from .conftest import ROOT


TINY_DISCRIMINATORS = DiscriminatorArguments(channels=(4, 4, 8, 8), hidden_size=16, branch_sizes=(8, 8))


def shipped_arguments(preset: str) -> TrainingArguments:
    """The arguments of a shipped YAML file, with tiny discriminators."""
    arguments = parse_arguments(["--config", str(ROOT / "configs" / f"{preset}.yaml")])
    arguments.discriminators = TINY_DISCRIMINATORS
    return arguments
