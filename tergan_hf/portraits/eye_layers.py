"""Separate an eye of a photo into sclera, iris and highlight."""

from dataclasses import dataclass

import cv2
import numpy as np

from .fitting import smoothstep
from .landmarks import EYES, IRISES


@dataclass(frozen=True)
class EyeLayers:
    """
    The layers of one eye of a photo.

    Args:
        left, top: pixel position of the layers in the frame.
        centre: (2,) x, y of the iris in the frame, pixels.
        radius: radius of the iris in pixels.
        sclera: (h, w, 3) the eyeball without the iris.
        iris: (h, w, 3) the iris, completed under the lids, without the highlight.
        iris_alpha: (h, w) opacity of the iris over the sclera.
        highlight: (h, w, 3) the corneal reflection, added to the rest. It does not turn with the eye.
        opening: (h, w) float32, 1 where the photo shows the eyeball, with a margin to the lids.
    """

    left: int
    top: int
    centre: np.ndarray
    radius: float
    sclera: np.ndarray
    iris: np.ndarray
    iris_alpha: np.ndarray
    highlight: np.ndarray
    opening: np.ndarray


def separate_eye_layers(picture: np.ndarray, points: np.ndarray, side: str, cm: float) -> EyeLayers:
    """
    Separate an eye of a photo into layers.

    Args:
        picture: (S, S, 3) float32. points: (478, 2) landmarks in it.
        side: "Left" or "Right", the subject's.
        cm: pixels per cm.
    """
    ring, (middle, edge) = points[EYES[side]], IRISES[side]
    rim = points[list(edge)]
    radius = float(np.linalg.norm(rim - rim.mean(0), axis=1).mean())
    centre = (points[middle] + rim.mean(0)) / 2
    pad = np.array([0.5, 0.75]) * cm
    low = np.maximum((ring.min(0) - pad).astype(int), 0)
    high = np.minimum((ring.max(0) + pad).astype(int) + 1, len(picture))
    patch = picture[low[1] : high[1], low[0] : high[0]]
    mask = np.zeros(patch.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(ring - low).astype(np.int32)], 1)
    shrink = max(3, round(0.2 * cm) | 1)
    inner = cv2.erode(mask, np.ones((shrink, shrink), np.uint8)) > 0
    rows, columns = np.mgrid[: patch.shape[0], : patch.shape[1]].astype(np.float32)
    distance = np.hypot(columns + low[0] + 0.5 - centre[0], rows + low[1] + 0.5 - centre[1])

    sclera = _complete_sclera(patch, inner & (distance > 1.15 * radius), cm)
    iris, highlight = _complete_iris(patch, inner, distance, radius, cm)
    return EyeLayers(
        int(low[0]), int(low[1]), centre, radius, sclera, iris,
        (1 - smoothstep(distance, 0.92 * radius, 1.1 * radius)).astype(np.float32), highlight,
        inner.astype(np.float32),
    )  # fmt: skip


def _complete_sclera(patch: np.ndarray, seen: np.ndarray, cm: float) -> np.ndarray:
    """Extend the visible sclera over the whole patch."""
    if seen.sum() < 12:
        return np.full_like(patch, 190)
    weights = seen.astype(np.float32)
    total, summed = np.zeros_like(weights), np.zeros_like(patch)
    for sigma in (0.1 * cm, 0.27 * cm, 0.67 * cm):
        summed += cv2.GaussianBlur(patch * weights[..., None], (0, 0), sigma) / sigma**2
        total += cv2.GaussianBlur(weights, (0, 0), sigma) / sigma**2
    soft = (cv2.GaussianBlur(weights, (0, 0), 0.05 * cm) * weights)[..., None]
    return summed / np.maximum(total, 1e-6)[..., None] * (1 - soft) + patch * soft


def _complete_iris(
    patch: np.ndarray, inner: np.ndarray, distance: np.ndarray, radius: float, cm: float
) -> tuple[np.ndarray, np.ndarray]:
    """The iris and its highlight. Hidden parts of the iris get its median colour at that radius."""
    seen = inner & (distance < 1.25 * radius)
    rings = max(int(1.3 * radius) + 2, 3)
    ring = np.minimum(distance.astype(int), rings - 1)
    profile = np.zeros((rings, 3), np.float32)
    for number in range(rings):
        here = seen & (ring == number)
        profile[number] = np.median(patch[here], 0) if here.sum() > 3 else (profile[number - 1] if number else 25)
    profile = cv2.GaussianBlur(profile[:, None], (1, 0), 0.05 * cm, sigmaY=0.05 * cm)[:, 0]
    at = np.clip(distance - 0.5, 0, rings - 1)
    full = np.stack([np.interp(at, np.arange(rings), profile[:, k]) for k in range(3)], 2).astype(np.float32)
    brighter = (patch - full).max(2)
    lamp = (seen & (distance < 0.85 * radius)).astype(np.float32) * smoothstep(brighter, 25, 60)
    lamp = cv2.GaussianBlur(cv2.dilate(lamp.astype(np.float32), np.ones((3, 3))), (0, 0), 0.03 * cm)[..., None]
    keep = (cv2.GaussianBlur(seen.astype(np.float32), (0, 0), 0.07 * cm) * seen)[..., None] * (1 - lamp)
    return full * (1 - keep) + patch * keep, np.maximum(patch - full, 0) * lamp
