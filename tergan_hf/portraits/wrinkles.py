"""
Expression wrinkles as maps in flat coordinates of the face model.

Wrinkles of brows, forehead, nose, chin and mouth corners are furrows in a height map, shaded by the photo's light.
They are random for each person. Wrinkles of a smile are learned from photos (`smile_learning`).
"""

from functools import lru_cache

import cv2
import numpy as np

from ..expressions.blendshapes import BLENDSHAPES
from .face_model import FaceModel
from .landmarks import NOSE_TIP


SIDE, PIXELS_PER_CM = 640, 34
MIDDLE, NOSE_ROW = SIDE / 2, 350
LIGHT_FROM_ABOVE = 0.32  # added vertical light, relative to the mean brightness
RELIEF, OCCLUSION = 0.55, 1.15  # change of log brightness per unit slope, and per mm below the surroundings
MAX_DARKENING, MAX_BRIGHTENING = 0.42, 0.14
# Furrows and the blendshapes (left, right) that deepen them.
GROUPS = {
    "glabella": ("browDownLeft", "browDownRight"),
    "inner": ("browInnerUp", "browInnerUp"),
    "outer": ("browOuterUpLeft", "browOuterUpRight"),
    "sneer": ("noseSneerLeft", "noseSneerRight"),
    "corner": ("mouthFrownLeft", "mouthFrownRight"),
    "chin": ("mouthShrugLower", "mouthShrugLower"),
    "crow": ("cheekSquintLeft", "cheekSquintRight"),
    "squint": ("eyeSquintLeft", "eyeSquintRight"),
    "dimple": ("mouthDimpleLeft", "mouthDimpleRight"),
}


@lru_cache(maxsize=2)
def flat_coordinates(model: FaceModel, nose_tip: int) -> np.ndarray:
    """(skin, 2) float32 pixel positions in a wrinkle map: the frontal view of the face with parted lips."""
    weights = np.zeros(len(BLENDSHAPES), np.float32)
    weights[BLENDSHAPES.index("jawOpen")] = 0.5
    opened = model.shape(np.zeros(len(model.identity), np.float32), weights)[: model.skin]
    height = model.neutral[nose_tip, 1]
    return np.stack(
        [MIDDLE + PIXELS_PER_CM * opened[:, 0], NOSE_ROW - PIXELS_PER_CM * (opened[:, 1] - height)], 1
    ).astype(np.float32)


class WrinkleMaps:
    """
    The wrinkle maps of one person.

    Args:
        model: the face model. nearest: (468,) vertices of the landmarks.
        seed: seed of the person's furrows.
        smile: (SIDE, SIDE) change of log brightness in a full smile.
    """

    def __init__(self, model: FaceModel, nearest: np.ndarray, seed: int, smile: np.ndarray):
        self.coordinates = flat_coordinates(model, int(nearest[NOSE_TIP]))
        self._at = model.neutral[nearest] - np.array([0, model.neutral[nearest[NOSE_TIP], 1], 0], np.float32)
        self._random = np.random.default_rng((seed, 11))
        self._smile = smile
        self._heights = {
            "glabella": self._glabella(), "inner": self._forehead(2.4), "outer": self._forehead(4.6, inner=1.2),
            "sneer": self._sneer(), "corner": self._corner(), "chin": self._chin(), "crow": self._crow(),
            "squint": self._under_eye(), "dimple": self._dimple(),
        }  # fmt: skip

    def log_ratio(self, weights: np.ndarray, light: np.ndarray) -> np.ndarray:
        """
        The change (SIDE, SIDE) of log brightness for an expression.

        Args:
            weights: (51,) blendshapes minus those of the photo.
            light: (9,) spherical harmonics of the photo's light.
        """
        height = np.zeros((SIDE, SIDE), np.float32)
        smile = np.zeros((SIDE, SIDE), np.float32)
        left = np.clip((np.arange(SIDE, dtype=np.float32) - MIDDLE) / 24 + 0.5, 0, 1)[None]
        for side, share in (("Left", left), ("Right", 1 - left)):
            place = ("Left", "Right").index(side)
            for group, names in GROUPS.items():
                weight = float(weights[BLENDSHAPES.index(names[place])])
                if group == "outer":  # furrows of the inner brows overlap
                    weight *= 0.6
                if abs(weight) > 0.02:
                    height += max(weight, -0.3) * share * self._heights[group]
            smile += share * self._smile * float(np.clip(weights[BLENDSHAPES.index(f"mouthSmile{side}")], -1, 1))
        return shade(height, light) + smile

    def _stroke(self, path: list, width: float, depth: float, rim: float = 0.55, reach: float = 2.4) -> np.ndarray:
        """
        A furrow as a (SIDE, SIDE) height map in mm.

        Args:
            path: points (x, y) in cm about the nose tip.
            width: cm, standard deviation of its cross-section. depth: mm.
            rim: height of the raised skin beside it, relative to the depth.
            reach: width of the raised skin, relative to `width`.
        """
        points = np.array(path, np.float32)
        along = np.linspace(0, 1, 48)
        knots = np.linspace(0, 1, len(points))
        curve = np.stack([np.interp(along, knots, points[:, k]) for k in (0, 1)], 1)
        kernel = np.exp(-0.5 * (np.arange(-9, 10) / 3.5) ** 2)
        curve = np.stack([
            np.convolve(np.pad(curve[:, k], 9, mode="reflect", reflect_type="odd"), kernel / kernel.sum(), "valid")
            for k in (0, 1)
        ], 1)  # fmt: skip
        curve += 0.035 * np.cumsum(self._random.normal(0, 0.35, curve.shape), 0) / 2
        taper = np.sin(np.pi * np.clip(along, 0.02, 0.98)) ** 0.9 * (
            1 + 0.25 * np.sin(along * 9 + self._random.uniform(0, 6))
        )
        pixels = np.stack([MIDDLE + PIXELS_PER_CM * curve[:, 0], NOSE_ROW - PIXELS_PER_CM * curve[:, 1]], 1)
        spread = width * PIXELS_PER_CM
        pad = int(3 * spread * reach) + 3
        low = np.maximum(np.floor(pixels.min(0)).astype(int) - pad, 0)
        high = np.minimum(np.ceil(pixels.max(0)).astype(int) + pad, SIDE)
        if (high <= low).any():
            return np.zeros((SIDE, SIDE), np.float32)
        canvas = np.zeros((high[1] - low[1], high[0] - low[0]), np.float32)
        shifted = np.round((pixels - low) * 16).astype(int)
        for k in range(len(shifted) - 1):
            cv2.line(
                canvas, tuple(map(int, shifted[k])), tuple(map(int, shifted[k + 1])), float(taper[k]), 1, cv2.LINE_4, 4
            )
        valley, sides = (cv2.GaussianBlur(canvas, (0, 0), spread * factor) for factor in (1.0, reach))
        valley /= max(float(valley.max()), 1e-6)
        sides /= max(float(sides.max()), 1e-6)
        height = np.zeros((SIDE, SIDE), np.float32)
        height[low[1] : high[1], low[0] : high[0]] = -depth * (valley - rim * sides)
        return height

    def _landmark(self, number: int) -> tuple[float, float]:
        return float(abs(self._at[number, 0])), float(self._at[number, 1])

    def _glabella(self) -> np.ndarray:
        """Vertical furrows between the brows, and the crease above the nose."""
        x, y = self._landmark(55)
        draw = self._random.uniform
        height = np.zeros((SIDE, SIDE), np.float32)
        for side in (-1, 1):
            near = side * x * draw(0.5, 0.72)
            lean = side * draw(0.0, 0.22)
            top = draw(0.55, 1.15)
            height += self._stroke(
                [(near + lean * 0.4, y - 0.5), (near, y - 0.05), (near + lean * 0.6, y + 0.5 * top),
                 (near + lean, y + top)],
                draw(0.13, 0.18), draw(0.6, 1.0),
            )  # fmt: skip
            if draw() < 0.6:
                far = side * x * draw(0.85, 1.15)
                height += self._stroke(
                    [(far, y + 0.05), (far + lean, y + 0.45), (far + 1.5 * lean, y + 0.8)], draw(0.11, 0.15),
                    draw(0.25, 0.45),
                )  # fmt: skip
            height += self._stroke(
                [(side * x * 0.35, y - 0.95), (side * x * 1.2, y - 0.62), (side * x * 2.1, y - 0.5)], 0.14,
                draw(0.3, 0.5), 0.4,
            )  # fmt: skip
        return height

    def _forehead(self, half_width: float, inner: float = 0.0) -> np.ndarray:
        """Horizontal furrows of the forehead from `inner` to about `half_width` cm on each side."""
        draw = self._random.uniform
        low, high = self._landmark(105)[1], self._landmark(10)[1]
        height = np.zeros((SIDE, SIDE), np.float32)
        for level in np.sort(draw(0.2, 0.75, int(self._random.integers(2, 5)))):
            y = low + level * (high - low) + 0.25
            for side in (-1, 1):
                start = inner + draw(-0.1, 0.5) if inner else draw(-0.3, 0.15)
                xs = np.linspace(start, half_width * draw(0.75, 1.0), 9)
                wave = 0.13 * np.cos(xs * 0.95 + draw(0, 0.6)) + draw(-0.07, 0.07)
                height += self._stroke(
                    [(side * x, y + w) for x, w in zip(xs, wave)], draw(0.08, 0.12), draw(0.16, 0.34), 0.7, 2.8
                )  # fmt: skip
        return height

    def _sneer(self) -> np.ndarray:
        """Bunny lines beside the nose, and the upper nasolabial fold."""
        draw = self._random.uniform
        bridge, wing = self._landmark(168)[1], self._landmark(129)
        height = np.zeros((SIDE, SIDE), np.float32)
        for side in (-1, 1):
            for line in range(int(self._random.integers(2, 4))):
                y = bridge - 0.4 - 0.36 * line + draw(-0.05, 0.05)
                height += self._stroke(
                    [(side * 0.2, y - 0.1), (side * 0.6, y + 0.06), (side * 0.98, y + 0.3)], 0.06,
                    draw(0.16, 0.32), 0.7,
                )  # fmt: skip
            x, y = wing
            height += self._stroke(
                [(side * (x + 0.02), y + 0.75), (side * (x + 0.4), y + 0.3), (side * (x + 0.85), y - 0.5),
                 (side * (x + 1.2), y - 1.4)], 0.21, draw(0.7, 0.95), 0.35,
            )  # fmt: skip
        return height

    def _corner(self) -> np.ndarray:
        draw = self._random.uniform
        x, y = self._landmark(61)
        height = np.zeros((SIDE, SIDE), np.float32)
        for side in (-1, 1):
            height += self._stroke(
                [(side * (x + 0.1), y - 0.15), (side * (x + 0.4), y - 0.75), (side * (x + 0.38), y - 1.5)],
                0.15, draw(0.45, 0.7), 0.45,
            )  # fmt: skip
        return height

    def _chin(self) -> np.ndarray:
        """The mentolabial crease and the dimples of a raised chin."""
        draw = self._random.uniform
        y, low = self._landmark(17)[1], self._landmark(152)[1]
        height = self._stroke([(-1.6, y - 0.35), (0, y - 0.05), (1.6, y - 0.35)], 0.18, draw(0.4, 0.6), 0.4)
        for _ in range(14):
            x, level = draw(-1.1, 1.1), draw(0.3, 0.8)
            at = (x, y + level * (low - y))
            bent = [(at[0] - 0.1, at[1] + draw(-0.05, 0.05)), at, (at[0] + 0.1, at[1] + draw(-0.05, 0.05))]
            height += self._stroke(bent, 0.07, draw(0.08, 0.2), 0.6)
        return height

    def _crow(self) -> np.ndarray:
        draw = self._random.uniform
        x, y = self._landmark(33)
        height = np.zeros((SIDE, SIDE), np.float32)
        for side in (-1, 1):
            for angle in (-0.45, 0.0, 0.4):
                reach, angle = draw(0.7, 1.3), angle + draw(-0.1, 0.1)
                away, up = 0.5 * reach * np.cos(angle), 0.5 * reach * np.sin(angle)
                path = [(side * (x + 0.35 + step * away), y + step * up) for step in range(3)]
                height += self._stroke(path, 0.06, draw(0.06, 0.18), 0.7)
        return height

    def _under_eye(self) -> np.ndarray:
        draw = self._random.uniform
        outer, inner = self._landmark(33), self._landmark(133)
        height = np.zeros((SIDE, SIDE), np.float32)
        for side in (-1, 1):
            for drop in (0.45, 0.75):
                height += self._stroke(
                    [(side * (inner[0] + 0.1), inner[1] - drop),
                     (side * (inner[0] + outer[0]) / 2, inner[1] - drop - 0.32),
                     (side * (outer[0] - 0.1), outer[1] - drop)], 0.08, draw(0.1, 0.22), 0.6,
                )  # fmt: skip
        return height

    def _dimple(self) -> np.ndarray:
        x, y = self._landmark(61)
        height = np.zeros((SIDE, SIDE), np.float32)
        for side in (-1, 1):
            height += self._stroke(
                [(side * (x + 0.35), y + 0.5), (side * (x + 0.55), y), (side * (x + 0.4), y - 0.5)], 0.13, 0.5, 0.4
            )  # fmt: skip
        return height


def shade(height: np.ndarray, light: np.ndarray) -> np.ndarray:
    """
    The change of log brightness by a height map: slopes face the light or turn away, and valleys are darker.

    Args:
        height: (SIDE, SIDE) in mm. light: (9,) spherical harmonics.
    """
    down = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3, scale=PIXELS_PER_CM / 80)  # mm per mm, rows go down
    across = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3, scale=PIXELS_PER_CM / 80)
    mean = max(float(light[0]), 1.0)
    toward = np.clip(light[1:3] / mean, -0.5, 0.5)
    slope = -across * toward[0] + down * (toward[1] + LIGHT_FROM_ABOVE)
    valley = np.maximum(cv2.GaussianBlur(height, (0, 0), 0.22 * PIXELS_PER_CM) - height, 0)
    change = RELIEF * slope - OCCLUSION * valley
    darker = MAX_DARKENING * np.tanh(change / MAX_DARKENING)
    brighter = MAX_BRIGHTENING * np.tanh(change / MAX_BRIGHTENING)
    return np.where(change < 0, darker, brighter).astype(np.float32)
