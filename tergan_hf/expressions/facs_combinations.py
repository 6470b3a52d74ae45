"""FACS and EMFACS combinations of action units as ARKit blendshapes.

Each basic expression has several variants. They follow the action units (AU) that FACS and EMFACS list for it (Ekman,
Friesen & Hager 2002; Friesen & Ekman 1983). A name without a side stands for both sides. The AU in ARKit's names:
AU1 browInnerUp, AU2 browOuterUp, AU4 browDown, AU5 eyeWide, AU6 cheekSquint, AU7 eyeSquint, AU9 noseSneer, AU10
mouthUpperUp, AU12 mouthSmile, AU14 mouthDimple, AU15 mouthFrown, AU16 mouthLowerDown, AU17 mouthShrugLower, AU18
mouthPucker, AU20 mouthStretch, AU22 mouthFunnel, AU23 and AU24 mouthPress with mouthRoll, AU25 to AU27 jawOpen.
"""

# label → variant → weights at full intensity. The comments give the AU.
EMFACS_VARIANTS: dict[str, dict[str, dict[str, float]]] = {
    "happiness": {
        "closed smile": {  # 6 + 12
            "mouthSmile": 0.7, "cheekSquint": 0.5, "eyeSquint": 0.2, "mouthDimple": 0.15, "mouthPress": 0.1,
        },
        "open smile": {  # 6 + 12 + 25
            "mouthSmile": 0.75, "cheekSquint": 0.55, "eyeSquint": 0.3, "mouthUpperUp": 0.35, "mouthLowerDown": 0.25,
            "jawOpen": 0.13, "mouthRollUpper": 0.2, "mouthRollLower": 0.1,
        },
        "broad smile": {  # 6 + 7 + 12 + 20 + 25
            "mouthSmile": 0.9, "cheekSquint": 0.75, "eyeSquint": 0.45, "mouthUpperUp": 0.45, "mouthLowerDown": 0.3,
            "mouthStretch": 0.2, "jawOpen": 0.1, "mouthRollUpper": 0.2,
        },
        "laugh": {  # 6 + 7 + 12 + 26
            "mouthSmile": 0.85, "cheekSquint": 0.8, "eyeSquint": 0.5, "mouthUpperUp": 0.45, "mouthLowerDown": 0.35,
            "jawOpen": 0.4, "mouthRollUpper": 0.15, "mouthStretch": 0.1, "browOuterUp": 0.15,
        },
        "polite smile": {"mouthSmile": 0.55, "mouthDimple": 0.3, "cheekSquint": 0.1},  # 12 + 14
    },
    "surprise": {
        "jaw dropped": {  # 1 + 2 + 5 + 26
            "browInnerUp": 0.85, "browOuterUp": 0.8, "eyeWide": 0.75, "jawOpen": 0.42, "mouthFunnel": 0.12,
        },
        "mouth wide open": {  # 1 + 2 + 5 + 27
            "browInnerUp": 1.0, "browOuterUp": 1.0, "eyeWide": 0.95, "jawOpen": 0.65,
        },
        "lips parted": {  # 1 + 2 + 5 + 25
            "browInnerUp": 0.7, "browOuterUp": 0.75, "eyeWide": 0.6, "jawOpen": 0.18, "mouthFunnel": 0.1,
        },
        "rounded": {  # 1 + 2 + 5 + 22 + 26
            "browInnerUp": 0.8, "browOuterUp": 0.8, "eyeWide": 0.7, "jawOpen": 0.35, "mouthFunnel": 0.45,
        },
    },
    "anger": {
        "lips pressed": {  # 4 + 5 + 7 + 23 + 24
            "browDown": 1.0, "eyeWide": 0.2, "eyeSquint": 0.35, "mouthPress": 0.7, "mouthRollUpper": 0.25,
            "mouthRollLower": 0.3, "noseSneer": 0.35, "mouthShrugLower": 0.25, "mouthFrown": 0.2,
        },
        "teeth bared": {  # 4 + 5 + 7 + 10 + 16 + 25
            "browDown": 1.1, "eyeWide": 0.25, "eyeSquint": 0.3, "noseSneer": 0.7, "mouthUpperUp": 0.35,
            "mouthLowerDown": 0.5, "mouthStretch": 0.3, "jawOpen": 0.08,
        },
        "shout": {  # 4 + 5 + 7 + 10 + 22 + 26
            "browDown": 1.1, "eyeWide": 0.3, "eyeSquint": 0.25, "noseSneer": 0.7, "mouthUpperUp": 0.4,
            "mouthLowerDown": 0.45, "mouthFunnel": 0.25, "jawOpen": 0.42,
        },
        "glare": {  # 4 + 5 + 7 + 23
            "browDown": 1.1, "eyeWide": 0.45, "eyeSquint": 0.2, "noseSneer": 0.2, "mouthPress": 0.4,
            "mouthFrown": 0.3, "jawForward": 0.2,
        },
    },
    "disgust": {
        "nose wrinkled": {  # 9 + 15 + 17
            "noseSneer": 1.0, "browDown": 0.5, "eyeSquint": 0.5, "cheekSquint": 0.5, "mouthUpperUp": 0.2,
            "mouthFrown": 0.35, "mouthShrugLower": 0.35,
        },
        "lip raised": {  # 9 + 10 + 16 + 25
            "noseSneer": 0.9, "browDown": 0.45, "eyeSquint": 0.55, "cheekSquint": 0.5, "mouthUpperUp": 0.55,
            "mouthLowerDown": 0.3, "mouthFrown": 0.2, "jawOpen": 0.06,
        },
        "gape": {  # 9 + 10 + 16 + 26
            "noseSneer": 0.85, "browDown": 0.4, "eyeSquint": 0.6, "cheekSquint": 0.4, "mouthUpperUp": 0.5,
            "mouthLowerDown": 0.4, "mouthFrown": 0.3, "jawOpen": 0.25,
        },
    },
    "fear": {
        "lips stretched": {  # 1 + 2 + 4 + 5 + 20 + 25
            "browInnerUp": 1.0, "browOuterUp": 0.35, "browDown": 0.3, "eyeWide": 1.0, "mouthStretch": 0.8,
            "jawOpen": 0.16, "mouthLowerDown": 0.3,
        },
        "mouth closed": {  # 1 + 2 + 4 + 5 + 20
            "browInnerUp": 1.0, "browOuterUp": 0.3, "browDown": 0.35, "eyeWide": 0.9, "mouthStretch": 0.6,
            "mouthFrown": 0.2,
        },
        "scream": {  # 1 + 2 + 4 + 5 + 20 + 27
            "browInnerUp": 1.0, "browOuterUp": 0.45, "browDown": 0.3, "eyeWide": 1.0, "mouthStretch": 0.7,
            "jawOpen": 0.5, "mouthLowerDown": 0.35, "mouthUpperUp": 0.15,
        },
    },
    "sadness": {
        "corners down": {  # 1 + 4 + 15 + 17
            "browInnerUp": 0.9, "browDown": 0.3, "mouthFrown": 0.85, "mouthShrugLower": 0.5, "eyeSquint": 0.2,
            "eyeBlink": 0.12,
        },
        "downcast": {  # 1 + 4 + 15 + 43, looking down
            "browInnerUp": 0.8, "browDown": 0.25, "mouthFrown": 0.7, "mouthShrugLower": 0.25, "eyeBlink": 0.3,
            "eyeLookDown": 0.35,
        },
        "pout": {  # 1 + 4 + 15 + 17 + 22
            "browInnerUp": 0.95, "browDown": 0.35, "mouthFrown": 0.6, "mouthShrugLower": 0.85, "mouthShrugUpper": 0.2,
            "eyeSquint": 0.2,
        },
        "crying": {  # 1 + 4 + 6 + 7 + 15 + 20 + 25
            "browInnerUp": 0.95, "browDown": 0.45, "cheekSquint": 0.5, "eyeSquint": 0.5, "mouthFrown": 0.6,
            "mouthStretch": 0.45, "mouthLowerDown": 0.3, "jawOpen": 0.08, "mouthShrugLower": 0.3,
        },
    },
}  # fmt: skip
BASIC_EXPRESSIONS = tuple(EMFACS_VARIANTS)
# A mixture of these looks like one of the two, so none is drawn.
CONFUSABLE = {"fear": "surprise", "surprise": "fear", "anger": "disgust", "disgust": "anger"}

# Single facial actions: blinks, winks, raised brows, jaw movements.
ACTIONS: dict[str, dict[str, float]] = {
    "blink": {"eyeBlink": 1.0},
    "lids half closed": {"eyeBlink": 0.5},
    "wink left": {"eyeBlinkLeft": 1.0, "cheekSquintLeft": 0.5, "mouthSmileLeft": 0.25},
    "wink right": {"eyeBlinkRight": 1.0, "cheekSquintRight": 0.5, "mouthSmileRight": 0.25},
    "eyes wide": {"eyeWide": 1.0},
    "squint": {"eyeSquint": 0.9, "cheekSquint": 0.4},
    "brows up": {"browInnerUp": 0.9, "browOuterUp": 0.9},
    "brow up left": {"browOuterUpLeft": 1.0, "browInnerUp": 0.2},
    "brow up right": {"browOuterUpRight": 1.0, "browInnerUp": 0.2},
    "inner brows up": {"browInnerUp": 1.0},
    "frown": {"browDown": 1.0},
    "jaw open": {"jawOpen": 0.7},
    "jaw left": {"jawLeft": 0.9},
    "jaw right": {"jawRight": 0.9},
    "jaw forward": {"jawForward": 0.9},
    "mouth left": {"mouthLeft": 0.9},
    "mouth right": {"mouthRight": 0.9},
    "pucker": {"mouthPucker": 0.9},
    "funnel": {"mouthFunnel": 0.8, "jawOpen": 0.1},
    "puff": {"cheekPuff": 0.9, "mouthPress": 0.3},
    "sneer left": {"noseSneerLeft": 0.9, "mouthUpperUpLeft": 0.5},
    "sneer right": {"noseSneerRight": 0.9, "mouthUpperUpRight": 0.5},
    "smirk left": {"mouthSmileLeft": 0.7, "mouthDimpleLeft": 0.4},
    "smirk right": {"mouthSmileRight": 0.7, "mouthDimpleRight": 0.4},
    "lips rolled in": {"mouthRollUpper": 0.7, "mouthRollLower": 0.7},
    "lips pressed": {"mouthPress": 0.9},
    "chin up": {"mouthShrugLower": 0.9, "mouthShrugUpper": 0.3},
    "teeth": {"mouthUpperUp": 0.6, "mouthLowerDown": 0.6},
}
# The blendshapes of a group oppose each other, so at most one of them is drawn.
ANTAGONISTS = (
    {"eyeBlink", "eyeWide"},
    {"jawLeft", "jawRight", "mouthLeft", "mouthRight"},
    {"mouthSmile", "mouthFrown", "mouthPucker", "mouthFunnel", "mouthStretch"},
    {"mouthClose", "mouthRollLower", "mouthLowerDown", "mouthPress", "mouthShrugLower"},
    {"mouthRollUpper", "mouthUpperUp", "mouthShrugUpper"},
    {"browDown", "browOuterUp"},
)
