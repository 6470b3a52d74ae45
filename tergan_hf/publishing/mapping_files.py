"""Files of values by name beside the weights, which people edit by hand."""

import json
from collections.abc import Callable
from pathlib import Path

import yaml

from ..model.errors_tergan import InvalidInputError


def read_mapping(path: Path, parse: Callable[[str], object] = json.loads) -> dict:
    """
    Read a file of values by name, which may be empty.

    Args:
        parse: of JSON, or `yaml.safe_load`.

    Raises:
        InvalidInputError: it cannot be read, or holds something else.
    """
    try:
        values = parse(path.read_text(encoding="utf-8")) or {}
    except (ValueError, yaml.YAMLError) as error:
        raise InvalidInputError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error
    if not isinstance(values, dict):
        raise InvalidInputError(f"{path} must hold values by name, not a {type(values).__name__}")
    return values
