"""Embeddings of every photo of a set, computed once."""

from dataclasses import dataclass

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from ..data.image_cells import decode
from ..model.errors_tergan import InvalidInputError
from ..model.face_alignment_tergan import crop_face, whole_image_transform
from ..model.face_detection_tergan import DetectedFace, FaceDetector
from ..model.pipeline_tergan import TerGanPipeline


PIXELS_SIDE = 16
BATCH_SIZE = 64


class CachedDetector:
    """A detector that keeps its answers, because several measurements detect the faces of the same photos."""

    def __init__(self, detector: FaceDetector):
        self.detector = detector
        self.cache: dict[tuple, list[DetectedFace]] = {}

    def detect(self, image: Image.Image) -> list[DetectedFace]:
        """Same as `FaceDetector.detect`."""
        key = (image.size, hash(image.tobytes()))
        if key not in self.cache:
            self.cache[key] = self.detector.detect(image)
        return self.cache[key]


@dataclass
class Embeddings:
    """
    Embeddings and scores of the photos of a set in which a face was detected.

    Args:
        rows: (N,) indices of these photos in the set.
        without_face: (M,) indices of the other photos.
        features: name → (N, D): `expression` is f(e), `identity` is f(i), `pixels` is the crop reduced to a few grey
            pixels, and every other name is the f(e) of that pipeline.
        scores: (N, num_labels) of the model's own classifier, in the order of its labels.
    """

    rows: np.ndarray
    without_face: np.ndarray
    features: dict[str, np.ndarray]
    scores: np.ndarray


def embed_photos(
    pipe: TerGanPipeline,
    photos,
    detect: bool,
    others: dict[str, TerGanPipeline] | None = None,
    name: str = "photos",
) -> Embeddings:
    """
    Embed and classify each photo with the whole pipeline.

    Args:
        detect: find and align the face; `False` takes each photo as an aligned crop.
        others: pipelines whose f(e) to compare with.
        name: of the set, for the progress bar and for messages about a single photo.

    Raises:
        InvalidInputError: no photo shows a face.
    """
    rows, without_face, scores = [], [], []
    features: dict[str, list] = {key: [] for key in ("expression", "identity", "pixels", *(others or {}))}
    for start in tqdm(range(0, len(photos), BATCH_SIZE), desc=f"{name}: embeddings", dynamic_ncols=True, leave=False):
        images = []
        for row in range(start, min(start + BATCH_SIZE, len(photos))):
            photo = decode(photos[row]["image"], f"{name}[{row}]")
            crop_transform = whole_image_transform(*photo.size)
            if detect:
                faces = pipe.detector.detect(photo)
                if not faces:
                    without_face.append(row)
                    continue
                crop_transform = faces[0].crop_transform
            crop = crop_face(photo, crop_transform, PIXELS_SIDE)
            features["pixels"].append(np.asarray(crop.convert("L"), np.float32))
            images.append(photo)
            rows.append(row)
        if not images:
            continue
        for answer in pipe.recognize(images, detect=detect):
            by_label = {entry["label"]: entry["score"] for entry in answer}
            scores.append([by_label[label] for label in pipe.labels])
        for embedded in pipe.embed(images, detect=detect):
            features["expression"].append(embedded["expression"])
            features["identity"].append(embedded["identity"])
        for key, other in (others or {}).items():
            features[key] += [embedded["expression"] for embedded in other.embed(images, detect=detect)]
    if not rows:
        raise InvalidInputError("no face was found in any photo")
    arrays = {key: np.stack(values).reshape(len(rows), -1) for key, values in features.items()}
    return Embeddings(np.array(rows), np.array(without_face, dtype=int), arrays, np.array(scores))
