"""Face tracking: landmark refinement from frame to frame, smoothed over time."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image

from .face_detection_tergan import LOST_BELOW, DetectedFace, FaceDetector, select_face


Identify = Callable[[Image.Image, np.ndarray], np.ndarray]

# Cosine of f(i). On 20 people kept out, neutral and smiling, frontal: at least 0.68 between photos of one person,
# below 0.55 for nine of ten pairs of different people. A turned head is less like its frontal photo.
SAME_PERSON = 0.4
RIVAL_LEAD = 0.1  # cosine of f(i) by which a face must be more like a rival to be the rival's
REDETECT_AFTER = 60  # frames between full detections
LANDMARK_MIN_CUTOFF = 1.5  # Hz
LANDMARK_SPEED = 4.0  # `speed` of the filter, per face height
IDENTIFY_AFTER = 5  # frames of refinement between two comparisons of f(i)
MAX_FACES = 8  # compared in one frame
NEAR = 0.5  # face heights between two tracked faces of which one may be the other's
JUMP = 0.5  # face heights from frame to frame; a face does not move as fast
CUT_DIFFERENCE = 30.0  # mean over pixels and channels, of 255


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


class SharedDetector:
    """Let several trackers share a face detector: each frame is searched once."""

    def __init__(self, detector: FaceDetector):
        self.refine_landmarks = detector.refine_landmarks
        self._detector = detector
        self._frame: Image.Image | None = None
        self._faces: dict[bool, list[DetectedFace]] = {}

    def detect(self, image: Image.Image, turns: bool = True) -> list[DetectedFace]:
        """As `FaceDetector.detect`."""
        if image is not self._frame:
            self._frame, self._faces = image, {}
        if turns not in self._faces:
            self._faces[turns] = self._detector.detect(image, turns)
        return self._faces[turns]


class FaceTracker:
    """
    Track one face from frame to frame.

    Between full detections only landmark refinement runs, around the last landmarks. The whole frame is searched if
    its confidence is low, at a cut, and every `REDETECT_AFTER` frames. Where that leaves a doubt, f(i) decides which
    face is the tracked one, and whether it is seen at all.

    Args:
        detector: for full detections, a `FaceDetector` or `SharedDetector`.
        face: the face to track, as in `select_face`.
        identify: frame and landmarks (5, 2) → f(i), (D,). Default: the face nearest to the last position is taken.

    Attributes:
        rivals: trackers of the other people of the clip. A face that is more like one of them is not taken.
        restarted: whether the last landmarks do not continue those of the frame before: the first ones, after a cut,
            and after the face was gone.
    """

    def __init__(self, detector: FaceDetector | SharedDetector, face=None, identify: Identify | None = None):
        self.detector, self.face = detector, face
        self.restarted = True
        self.rivals: list[FaceTracker] = []
        self._person = None if identify is None else _Person(identify)
        self._cuts = CutDetector()
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
        cut = self._cuts(frame)
        doubtful = cut or self._landmarks is None
        landmarks = None
        if self._landmarks is not None and not cut and self._since < REDETECT_AFTER:
            landmarks = self._refine(frame, self._landmarks)
            self._since += 1
            doubtful = landmarks is None
            if landmarks is not None and self._is_due(landmarks) and not self._is_same(frame, landmarks):
                landmarks, doubtful = None, True
        if landmarks is None:
            landmarks, self._since = self._search(frame, doubtful), 0
        if landmarks is None:
            self._landmarks, self._filter = None, None
            return None
        self.restarted = cut or self._filter is None or self._jumped(landmarks)
        if self._filter is None or self.restarted:
            self._filter = OneEuroFilter(LANDMARK_MIN_CUTOFF, LANDMARK_SPEED / _face_height(landmarks))
        self._landmarks, self._last_seen = landmarks, landmarks.mean(0)
        return self._filter(landmarks, interval)

    def _search(self, frame: Image.Image, doubtful: bool) -> np.ndarray | None:
        # Frames of a clip lie alike: turned faces are looked for until the first face is seen.
        faces = self.detector.detect(frame, turns=self._last_seen is None)
        if not faces:
            return None
        if self._last_seen is None:
            chosen = select_face(faces, self.face, "video").landmarks
            if self._person is not None:
                self._person.remember(frame, chosen)
            return chosen
        last = self._last_seen
        found = sorted((face.landmarks for face in faces), key=lambda points: np.linalg.norm(points.mean(0) - last))
        if self._person is None or (len(found) == 1 and not doubtful and not self.rivals):
            return found[0]
        own = self._person.claim(frame, found, self._rival_people())
        best = self._person.find(own)
        return own[0].landmarks if own and best is None and not doubtful else best

    def _is_due(self, landmarks: np.ndarray) -> bool:
        """Whether to compare f(i): from time to time, and while a rival's face is near."""
        others = [rival._landmarks.mean(0) for rival in self.rivals if rival._landmarks is not None]
        distances = [float(np.linalg.norm(other - landmarks.mean(0))) for other in others]
        return self._since % IDENTIFY_AFTER == 0 or min(distances, default=np.inf) < NEAR * _face_height(landmarks)

    def _is_same(self, frame: Image.Image, landmarks: np.ndarray) -> bool:
        if self._person is None:
            return True
        return self._person.find(self._person.claim(frame, [landmarks], self._rival_people())) is not None

    def _rival_people(self) -> "list[_Person]":
        return [rival._person for rival in self.rivals if rival._person is not None]

    def _jumped(self, landmarks: np.ndarray) -> bool:
        return float(np.linalg.norm(landmarks.mean(0) - self._last_seen)) > JUMP * _face_height(landmarks)

    def _refine(self, frame: Image.Image, last: np.ndarray) -> np.ndarray | None:
        reach = _face_height(last)
        if (last.max(0) < -reach).any() or (last.min(0) > np.add(frame.size, reach)).any():
            return None
        landmarks, confidence = self.detector.refine_landmarks(frame, last, views=1)
        return landmarks if confidence >= LOST_BELOW else None


class _SeenFace(NamedTuple):
    """Landmarks (5, 2) of a face and its f(i), of length 1."""

    landmarks: np.ndarray
    code: np.ndarray


class _Person:
    """Who is tracked: a running mean of f(i), of length 1."""

    def __init__(self, identify: Identify):
        self.identify = identify
        self._mean: np.ndarray | None = None

    def similarity(self, code: np.ndarray) -> float:
        """Cosine of a face's f(i) and the person's, -1 if the person has not been seen."""
        return -1.0 if self._mean is None else float(code @ self._mean)

    def claim(self, frame: Image.Image, faces: list[np.ndarray], rivals: "list[_Person]") -> list[_SeenFace]:
        """The faces of a frame that are not clearly more like one of the rivals, in their order."""
        seen = [_SeenFace(landmarks, _unit(self.identify(frame, landmarks))) for landmarks in faces[:MAX_FACES]]
        return [
            face
            for face in seen
            if all(rival.similarity(face.code) <= self.similarity(face.code) + RIVAL_LEAD for rival in rivals)
        ]

    def find(self, faces: list[_SeenFace]) -> np.ndarray | None:
        """The landmarks of the face that is most like the person, `None` if all are other people."""
        best = max(faces, key=lambda face: self.similarity(face.code), default=None)
        if best is None or self.similarity(best.code) < SAME_PERSON:
            return None
        self._update(best.code)
        return best.landmarks

    def remember(self, frame: Image.Image, landmarks: np.ndarray):
        """Learn the person's f(i) from a face."""
        self._update(_unit(self.identify(frame, landmarks)))

    def _update(self, code: np.ndarray):
        self._mean = code if self._mean is None else _unit(0.8 * self._mean + 0.2 * code)


class CutDetector:
    """Find cuts: frames whose reduced image differs much from the one before."""

    def __init__(self):
        self._last: np.ndarray | None = None

    def __call__(self, frame: Image.Image) -> bool:
        """Whether the RGB frame follows a cut."""
        small = frame.resize((32, 32), Image.Resampling.BOX, reducing_gap=1.0)
        last, self._last = self._last, np.asarray(small, np.float32)
        return last is not None and float(np.abs(self._last - last).mean()) > CUT_DIFFERENCE


def _unit(code: np.ndarray) -> np.ndarray:
    code = np.asarray(code, np.float64)
    return code / max(float(np.linalg.norm(code)), 1e-12)


def _face_height(landmarks: np.ndarray) -> float:
    """Distance between the midpoints of eyes and mouth, in pixels."""
    return float(np.linalg.norm(landmarks[:2].mean(0) - landmarks[3:].mean(0)))
