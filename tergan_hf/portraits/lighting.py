"""Estimate the light of a photo as spherical harmonics, and relight it."""

from dataclasses import dataclass

import cv2
import numpy as np


MIN_FACING = 0.65  # z of normals below which a new light fades out, so that it ends at the face's outline
FLATNESS = np.array([0, 1, 1, 1, 6, 6, 6, 6, 6]) * 0.02  # regularisation, against shadows that are not light


def harmonics(normals: np.ndarray) -> np.ndarray:
    """(V, 3) unit normals in the camera's axes → (V, 9) unscaled real spherical harmonics to the second order."""
    x, y, z = normals.T
    return np.stack([np.ones_like(x), x, y, z, x * y, x * z, y * z, x * x - y * y, 3 * z * z - 1], 1)


def estimate_light(picture: np.ndarray, points: np.ndarray, normals: np.ndarray, blur: float) -> np.ndarray:
    """
    Estimate (9,) spherical harmonics by least squares on the skin's brightness, without dark parts and outliers.

    Args:
        picture: (S, S, 3) float32. points: (V, 2) well visible skin, pixels. normals: (V, 3) there.
        blur: standard deviation in pixels.
    """
    grey = cv2.GaussianBlur(picture @ np.array([0.299, 0.587, 0.114], np.float32), (0, 0), blur)
    columns, rows = (np.clip(points[:, k].astype(int), 0, len(grey) - 1) for k in (0, 1))
    values, basis = grey[rows, columns].astype(float), harmonics(normals).astype(float)
    kept = values > np.percentile(values, 15)
    for _ in range(3):
        normal = basis[kept].T @ basis[kept] + np.diag(FLATNESS) * kept.sum()
        light = np.linalg.solve(normal, basis[kept].T @ values[kept])
        residual = values - basis @ light
        kept = np.abs(residual) < 1.5 * np.std(residual[kept])
    return light


@dataclass(frozen=True)
class LightChange:
    """
    A change of the light on a face.

    Args:
        direction: (x, y) of the added light, to the viewer's right and up.
        strength: strength of the added light, 0 to about 0.4.
        tint: factors for red, green and blue.
    """

    direction: tuple[float, float] = (0.0, 0.0)
    strength: float = 0.0
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def gain(self, normals: np.ndarray) -> np.ndarray:
        """(V,) brightness factors for (V, 3) normals."""
        toward = normals[:, 0] * self.direction[0] + normals[:, 1] * self.direction[1]
        toward = toward * np.clip(normals[:, 2] / MIN_FACING, 0, 1)
        return np.clip(1 + 1.4 * self.strength * toward, 0.55, 1.5).astype(np.float32)


UNCHANGED = LightChange()
