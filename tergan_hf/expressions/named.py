"""Expressions by their names: basic expressions, their variants, actions, gazes and single blendshapes."""

from collections.abc import Iterable

from ..model.errors_tergan import InvalidInputError
from .blendshapes import BLENDSHAPES, SIDES, Expression, expand_sides
from .facs_combinations import ACTIONS, EMFACS_VARIANTS
from .sampling import OTHER


GAZES = {"gaze left": (-30.0, 0.0), "gaze right": (30.0, 0.0), "gaze up": (0.0, 20.0), "gaze down": (0.0, -20.0)}
ONE_MUSCLE_TO_EACH_SIDE = {"jaw", "mouth"}  # jawLeft and jawRight oppose each other; together they are no motion


def named_expressions() -> dict[str, Expression]:
    """Name → expression at intensity 1: `neutral`, each basic expression in its first variant, each variant, each of
    `ACTIONS`, the gaze as the viewer sees it, and each blendshape, on both sides without `Left` or `Right`."""
    combinations: dict[str, dict[str, float]] = {"neutral": {}}
    for label, variants in EMFACS_VARIANTS.items():
        combinations |= {label: next(iter(variants.values()))} | variants
    combinations |= ACTIONS
    both = {name.removesuffix(SIDES[0]) for name in BLENDSHAPES if name.endswith(SIDES[0])} - ONE_MUSCLE_TO_EACH_SIDE
    combinations |= {name: {name: 1.0} for name in [*sorted(both), *BLENDSHAPES]}
    found = {name: Expression(OTHER, 1.0, expand_sides(weights)) for name, weights in combinations.items()}
    return found | {name: Expression(OTHER, 1.0, {}, gaze) for name, gaze in GAZES.items()}


def find_expressions(names: Iterable[str]) -> list[Expression]:
    """
    The expressions with some names of `named_expressions`.

    Raises:
        InvalidInputError: a name is unknown.
    """
    known = named_expressions()
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InvalidInputError(f"--expressions {', '.join(unknown)}: use some of {', '.join(known)}")
    return [known[name] for name in names]
