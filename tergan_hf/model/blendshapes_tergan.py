"""Blendshapes that a network reads: units, limits and mirror images."""

from collections.abc import Sequence

import torch


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
ARKIT_BLENDSHAPES = tuple(sorted([name + side for name in _SIDED for side in SIDES] + list(_MIDDLE)))
GAZE_NAMES = ("gazeX", "gazeY")  # degrees to the viewer's right and up; all other names are weights from 0 to 1
GAZE_LIMIT = 45.0  # degrees
MAX_WEIGHT = 1.2  # of a blendshape that is asked for
LEAST_SHOWN = 0.05  # weight of a blendshape that is worth naming
# Both eyes move together: gazeX and gazeY are the sums of these.
EYE_LOOK_NAMES = tuple(name for name in ARKIT_BLENDSHAPES if name.startswith("eyeLook"))


def limit_blendshapes(values: torch.Tensor, names: Sequence[str]) -> torch.Tensor:
    """Clamp blendshapes (B, K) to their ranges: weights to 0 … 1, gaze to ±`GAZE_LIMIT` degrees."""
    gaze = torch.tensor([name in GAZE_NAMES for name in names], device=values.device)
    return torch.where(gaze, values.clamp(-GAZE_LIMIT, GAZE_LIMIT), values.clamp(0, 1))


def mirror_blendshapes(values: torch.Tensor, names: Sequence[str]) -> torch.Tensor:
    """
    Blendshapes of a mirror image: left and right change places, and gaze along x changes its sign.

    Args:
        values: (B, K) blendshapes of a face. names: K names; a name with a side needs the name of the other side.

    Returns:
        (B, K) blendshapes of the mirrored face.
    """
    order = [list(names).index(other_side(name)) for name in names]
    signs = torch.tensor([-1.0 if name == "gazeX" else 1.0 for name in names])
    return values[:, order] * signs.to(values.device, values.dtype)


def other_side(name: str) -> str:
    """The name of the other side: `eyeBlinkRight` for `eyeBlinkLeft`; a name without a side stays."""
    for own, other in (("Left", "Right"), ("Right", "Left")):
        if name.endswith(own):
            return name.removesuffix(own) + other
    return name


def strongest_blendshapes(values: dict[str, float], most: int) -> dict[str, float]:
    """At most `most` weights that are at least `LEAST_SHOWN`, the largest first. Gaze is no weight and is left out."""
    weights = {name: value for name, value in values.items() if name not in GAZE_NAMES and value >= LEAST_SHOWN}
    return dict(sorted(weights.items(), key=lambda pair: pair[1], reverse=True)[:most])


def describe_gaze(values: dict[str, float]) -> str:
    """The gaze of blendshapes in words, `gaze 12° right, 3° up` as the viewer sees it. Empty if they have none."""
    if not set(GAZE_NAMES) <= set(values):
        return ""
    x, y = (round(values[name]) for name in GAZE_NAMES)
    turns = ((x, "right", "left"), (y, "up", "down"))
    parts = [f"{abs(angle)}° {above if angle > 0 else below}" for angle, above, below in turns if angle]
    return f"gaze {', '.join(parts) or 'straight ahead'}"


__all__ = [
    "ARKIT_BLENDSHAPES",
    "EYE_LOOK_NAMES",
    "GAZE_LIMIT",
    "GAZE_NAMES",
    "MAX_WEIGHT",
    "SIDES",
    "describe_gaze",
    "limit_blendshapes",
    "mirror_blendshapes",
    "other_side",
    "strongest_blendshapes",
]
