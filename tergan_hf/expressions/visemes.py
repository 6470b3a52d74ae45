"""The 15 visemes of MPEG-4, the mouth shapes of speech, as ARKit blendshapes."""

VISEMES: dict[str, dict[str, float]] = {
    "sil": {},
    "PP": {"mouthPress": 0.35, "mouthRollUpper": 0.3, "mouthRollLower": 0.35},
    "FF": {"mouthRollLower": 0.55, "mouthUpperUp": 0.2, "jawOpen": 0.05},
    "TH": {"jawOpen": 0.14, "mouthLowerDown": 0.2, "mouthUpperUp": 0.1},
    "DD": {"jawOpen": 0.12, "mouthLowerDown": 0.25, "mouthUpperUp": 0.12},
    "kk": {"jawOpen": 0.16, "mouthLowerDown": 0.2, "mouthStretch": 0.1},
    "CH": {"mouthFunnel": 0.5, "jawOpen": 0.08, "mouthPucker": 0.1},
    "SS": {"mouthStretch": 0.25, "mouthLowerDown": 0.25, "mouthUpperUp": 0.12, "jawOpen": 0.04, "mouthSmile": 0.1},
    "nn": {"jawOpen": 0.12, "mouthLowerDown": 0.15},
    "RR": {"mouthFunnel": 0.3, "mouthPucker": 0.2, "jawOpen": 0.1},
    "aa": {"jawOpen": 0.45, "mouthLowerDown": 0.15},
    "E": {"jawOpen": 0.25, "mouthStretch": 0.3, "mouthLowerDown": 0.2, "mouthSmile": 0.1},
    "ih": {"jawOpen": 0.12, "mouthStretch": 0.25, "mouthSmile": 0.2, "mouthLowerDown": 0.15},
    "oh": {"jawOpen": 0.3, "mouthFunnel": 0.45, "mouthPucker": 0.15},
    "ou": {"mouthPucker": 0.7, "mouthFunnel": 0.3, "jawOpen": 0.08},
}
