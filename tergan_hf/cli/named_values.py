"""`NAME=VALUE` and `@preset.json` on the command line, for `tergan edit --set`."""

import json
from collections.abc import Sequence
from pathlib import Path

from ..model.errors_tergan import shown_name
from .outputs import CommandError


LARGEST_PRESET = 100_000  # bytes


def read_values(words: Sequence[str], label: str | None = None) -> dict[str, float]:
    """
    Read the words of `--set`. Of a name that occurs twice, the later value counts.

    Args:
        words: `NAME=VALUE` or `@FILE`, a JSON object with values by name.
        label: goes first, with the value 1.

    Raises:
        CommandError: a word is neither, a value is no number, or a preset cannot be read.
    """
    values = {} if label is None else {label: 1.0}
    for word in words:
        name, separator, value = word.partition("=")
        if word.startswith("@"):
            found = read_preset(Path(word[1:]))
        elif separator and name:
            found = {name: _number(name, value)}
        else:
            raise CommandError(f"--set takes NAME=VALUE or @preset.json, got {word!r}")
        if label is not None and label in found:
            raise CommandError(f"--set names {label}, which is given as the expression already: give it once")
        values |= found
    return values


def read_preset(path: Path) -> dict[str, float]:
    """
    Read a preset: a JSON object with values by name.

    Raises:
        CommandError: there is no such file, or it is no preset.
    """
    shown = shown_name(path)
    if not path.is_file():
        raise CommandError(f"--set: there is no preset {shown}")
    try:
        content = json.loads(path.read_bytes()[: LARGEST_PRESET + 1])
    except OSError as error:
        raise CommandError(f"--set: {shown} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise CommandError(f"--set: {shown} is no preset: it must be a JSON object with values by name") from error
    if not isinstance(content, dict) or not content:
        raise CommandError(f"--set: {shown} is no preset: it must be a JSON object with values by name")
    return content


def _number(name: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise CommandError(f"--set: the value of {name} must be a number, got {value!r}") from None
