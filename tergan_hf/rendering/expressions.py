"""Expressions as blendshape poses: a weight for each facial morph target."""

from dataclasses import dataclass

import numpy as np


# At full intensity. A name without a side stands for both sides.
FULL_EXPRESSIONS = {
    "neutral": {},
    "happiness": {"smileOpen": 1.0, "squint": 0.2, "lowLid": 0.4},
    "sadness": {"mouthSad": 0.9, "sad": 1.0, "Chin": 0.3, "pityful": 0.4},
    "anger": {"browDown": 1.0, "RbrowDown": 0.6, "squint": 0.3, "JawCompress": 0.5, "MPB_Up": 0.5, "nostril": 0.8},
    "disgust": {"disgust": 1.0, "browDown": 0.6, "squint": 0.4, "lipUp": 0.6},
    "fear": {"pityful": 1.0, "sad": 0.5, "eyeOpen": 1.0, "H_EST": 0.8, "lipDown": 0.3, "neckTension": 0.8},
    "surprise": {"browUp": 1.0, "RbrowUp": 1.0, "eyeOpen": 0.7, "MouthOpen": 0.8},
}
# Variants of the same expression: a closed smile, a laugh, a shout.
VARIANTS = {
    "happiness": [
        {"smileClose": 1.0, "squint": 0.2, "lowLid": 0.4},
        {"smileOpen": 1.0, "squint": 0.25, "lowLid": 0.5, "MouthOpen": 0.35, "browUp": 0.2},
    ],
    "anger": [
        {"browDown": 1.0, "RbrowDown": 0.8, "squint": 0.2, "nostril": 0.8, "lipUp": 0.5, "H_EST": 0.4},
    ],
    "fear": [
        {"pityful": 1.0, "sad": 0.6, "eyeOpen": 1.0, "H_EST": 0.9, "lipDown": 0.5, "neckTension": 0.9, "squint": 0.1},
    ],
    "surprise": [{"browUp": 1.0, "RbrowUp": 1.0, "eyeOpen": 0.8, "MouthOpen": 0.6, "UH_OO": 0.4}],
    "sadness": [{"mouthSad": 1.0, "sad": 0.7, "Chin": 0.6, "pityful": 0.7, "lowLid": 0.2}],
}
# Fear in `draw_plain_pose`.
PLAIN_FEAR = {"pityful": 1.0, "sad": 0.4, "eyeOpen": 1.0, "MouthOpen": 0.15, "H_EST": 0.7, "neckTension": 0.7}
# Morph targets with a right and a left version. `RbrowDown` and `RbrowUp` are the outer brows: RR…, LL….
SIDED = {
    "smileOpen", "smileClose", "squint", "lowLid", "mouthSad", "sad", "pityful", "browDown", "RbrowDown", "nostril",
    "disgust", "lipUp", "lipDown", "eyeOpen", "eyeClose", "neckTension", "browUp", "RbrowUp",
}  # fmt: skip
CONFUSABLE = {"fear": "surprise", "surprise": "fear"}  # a mixture of the two has no clear label
MAX_WEIGHT = 1.15


@dataclass(frozen=True)
class BlendshapePose:
    """
    One exactly repeatable expression.

    Args:
        expression: its label; for a mixture that of the stronger expression.
        intensity: 0 to about 1.1, 0 for neutral.
        blendshapes: morph target → weight, 0 to `MAX_WEIGHT`.
        gaze: direction of the eyes in degrees, to the viewer's right and up.
        mixed_with: the weaker expression of a mixture, or "".
    """

    expression: str
    intensity: float
    blendshapes: dict[str, float]
    gaze: tuple[float, float] = (0.0, 0.0)
    mixed_with: str = ""


def full_pose(expression: str) -> BlendshapePose:
    """The pose of an expression at full intensity, symmetric."""
    return exact_pose(expression, float(expression != "neutral"))


def exact_pose(expression: str, intensity: float, other: str = "", share: float = 0.0) -> BlendshapePose:
    """
    The symmetric pose of an expression, or of a mixture with another, without random changes.

    Args:
        expression: one of `FULL_EXPRESSIONS`.
        intensity: 0 is neutral, 1 is full.
        other: the weaker expression of a mixture.
        share: share of the other expression, 0 to 0.5.
    """
    amounts = {name: intensity * value for name, value in mixture(FULL_EXPRESSIONS[expression], other, share).items()}
    return BlendshapePose(expression, intensity, _both_sides(amounts), mixed_with=other)


def mixture(amounts: dict[str, float], other: str, share: float) -> dict[str, float]:
    """Interpolate between weights and those of another expression."""
    mixed = {name: (1 - share) * value for name, value in amounts.items()}
    for name, value in FULL_EXPRESSIONS[other].items() if other else ():
        mixed[name] = mixed.get(name, 0.0) + share * value
    return mixed


def draw_pose(expression: str, random: np.random.Generator) -> BlendshapePose:
    """
    Draw a pose of an expression: a variant with an intensity from 0.4 to 1.1, random changes of every weight, a slight
    asymmetry and gaze. Some poses are mixtures with another expression.
    """
    intensity = random.uniform(0.4, 1.1)
    variants = [FULL_EXPRESSIONS[expression], FULL_EXPRESSIONS[expression], *VARIANTS.get(expression, [])]
    amounts, other = variants[random.integers(len(variants))], ""
    if expression != "neutral" and random.random() < 0.3:
        others = [name for name in FULL_EXPRESSIONS if name not in (expression, "neutral", CONFUSABLE.get(expression))]
        other = str(random.choice(others))
        amounts = mixture(amounts, other, random.uniform(0.1, 0.35))
    amounts = {name: intensity * value for name, value in amounts.items()}
    if expression == "neutral":
        intensity = 0.0
        amounts = {"lowLid": random.uniform(0, 0.3), "MouthOpen": max(0.0, random.uniform(-0.08, 0.1))}
        amounts["browUp"] = max(0.0, random.uniform(-0.2, 0.15))
    amounts = {name: value * random.uniform(0.6, 1.25) for name, value in amounts.items()}
    if random.random() < 0.08:
        amounts["eyeClose"] = random.uniform(0.3, 1.0)
        amounts.pop("eyeOpen", None)
    skew = random.normal(0, 0.08)
    gaze = (float(random.normal(0, 6)), float(random.normal(0, 3)))
    return BlendshapePose(expression, float(intensity), _both_sides(amounts, skew, random), gaze, other)


def draw_plain_pose(expression: str, random: np.random.Generator) -> BlendshapePose:
    """
    Draw a pose for a plain set: the one variant of the expression with an intensity from 0.45 to 1.1, random changes
    of every weight, and a straight gaze.
    """
    intensity = random.uniform(0.45, 1.1)
    amounts = PLAIN_FEAR if expression == "fear" else FULL_EXPRESSIONS[expression]
    amounts = {name: intensity * value * random.uniform(0.6, 1.25) for name, value in amounts.items()}
    if expression == "neutral":
        intensity = 0.0
        amounts = {"lowLid": random.uniform(0, 0.3), "MouthOpen": random.uniform(0, 0.08)}
    return BlendshapePose(expression, float(intensity), _both_sides(amounts, 0.0, random))


def _both_sides(amounts: dict[str, float], skew: float = 0.0, random: np.random.Generator | None = None) -> dict:
    """Resolve names without a side. `skew` strengthens the right side; `random` changes every weight a little."""
    blendshapes: dict[str, float] = {}
    for name, value in amounts.items():
        if name in SIDED:
            for side, sign in (("R", 1), ("L", -1)):
                jitter = 0.0 if random is None else random.normal(0, 0.04)
                # The outer brows carry their side twice: RRbrowUp, LLbrowUp.
                full_name = 2 * side + name[1:] if name.startswith("Rbrow") else side + name
                blendshapes[full_name] = float(np.clip(value * (1 + sign * skew + jitter), 0, MAX_WEIGHT))
        else:
            blendshapes[name] = float(np.clip(value, 0, MAX_WEIGHT))
    return blendshapes
