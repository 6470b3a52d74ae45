"""The sliders that set blendshapes by hand, in regions of the face and in words for everybody."""

from collections.abc import Sequence
from typing import Any

from ..model.blendshapes_tergan import GAZE_LIMIT, GAZE_NAMES, MAX_WEIGHT, SIDES


# Region → blendshape → label; `{side}` stands for both sides.
REGIONS = {
    "Brows": {
        "browInnerUp": "Inner brows up", "browOuterUp": "{side} outer brow up", "browDown": "{side} brow down",
    },
    "Eyes": {
        "eyeBlink": "{side} eyelid closed", "eyeWide": "{side} eye wide open", "eyeSquint": "{side} eye squinted",
    },
    "Gaze": {"gazeX": "Eyes to the left (right is negative)", "gazeY": "Eyes up (down is negative)"},
    "Mouth": {
        "mouthSmile": "{side} corner up (smile)", "mouthFrown": "{side} corner down",
        "mouthStretch": "{side} corner stretched", "mouthDimple": "{side} corner drawn back",
        "mouthUpperUp": "{side} upper lip up", "mouthLowerDown": "{side} lower lip down",
        "mouthPress": "{side} lips pressed", "mouthPucker": "Lips puckered", "mouthFunnel": "Lips rounded (“oh”)",
        "mouthRollUpper": "Upper lip rolled in", "mouthRollLower": "Lower lip rolled in",
        "mouthShrugUpper": "Upper lip pushed up", "mouthShrugLower": "Lower lip pushed up",
        "mouthClose": "Lips closed over an open jaw", "mouthLeft": "Mouth to the left",
        "mouthRight": "Mouth to the right",
    },
    "Jaw": {
        "jawOpen": "Jaw open", "jawForward": "Jaw forward", "jawLeft": "Jaw to the left",
        "jawRight": "Jaw to the right",
    },
    "Cheeks & nose": {
        "cheekPuff": "Cheeks puffed", "cheekSquint": "{side} cheek up", "noseSneer": "{side} nose wrinkled",
    },
}  # fmt: skip


def slider_regions(names: Sequence[str]) -> list[dict[str, Any]]:
    """
    The regions that have sliders for these blendshapes.

    Returns:
        of each its `name` and `sliders`. A slider has `name`, `label`, `unit` and `range`: lowest, highest, step.
    """
    regions = []
    for region, controls in REGIONS.items():
        sliders = []
        for base, label in controls.items():
            sided = "{side}" in label
            for name, side in [(base + side, side) for side in SIDES] if sided else [(base, "")]:
                if name in names:
                    sliders.append(_slider(name, label.format(side=side)))
        if sliders:
            regions.append({"name": region, "sliders": sliders})
    return regions


def _slider(name: str, label: str) -> dict:
    if name in GAZE_NAMES:
        return {"name": name, "label": label, "range": [-GAZE_LIMIT, GAZE_LIMIT, 1], "unit": "°"}
    return {"name": name, "label": label, "range": [0, MAX_WEIGHT, 0.01], "unit": ""}
