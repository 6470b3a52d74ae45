"""ARKit blendshapes as combinations of the heads' morph targets.

The weights come near the displacement of ICT-FaceKit's shapes at weight 1, in the mean over several heads. Where the
two models differ in kind, the meaning in FACS decides. The heads' L and R are the subject's left and right.
"""

import numpy as np

from ..expressions.blendshapes import BLENDSHAPES, SIDES


# Blendshape → morph target → weight. A blendshape without a side stands for both; then `*` is L or R. `L:`, `R:` and
# `*:` take the left or right half of a morph target that has no sides, and `skin:` takes it without the teeth.
MORPHS: dict[str, dict[str, float]] = {
    "browDown": {"*browDown": 1.0, "**browDown": 1.1, "*pityful": 0.2},
    "browInnerUp": {"Lsad": 0.75, "Rsad": 0.75, "LbrowUp": 0.4, "RbrowUp": 0.4},
    "browOuterUp": {"**browUp": 1.5, "*browUp": 0.35},
    "cheekPuff": {"Lblow": 1.1, "Rblow": 1.1},
    "cheekSquint": {"*lowLid": 0.5, "*squint": 0.1, "*smileClose": 0.2},
    "eyeBlink": {"*eyeClose": 1.06},
    "eyeLookDown": {"*eyeClose": 0.55},
    "eyeLookIn": {},
    "eyeLookOut": {},
    "eyeLookUp": {"*eyeOpen": 0.75, "*lowLid": 0.15},
    "eyeSquint": {"*lowLid": 0.7, "*squint": 0.12, "**browDown": 0.15},
    "eyeWide": {"*eyeOpen": 1.15, "*browUp": 0.15},
    "jawForward": {"JawFront": 1.5},
    "jawLeft": {"Ljaw": 1.8},
    "jawOpen": {"AE_AA": 0.8, "Shout": 0.35},
    "jawRight": {"Rjaw": 1.8},
    "mouthClose": {"AE_AA": -0.8, "Shout": -0.35, "Chew": 2.0},
    "mouthDimple": {"*smileClose": 0.5, "*lipCorner": 0.9},
    "mouthFrown": {"*mouthSad": 1.1, "*:Chin": 0.3},
    "mouthFunnel": {"SH_CH": 1.1, "skin:Ax_E": 0.2},
    "mouthLeft": {"skin:Ljaw": 1.5, "R:Kiss": 0.9, "LsmileClose": 0.8},
    "mouthLowerDown": {"*lipDown": 0.8},
    "mouthPress": {"*:MPB_Down": 0.65, "*:MPB_Up": 0.65, "*:Chin": 0.5, "*smileClose": 0.2},
    "mouthPucker": {"Kiss": 1.1},
    "mouthRight": {"skin:Rjaw": 1.5, "L:Kiss": 0.9, "RsmileClose": 0.8},
    "mouthRollLower": {"MPB_Down": 1.7},
    "mouthRollUpper": {"MPB_Up": 2.0, "LlipCorner": 0.3, "RlipCorner": 0.3},
    "mouthShrugLower": {"Chin": 1.7, "MPB_Down": 1.1},
    "mouthShrugUpper": {"LlipUp": 0.25, "RlipUp": 0.25, "Ldisgust": 0.2, "Rdisgust": 0.2},
    "mouthSmile": {"*smileClose": 1.25},
    "mouthStretch": {"*:TD_I": 0.65, "*mouthSad": 0.7, "*:MPB_Up": 0.45, "*:Chin": 0.45},
    "mouthUpperUp": {"*lipUp": 0.8, "*disgust": 0.3, "*nostril": 0.5},
    "noseSneer": {"*disgust": 1.1, "*lipUp": 0.15, "*nostril": 1.0, "*lowLid": 0.25, "*browDown": 0.2},
}
MIDDLE_WIDTH = 0.012  # metres, half the width over which the halves of a morph target fade into each other


def morph_targets(blendshape: str) -> dict[str, float]:
    """The morph targets of one of `BLENDSHAPES` with their weights, in the notation of `MORPHS`, sides filled in."""
    for stem, weights in MORPHS.items():
        for side in SIDES if stem not in BLENDSHAPES else ("",):
            if blendshape == stem + side:
                return {name.replace("*", side[:1]): weight for name, weight in weights.items()}
    return {}


def required_morph_targets() -> set[str]:
    """Names of all morph targets that a face needs."""
    return {name.partition(":")[2] or name for shape in BLENDSHAPES for name in morph_targets(shape)}


def combine_morph_targets(
    morphs: dict[str, np.ndarray], across: np.ndarray, is_skin: bool = True
) -> dict[str, np.ndarray]:
    """
    Combine morph targets to ARKit blendshapes.

    Args:
        morphs: morph target → (V, 3) displacements. Absent ones do not move the mesh.
        across: (V,) metres from the middle of the face to the subject's left.
        is_skin: whether the mesh is the skin. Halves of morph targets move the skin alone.

    Returns:
        blendshape → (V, 3) displacements at weight 1. Blendshapes that do not move the mesh are absent.
    """
    place = np.clip((across / MIDDLE_WIDTH + 1) / 2, 0, 1)
    left = (place * place * (3 - 2 * place)).astype(np.float32)[:, None]
    whole = np.ones_like(left)
    shares = {"": whole, "skin": whole, "L": left, "R": 1 - left}
    combined: dict[str, np.ndarray] = {}
    for blendshape in BLENDSHAPES:
        total = np.zeros((len(across), 3), np.float32)
        for entry, weight in morph_targets(blendshape).items():
            share, _, name = entry.rpartition(":")
            if name in morphs and (is_skin or not share):
                total += np.float32(weight) * shares[share] * morphs[name]
        if total.any():
            combined[blendshape] = total
    return combined
