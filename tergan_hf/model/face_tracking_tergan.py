"""Face tracking: landmark refinement from frame to frame, smoothed over time."""

import math

import numpy as np
from PIL import Image

from .face_detection_tergan import LOST_BELOW, FaceDetector, select_face


class OneEuroFilter:
    """
    The 1€ filter (Casiez et al. 2012): it smooths slow movements strongly and fast ones hardly.

    Args:
        min_cutoff: cutoff of the low-pass at rest, in Hz; lower is steadier.
        speed: how much the cutoff grows with speed; higher lags less.
        derivative_cutoff: cutoff of the low-pass on the speed, in Hz.
    """

    def __init__(self, min_cutoff: float = 1.0, speed: float = 0.0, derivative_cutoff: float = 1.0):
        self.min_cutoff, self.speed, self.derivative_cutoff = min_cutoff, speed, derivative_cutoff
        self._value: np.ndarray | None = None
        self._derivative: np.ndarray | None = None

    def __call__(self, value: np.ndarray, interval: float) -> np.ndarray:
        """Smooth the next value; `interval` is the time since the last one in seconds."""
        if self._value is None:
            self._value, self._derivative = np.array(value, float), np.zeros_like(value, float)
            return self._value
        derivative = (value - self._value) / interval
        self._derivative += _share(self.derivative_cutoff, interval) * (derivative - self._derivative)
        cutoff = self.min_cutoff + self.speed * np.linalg.norm(self._derivative, axis=-1, keepdims=True)
        self._value = self._value + _share(cutoff, interval) * (value - self._value)
        return self._value


def _share(cutoff, interval: float):
    """Weight of the new value in a first-order low-pass."""
    return 1 / (1 + 1 / (2 * math.pi * cutoff * interval))


class FaceTracker:
    """
    Track one face from frame to frame.

    Between full detections only landmark refinement runs, around the last landmarks. If its confidence is low, and
    every `redetect_after` frames, the whole frame is searched again and the face nearest to the last position is
    taken, also after the face was gone.

    Args:
        detector: for full detections.
        face: the face to track, as in `select_face`.
        redetect_after: frames between full detections.
    """

    def __init__(self, detector: FaceDetector, face=None, redetect_after: int = 60):
        self.detector, self.face, self.redetect_after = detector, face, redetect_after
        self._landmarks: np.ndarray | None = None
        self._last_seen: np.ndarray | None = None
        self._since = 0
        self._filter: OneEuroFilter | None = None

    def __call__(self, frame: Image.Image, interval: float) -> np.ndarray | None:
        """
        Args:
            frame: RGB. interval: seconds since the last frame.

        Returns:
            (5, 2) smoothed landmarks in frame pixels, `None` if the face is not seen.
        """
        landmarks = None
        if self._landmarks is not None and self._since < self.redetect_after:
            landmarks = self._refine(frame)
            self._since += 1
        if landmarks is None:
            landmarks, self._since = self._search(frame), 0
        if landmarks is None:
            self._landmarks, self._filter = None, None
            return None
        if self._filter is None:
            self._filter = OneEuroFilter(min_cutoff=1.5, speed=4.0 / _face_height(landmarks))
        self._landmarks, self._last_seen = landmarks, landmarks.mean(0)
        return self._filter(landmarks, interval)

    def _search(self, frame: Image.Image) -> np.ndarray | None:
        # Frames of a clip lie alike: turned faces are looked for until the first face is seen.
        faces = self.detector.detect(frame, turns=self._last_seen is None)
        if not faces:
            return None
        if self._last_seen is not None:
            last = self._last_seen
            return min(faces, key=lambda found: np.linalg.norm(found.landmarks.mean(0) - last)).landmarks
        return select_face(faces, self.face, "video").landmarks

    def _refine(self, frame: Image.Image) -> np.ndarray | None:
        reach = _face_height(self._landmarks)
        if (self._landmarks.max(0) < -reach).any() or (self._landmarks.min(0) > np.add(frame.size, reach)).any():
            return None
        landmarks, confidence = self.detector.refine_landmarks(frame, self._landmarks, views=1)
        return landmarks if confidence >= LOST_BELOW else None


def _face_height(landmarks: np.ndarray) -> float:
    """Distance between the midpoints of eyes and mouth, in pixels."""
    return float(np.linalg.norm(landmarks[:2].mean(0) - landmarks[3:].mean(0)))
