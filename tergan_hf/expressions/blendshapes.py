"""ARKit's blendshapes by name, gaze, and one exactly repeatable expression made of them."""

from dataclasses import dataclass, field

import numpy as np

from ..model.errors_tergan import InvalidInputError


SIDES = ("Left", "Right")  # the subject's own
_SIDED = (
    "browDown", "browOuterUp", "cheekSquint", "eyeBlink", "eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp",
    "eyeSquint", "eyeWide", "mouthDimple", "mouthFrown", "mouthLowerDown", "mouthPress", "mouthSmile", "mouthStretch",
    "mouthUpperUp", "noseSneer",
)  # fmt: skip
_MIDDLE = (
    "browInnerUp", "cheekPuff", "jawForward", "jawLeft", "jawOpen", "jawRight", "mouthClose", "mouthFunnel",
    "mouthLeft", "mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper",
)  # fmt: skip
# ARKit's 52 without tongueOut, in alphabetical order.
BLENDSHAPES = tuple(sorted([name + side for name in _SIDED for side in SIDES] + list(_MIDDLE)))
BLENDSHAPE_INDEX = {name: index for index, name in enumerate(BLENDSHAPES)}
GAZE = ("gazeX", "gazeY")
GAZE_DEGREES = 30.0  # a gaze of 1 in the column
# The column `blendshapes` of a set that speaks this language.
COLUMN_NAMES = BLENDSHAPES + GAZE
MAX_WEIGHT = 1.2


@dataclass(frozen=True)
class Expression:
    """
    One exactly repeatable expression.

    Args:
        label: one of the six basic expressions, `neutral`, or `other`.
        intensity: 0 is neutral, 1 in full.
        blendshapes: ARKit name with its side → weight, 0 to `MAX_WEIGHT`; gaze apart.
        gaze: degrees to the viewer's right and up.
        mixed_with: the weaker expression of a mixture, or "".
    """

    label: str
    intensity: float
    blendshapes: dict[str, float] = field(default_factory=dict)
    gaze: tuple[float, float] = (0.0, 0.0)
    mixed_with: str = ""


NEUTRAL = Expression("neutral", 0.0)


def expand_sides(weights: dict[str, float]) -> dict[str, float]:
    """
    Give a sided blendshape that is named without its side to both sides.

    Raises:
        InvalidInputError: a name that is not ARKit's.
    """
    full: dict[str, float] = {}
    for name, weight in weights.items():
        names = [name] if name in BLENDSHAPE_INDEX else [name + side for side in SIDES]
        for one in names:
            if one not in BLENDSHAPE_INDEX:
                raise InvalidInputError(f"{name!r} is no ARKit blendshape: expected one of {', '.join(BLENDSHAPES)}")
            full[one] = full.get(one, 0.0) + weight
    return full


def gaze_blendshapes(gaze: tuple[float, float]) -> dict[str, float]:
    """The eyeLook blendshapes of a gaze in degrees to the viewer's right and up; the subject's left eye looks out
    when it looks to the viewer's right."""
    right, up = (degrees / GAZE_DEGREES for degrees in gaze)
    across = {"eyeLookOutLeft": right, "eyeLookInRight": right, "eyeLookInLeft": -right, "eyeLookOutRight": -right}
    along = {f"eyeLook{way}{side}": sign * up for way, sign in (("Up", 1), ("Down", -1)) for side in SIDES}
    return {name: weight for name, weight in (across | along).items() if weight > 0}


def to_vector(expression: Expression) -> np.ndarray:
    """(53,) float32: the weights in the order of `BLENDSHAPES`, then gaze x and y in units of `GAZE_DEGREES`. The gaze
    is the mean of both eyes, so that it agrees with eyeLook blendshapes that are given by name."""
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
