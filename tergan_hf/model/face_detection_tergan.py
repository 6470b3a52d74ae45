"""Face detection by facenet-pytorch's MTCNN, whose weights are inside the package: nothing is downloaded."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from PIL import Image

from .errors_tergan import InvalidInputError
from .face_alignment_tergan import compose_transforms, crop_face, fit_crop_transform, invert_transform
from .torchvision_compat import ensure_torchvision


SMALLEST_FACE = 20  # pixels, in the network's image pyramid
ENLARGED_SIDE = 64  # pixels; smaller photos are enlarged, so that a face that fills one is found
ONET_SIDE = 48  # pixels of O-Net's input
# From the aligned crop to the square that O-Net was trained on, as measured on MTCNN's own boxes: a little larger and
# higher.
TO_ONET = np.array([[1 / 1.1, 0, 0.5 - 0.5 / 1.1], [0, 1 / 1.1, 0.5 - 0.46 / 1.1]])
# Views for landmark refinement as (shift in shares of the side, degrees): upright, then shifted and turned to each
# side.
REFINEMENT_VIEWS = (0, 0), (0.04, 4), (-0.04, -4)
MIRRORED = [1, 0, 2, 4, 3]  # order of the landmarks in a mirror image
LOST_BELOW = 0.7  # confidence of O-Net below which a face counts as lost
# Certainty is MTCNN's confidence times that of landmark refinement. MTCNN is sure of blurred patches (up to 1.0),
# while refinement gives them .2 to .9 and 99 % of small and slightly blurred faces more than .97.
LEAST_CERTAINTY = 0.4
SMALL_SIDE, LEAST_CERTAINTY_OF_SMALL = 32, 0.8  # pixels, in the searched image
SURELY_UPRIGHT = 0.99  # certainty times the cosine of the roll; turned faces reach .98
QUARTER_TURNS = (Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270)


Face = int | tuple[float, float] | None  # which face of a photo, see `select_face`


@dataclass(frozen=True)
class DetectedFace:
    """A face in a photo, in photo pixels.

    Args:
        box: (4,) left, top, right, bottom.
        landmarks: (5, 2) left eye, right eye, nose, left and right mouth corner, as the viewer sees them.
        confidence: of the detection, 0 to 1.
    """

    box: np.ndarray
    landmarks: np.ndarray
    confidence: float

    @property
    def area(self) -> float:
        """Area of the box in square pixels."""
        return float((self.box[2] - self.box[0]) * (self.box[3] - self.box[1]))

    @property
    def crop_transform(self) -> np.ndarray:
        """The (2, 3) crop transform of the aligned crop; see `fit_crop_transform`, also for its errors."""
        return fit_crop_transform(self.landmarks)


@dataclass(frozen=True)
class _Candidate:
    """A detection in the searched image. `upright` are its landmarks in the image as it was searched."""

    face: DetectedFace
    certainty: float
    upright: np.ndarray

    @property
    def uprightness(self) -> float:
        """Certainty times the cosine of the roll angle."""
        down = self.upright[3:].mean(0) - self.upright[:2].mean(0)
        return self.certainty * float(down[1] / max(np.linalg.norm(down), 1e-9))

    def turned_back(self, turn: Image.Transpose, size: tuple[int, int]) -> "_Candidate":
        """The same detection in an image of this size, from the coordinates of its quarter turn."""
        width, height = size
        linear, shift = {
            Image.Transpose.ROTATE_90: ([[0, -1], [1, 0]], (width, 0)),
            Image.Transpose.ROTATE_180: ([[-1, 0], [0, -1]], (width, height)),
            Image.Transpose.ROTATE_270: ([[0, 1], [-1, 0]], (0, height)),
        }[turn]
        corners = self.face.box.reshape(2, 2) @ np.transpose(linear) + shift
        box = np.concatenate([corners.min(0), corners.max(0)])
        landmarks = self.face.landmarks @ np.transpose(linear) + shift
        return _Candidate(DetectedFace(box, landmarks, self.face.confidence), self.certainty, self.upright)


def select_face(faces: list[DetectedFace], face: Face, name: str) -> DetectedFace:
    """
    Select one of the faces of a photo.

    Args:
        faces: as `FaceDetector.detect` gives them, the largest first.
        face: `None` or 0 is the largest, 1 the next. A point (x, y) in photo pixels is the face around it or, if there
            is none, the nearest one.
        name: of the photo, for messages.

    Raises:
        InvalidInputError: there is no such face, or `face` is neither a whole number nor a point.
    """
    if face is None:
        return faces[0]
    if isinstance(face, (int, np.integer)) and not isinstance(face, bool):
        if not 0 <= face < len(faces):
            raise InvalidInputError(f"{name}: face={face}, but {len(faces)} found; the first is 0")
        return faces[face]
    point = np.asarray(face, dtype=float) if isinstance(face, (tuple, list, np.ndarray)) else np.zeros(0)
    if point.shape != (2,) or not np.isfinite(point).all():
        raise InvalidInputError(f"{name}: face must be a whole number or a point (x, y), got {face!r}")

    def distance(found: DetectedFace) -> tuple[bool, float]:
        inside = bool((found.box[:2] <= point).all() and (point <= found.box[2:]).all())
        return not inside, float(np.linalg.norm(found.box.reshape(2, 2).mean(0) - point))

    return min(faces, key=distance)


class FaceDetector:
    """MTCNN (Zhang et al. 2016) with settings that suit portraits.

    Args:
        device: where the network runs; it is small, so the CPU is enough.
        min_confidence: detections below it are dropped.
        max_side: larger photos are reduced to this many pixels on their longer side for the search. Landmarks are
            given in photo pixels all the same.
    """

    def __init__(self, device: str = "cpu", min_confidence: float = 0.85, max_side: int = 640):
        self.device = device
        self.min_confidence = min_confidence
        self.max_side = max_side

    @cached_property
    def network(self):
        ensure_torchvision()
        from facenet_pytorch import MTCNN

        # Single precision, whatever the default dtype is.
        return MTCNN(keep_all=True, post_process=False, device=self.device).float()

    def detect(self, image: Image.Image, turns: bool = True) -> list[DetectedFace]:
        """
        Find all faces of an RGB photo.

        Args:
            turns: if no face is surely upright, also search the photo turned by quarters and keep the surest turn, so
                that lying and upside down photos are read correctly.

        Returns:
            faces in the order of their area, weighted by confidence, so that a face comes before a larger patch that
            is hardly one. Empty if there is none.
        """
        scale = min(1.0, self.max_side / max(image.size))
        if min(image.size) * scale < ENLARGED_SIDE:
            # Narrow strips are enlarged only as far as their length allows.
            scale = min(ENLARGED_SIDE / min(image.size), 4 * self.max_side / max(image.size))
        width, height = (round(side * scale) for side in image.size)
        if min(width, height) < SMALLEST_FACE:
            return []
        searched = image if scale == 1 else image.resize((width, height), Image.Resampling.BILINEAR)
        candidates = self._search(searched)
        if turns and max((found.uprightness for found in candidates), default=0) < SURELY_UPRIGHT:
            turned = [
                [found.turned_back(turn, searched.size) for found in self._search(searched.transpose(turn))]
                for turn in QUARTER_TURNS
            ]
            candidates = max([candidates, *turned], key=lambda faces: max([0, *(f.uprightness for f in faces)]))
        candidates.sort(key=lambda found: found.face.area * found.certainty**4, reverse=True)
        return [
            DetectedFace(found.face.box / scale, found.face.landmarks / scale, found.face.confidence)
            for found in candidates
        ]

    @torch.inference_mode()
    def _search(self, image: Image.Image) -> "list[_Candidate]":
        """The faces of an image at the size of the search."""
        with torch.autocast(torch.device(self.device).type, enabled=False):
            boxes, confidences, landmarks = self.network.detect(image, landmarks=True)
        if boxes is None:
            return []
        candidates = []
        for box, confidence, first in zip(boxes, confidences, landmarks):
            if confidence is None or confidence < self.min_confidence:
                continue
            box, first = np.asarray(box, float), np.asarray(first, float)
            refined, refined_confidence = self.refine_landmarks(image, first)
            found = first if refined_confidence < LOST_BELOW else refined
            candidate = _Candidate(
                DetectedFace(box, found, float(confidence)), float(confidence) * refined_confidence, found
            )
            side = np.sqrt(candidate.face.area)
            if candidate.certainty >= (LEAST_CERTAINTY if side >= SMALL_SIDE else LEAST_CERTAINTY_OF_SMALL):
                candidates.append(candidate)
        return candidates

    @torch.inference_mode()
    def refine_landmarks(
        self, image: Image.Image, landmarks: np.ndarray, views: int = len(REFINEMENT_VIEWS)
    ) -> tuple[np.ndarray, float]:
        """
        Run O-Net, MTCNN's last network, again on several aligned views of the face and their mirror images, and
        average.

        O-Net's answer varies with the position of the face in its input, which MTCNN's own boxes leave to chance.
        Between rendered photos that differ in the expression alone, eyes and mouths of the crops move by 1.9 of 128
        pixels (root mean square) without refinement, by 0.8 with one view and by 0.7 with three.

        Args:
            image: RGB. landmarks: (5, 2), present or recent ones, in its pixels. views: 1 to 3, each with its mirror
                image.

        Returns:
            (5, 2) mean landmarks, and O-Net's confidence that this is a face, 0 to 1.

        Raises:
            ValueError: of `fit_crop_transform`.
        """
        upright = compose_transforms(TO_ONET, fit_crop_transform(landmarks))
        crop_transforms = [compose_transforms(_view(*view), upright) for view in REFINEMENT_VIEWS[:views]]
        crops = np.stack(
            [np.asarray(crop_face(image, crop_transform, ONET_SIDE), np.float32) for crop_transform in crop_transforms]
        )
        pixels = torch.from_numpy(crops).permute(0, 3, 1, 2)
        both = torch.cat([pixels, pixels.flip(3)]).to(self.device)
        with torch.autocast(both.device.type, enabled=False):
            _, points, probability = self.network.onet((both - 127.5) / 128)
        straight, mirrored = points.cpu().double().numpy().reshape(2, views, 2, 5).transpose(0, 1, 3, 2)
        mirrored = mirrored[:, MIRRORED] * [-1, 1] + [1, 0]
        found = [
            seen @ to_photo[:, :2].T + to_photo[:, 2]
            for seen, to_photo in zip((straight + mirrored) / 2, map(invert_transform, crop_transforms))
        ]
        return np.mean(found, axis=0), float(probability[:, 1].mean())


def _view(right: float, degrees: float) -> np.ndarray:
    """The (2, 3) matrix from a square to one of the same size that is shifted by a share of its side and turned."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    linear = np.array([[cos, sin], [-sin, cos]])
    return np.hstack([linear, (0.5 - linear @ [0.5 + right, 0.5])[:, None]])
