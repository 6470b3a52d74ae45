"""The light on a photo, as spherical harmonics of the skin's brightness, and a change of it."""

from dataclasses import dataclass

import cv2
import numpy as np


MIN_FACING = 0.65  # normals that face the camera less are lit less by a new light, so that it ends with the face
FLATNESS = np.array([0, 1, 1, 1, 6, 6, 6, 6, 6]) * 0.02  # the face's own shadows are not light


def harmonics(normals: np.ndarray) -> np.ndarray:
    """(V, 3) unit normals in the camera's axes → (V, 9) real spherical harmonics to the second order, unscaled."""
    x, y, z = normals.T
    return np.stack([np.ones_like(x), x, y, z, x * y, x * z, y * z, x * x - y * y, 3 * z * z - 1], 1)


def estimate_light(picture: np.ndarray, points: np.ndarray, normals: np.ndarray, blur: float) -> np.ndarray:
    """
    (9,) least squares on the brightness of the skin, without its darkest and its most unlike parts.

    Args:
        picture: (S, S, 3) float32. points: (V, 2) places of the skin that is well seen. normals: (V, 3) there.
        blur: pixels.
    """
    grey = cv2.GaussianBlur(picture @ np.array([0.299, 0.587, 0.114], np.float32), (0, 0), blur)
    columns, rows = (np.clip(points[:, k].astype(int), 0, len(grey) - 1) for k in (0, 1))
    values, basis = grey[rows, columns].astype(float), harmonics(normals).astype(float)
    kept = values > np.percentile(values, 15)
    for _ in range(3):
        normal = basis[kept].T @ basis[kept] + np.diag(FLATNESS) * kept.sum()
        light = np.linalg.solve(normal, basis[kept].T @ values[kept])
        miss = values - basis @ light
        kept = np.abs(miss) < 1.5 * np.std(miss[kept])
    return light


@dataclass(frozen=True)
class LightChange:
    """
    Another light on the same face.

    Args:
        direction: (x, y) to the viewer's right and up, where more light comes from. strength: of it, 0 to about 0.4.
        tint: factor for each colour.
    """

    direction: tuple[float, float] = (0.0, 0.0)
    strength: float = 0.0
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def gain(self, normals: np.ndarray) -> np.ndarray:
        """(V,) factor of the brightness of surfaces with these normals."""
        toward = normals[:, 0] * self.direction[0] + normals[:, 1] * self.direction[1]
        toward = toward * np.clip(normals[:, 2] / MIN_FACING, 0, 1)
        return np.clip(1 + 1.4 * self.strength * toward, 0.55, 1.5).astype(np.float32)


UNCHANGED = LightChange()
