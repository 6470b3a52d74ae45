"""Finding faces: facenet-pytorch's MTCNN (its weights are inside the package, nothing is downloaded)."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from .face_alignment_tergan import similarity_framing
from .torchvision_compat import ensure_torchvision


SMALLEST_FACE = 20  # pixels, of the network's image pyramid
ENLARGED_SIDE = 64  # pixels, so that a face that fills a small photo is well above the smallest


class NoFaceFoundError(ValueError):
    """There is no face in an image that should show one."""


@dataclass(frozen=True)
class DetectedFace:
    """A face in a photo, in photo pixels.

    Args:
        box: (4,) left, top, right, bottom.
        landmarks: (5, 2) left eye, right eye, nose, left and right mouth corner, as the viewer sees them.
        confidence: 0 to 1.
    """

    box: np.ndarray
    landmarks: np.ndarray
    confidence: float

    @property
    def area(self) -> float:
        """Area of the box in square pixels."""
        return float((self.box[2] - self.box[0]) * (self.box[3] - self.box[1]))

    @property
    def framing(self) -> np.ndarray:
        """The (2, 3) framing of its aligned crop; see `similarity_framing`, also for its errors."""
        return similarity_framing(self.landmarks)


class FaceDetector:
    """MTCNN (Zhang et al. 2016) with settings that suit portraits.

    Args:
        device: where the network runs; it is small, the CPU does.
        min_confidence: detections below are dropped.
        max_side: larger photos are searched at this many pixels on their longer side; landmarks come back in photo
            pixels all the same.
    """

    def __init__(self, device: str = "cpu", min_confidence: float = 0.85, max_side: int = 640):
        self.device = device
        self.min_confidence = min_confidence
        self.max_side = max_side

    @cached_property
    def network(self):
        ensure_torchvision()
        from facenet_pytorch import MTCNN

        return MTCNN(keep_all=True, post_process=False, device=self.device)

    def detect(self, image: Image.Image) -> list[DetectedFace]:
        """All faces of an RGB photo, the largest first; an empty list where there is none."""
        scale = min(1.0, self.max_side / max(image.size))
        if min(image.size) * scale < ENLARGED_SIDE:
            # Small photos are enlarged, narrow strips only as far as their length allows.
            scale = min(ENLARGED_SIDE / min(image.size), 4 * self.max_side / max(image.size))
        width, height = (round(side * scale) for side in image.size)
        if min(width, height) < SMALLEST_FACE:
            return []
        searched = image if scale == 1 else image.resize((width, height), Image.Resampling.BILINEAR)
        boxes, confidences, landmarks = self.network.detect(searched, landmarks=True)
        if boxes is None:
            return []
        faces = [
            DetectedFace(np.asarray(b, float) / scale, np.asarray(p, float) / scale, float(c))
            for b, c, p in zip(boxes, confidences, landmarks)
            if c is not None and c >= self.min_confidence
        ]
        return sorted(faces, key=lambda face: face.area, reverse=True)
