"""Names of ARKit's blendshapes, and an expression as blendshape weights and gaze."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ..model.blendshapes_tergan import ARKIT_BLENDSHAPES, GAZE_NAMES, SIDES
from ..model.errors_tergan import InvalidInputError


BLENDSHAPES = ARKIT_BLENDSHAPES
BLENDSHAPE_INDEX = {name: index for index, name in enumerate(BLENDSHAPES)}
GAZE_DEGREES = 30.0  # one unit of gaze in the column `blendshapes`
LEAST_DEVIATION = 0.01  # standard deviation of a blendshape that moves, in the units of the column `blendshapes`
# Order of the values in the column `blendshapes` of a set.
COLUMN_NAMES = BLENDSHAPES + GAZE_NAMES
COLUMN_ORDER = f"The order of the column `blendshapes`: {', '.join(COLUMN_NAMES)}; gaze in units of 30°."


@dataclass(frozen=True)
class Expression:
    """
    A reproducible expression.

    Args:
        label: one of the six basic expressions, `neutral`, or `other`.
        intensity: 0 is neutral, 1 the full expression.
        blendshapes: weight of each ARKit name, sides included, 0 to `blendshapes_tergan.MAX_WEIGHT`; without the
            gaze.
        gaze: degrees to the viewer's right and up.
        mixed_with: the weaker expression of a mixture, else "".
    """

    label: str
    intensity: float
    blendshapes: dict[str, float] = field(default_factory=dict)
    gaze: tuple[float, float] = (0.0, 0.0)
    mixed_with: str = ""


NEUTRAL = Expression("neutral", 0.0)


def column_units(names: Sequence[str]) -> list[float]:
    """For each name, how many of the units of `TerGanModel.read_blendshapes` one unit of the column `blendshapes` is:
    `GAZE_DEGREES` for gaze, else 1."""
    return [GAZE_DEGREES if name in GAZE_NAMES else 1.0 for name in names]


def moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column of (N, K) values where they are known, 0 for a column of NaN."""
    counts = np.isfinite(values).sum(0).clip(1)
    mean = np.nansum(values, 0) / counts
    return mean, np.sqrt(np.nansum((values - mean) ** 2, 0) / counts)


def expand_sides(weights: dict[str, float]) -> dict[str, float]:
    """
    Replace each name without a side, such as `mouthSmile`, by its left and right blendshape.

    Raises:
        InvalidInputError: a name is not one of ARKit's.
    """
    full: dict[str, float] = {}
    for name, weight in weights.items():
        names = [name] if name in BLENDSHAPE_INDEX else [name + side for side in SIDES]
        for one in names:
            if one not in BLENDSHAPE_INDEX:
                raise InvalidInputError(f"{name!r} is not an ARKit blendshape: use one of {', '.join(BLENDSHAPES)}")
            full[one] = full.get(one, 0.0) + weight
    return full


def gaze_blendshapes(gaze: tuple[float, float]) -> dict[str, float]:
    """The eyeLook weights for a gaze in degrees to the viewer's right and up. The left eye looks out when the gaze
    goes to the viewer's right."""
    right, up = (degrees / GAZE_DEGREES for degrees in gaze)
    across = {"eyeLookOutLeft": right, "eyeLookInRight": right, "eyeLookInLeft": -right, "eyeLookOutRight": -right}
    along = {f"eyeLook{way}{side}": sign * up for way, sign in (("Up", 1), ("Down", -1)) for side in SIDES}
    return {name: weight for name, weight in (across | along).items() if weight > 0}


def to_vector(expression: Expression) -> np.ndarray:
    """(53,) float32: weights in the order of `BLENDSHAPES`, then gaze x and y in units of `GAZE_DEGREES`. The gaze is
    the mean of both eyes and includes eyeLook blendshapes that the expression names."""
    vector = np.zeros(len(COLUMN_NAMES), np.float32)
    for weights in (expression.blendshapes, gaze_blendshapes(expression.gaze)):
        for name, weight in weights.items():
            vector[BLENDSHAPE_INDEX[name]] += weight
    right, left, up, down = (
        sum(vector[BLENDSHAPE_INDEX[f"eyeLook{name}"]] for name in names) / 2
        for names in (("OutLeft", "InRight"), ("InLeft", "OutRight"), ("UpLeft", "UpRight"), ("DownLeft", "DownRight"))
    )
    vector[len(BLENDSHAPES) :] = right - left, up - down
    return vector
