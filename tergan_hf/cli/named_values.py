"""`NAME=VALUE` and `@preset.json` on the command line, for `tergan edit --set`."""

from collections.abc import Sequence

from ..model.expression_requests_tergan import read_preset
from .outputs import CommandError


def read_values(words: Sequence[str], label: str | None = None) -> dict[str, float]:
    """
    Read the words of `--set`. Of a name that occurs twice, the later value counts.

    Args:
        words: `NAME=VALUE` or `@FILE`, a JSON object with values by name.
        label: goes first, with the value 1.

    Raises:
        CommandError: a word is neither, or a value is no number.
        MissingFileError, InvalidInputError: a preset cannot be read.
    """
    values = {} if label is None else {label: 1.0}
    for word in words:
        name, separator, value = word.partition("=")
        if word.startswith("@"):
            found = read_preset(word[1:])
        elif separator and name:
            found = {name: _number(name, value)}
        else:
            raise CommandError(f"--set takes NAME=VALUE or @preset.json, got {word!r}")
        if label is not None and label in found:
            raise CommandError(f"--set names {label}, which is given as the expression already: give it once")
        values |= found
    return values


def _number(name: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise CommandError(f"--set: the value of {name} must be a number, got {value!r}") from None
