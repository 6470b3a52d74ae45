"""Bounds on the fields of a configuration: what a file says is not believed before it is checked."""

import math
from typing import Any

import numpy as np

from .blendshapes_tergan import other_side
from .errors_tergan import InvalidInputError


# Lowest and highest value. They leave room for networks far larger than the paper's, and keep a file from asking for
# all of a machine's memory.
BOUNDS = {
    "image_size": (8, 1024),
    "num_channels": (1, 16),
    "expression_image_size": (1, 1024),
    "expression_patch_size": (1, 64),
    "expression_refinements": (0, 32),
    "identity_refinements": (0, 32),
    "decoder_refinements": (0, 32),
    "decoder_mapping_size": (0, 4096),
    "decoder_detail_channels": (0, 1024),
    "expression_gate": (1e-4, 100),
    "max_flow": (0.01, 2),
    "patch_size": (1, 64),
    "expression_embedding_size": (1, 4096),
    "identity_embedding_size": (1, 4096),
    "intensity_exponent": (0.01, 10),
}
CHANNEL_BOUNDS = (1, 4096)
MAX_BLOCKS = 10
MAX_LABELS = 1000
MAX_LABEL_LENGTH = 100


def check_bounds(config: Any):
    """
    Check each field of a `TerGanConfig` on its own.

    Raises:
        InvalidInputError: a value is out of bounds; the message names the field.
    """
    for name, bounds in BOUNDS.items():
        _check_number(name, getattr(config, name), bounds)
    for name in ("encoder_channels", "identity_encoder_channels", "decoder_channels"):
        channels = getattr(config, name)
        if not 1 <= len(channels) <= MAX_BLOCKS:
            raise InvalidInputError(f"{name} must have 1 to {MAX_BLOCKS} blocks, not {len(channels)}")
        for value in channels:
            _check_number(name, value, CHANNEL_BOUNDS)
    _check_labels(config.id2label)
    _check_blendshapes(config.blendshape_names)


def is_finite_number(value: Any) -> bool:
    """Whether a value from outside is a finite number. Truth values are not."""
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and math.isfinite(value)


def _check_number(name: str, value, bounds: tuple[float, float]):
    lowest, highest = bounds
    if not math.isfinite(value) or not lowest <= value <= highest:
        raise InvalidInputError(f"{name} must be from {lowest} to {highest}, not {value}")


def _check_labels(id2label: dict[int, str]):
    if not 1 <= len(id2label) <= MAX_LABELS:
        raise InvalidInputError(f"id2label must have 1 to {MAX_LABELS} labels, not {len(id2label)}")
    if sorted(id2label) != list(range(len(id2label))):
        raise InvalidInputError(f"the keys of id2label must be 0 to {len(id2label) - 1}")
    for label in id2label.values():
        if not isinstance(label, str) or not label.strip() or len(label) > MAX_LABEL_LENGTH or not label.isprintable():
            raise InvalidInputError(
                f"a label of id2label must be a word of at most {MAX_LABEL_LENGTH} characters, not {str(label)[:40]!r}"
            )
    if len({label.strip().lower() for label in id2label.values()}) < len(id2label):
        raise InvalidInputError("two labels of id2label are the same")


def _check_blendshapes(names: list[str] | tuple[str, ...]):
    if len(names) > MAX_LABELS:
        raise InvalidInputError(f"blendshape_names must have at most {MAX_LABELS} names, not {len(names)}")
    for name in names:
        if not name.isidentifier() or len(name) > MAX_LABEL_LENGTH:
            raise InvalidInputError(f"a name of blendshape_names must be a plain word, not {name[:40]!r}")
        if other_side(name) not in names:
            raise InvalidInputError(f"blendshape_names has {name} and must have {other_side(name)} too")
    if len(set(names)) < len(names):
        raise InvalidInputError("two names of blendshape_names are the same")


__all__ = ["BOUNDS", "check_bounds", "is_finite_number"]
