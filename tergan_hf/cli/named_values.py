"""`NAME=VALUE` and `@preset.json` on the command line, for `tergan edit --set`."""

from collections.abc import Sequence

from ..expressions.blendshapes import ARKIT_BLENDSHAPES, GAZE_NAMES
from ..model.expression_requests_tergan import blendshapes_set_by, editable_ranges, read_preset
from .outputs import CommandError


BLENDSHAPES = (*ARKIT_BLENDSHAPES, *GAZE_NAMES)
SPELLING = {name.lower(): name for name in editable_ranges((), BLENDSHAPES)}


def read_values(words: Sequence[str], label: str | None = None) -> dict[str, float]:
    """
    Read the words of `--set`. Of a blendshape or label that is set twice, under whatever name, the later value counts.

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
        if label is not None and label.lower() in map(str.lower, found):
            raise CommandError(f"--set names {label}, which is given as the expression already: give it once")
        values = _without({part for name in found for part in _parts(name)}, values) | found
    return values


def _without(parts: set[str], values: dict[str, float]) -> dict[str, float]:
    """The values of everything but `parts`."""
    left: dict[str, float] = {}
    for name, value in values.items():
        own = _parts(name)
        left |= dict.fromkeys(sorted(own - parts), value) if own & parts else {name: value}
    return left


def _parts(name: str) -> set[str]:
    """What a name sets: blendshapes, or the label of that name."""
    known = SPELLING.get(name.strip().lower())
    return {name.strip().lower()} if known is None else set(blendshapes_set_by(known, 0.0, BLENDSHAPES))


def _number(name: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise CommandError(f"--set: the value of {name} must be a number, got {value!r}") from None
