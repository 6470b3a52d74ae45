"""Find and read the faces of many photos, in batches for the network."""

import contextlib
import io
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from datasets import Features, List, Value
from datasets.features import Array2D
from datasets.utils.file_utils import xopen
from PIL import Image

from ..model.errors_tergan import ImageInputError, TerGanError
from ..model.face_detection_tergan import DetectedFace
from ..model.image_loading_tergan import open_unlimited, read_image
from ..model.pipeline_base_tergan import BATCH_SIZE
from ..model.pipeline_tergan import TerGanPipeline


MOST_MEGAPIXELS = 250  # of a photo; the largest sensors of phones have 200
NO_FACE = "no face was found"


@dataclass
class PhotoReading:
    """
    What was read in a photo.

    Args:
        faces: a row for each face, the largest first, with the columns of `face_features`.
        reason: why there is none, for example that the file is damaged; empty if there are faces.
    """

    faces: list[dict] = field(default_factory=list)
    reason: str = ""


def face_features(labels: list[str], blendshapes: list[str]) -> Features:
    """The columns of a face."""
    columns: dict[str, Any] = {
        "face": Value("int32"),
        "box": List(Value("float32"), length=4),
        "landmarks": Array2D((5, 2), "float32"),
        "confidence": Value("float32"),
        "expression": Value("string"),
        "score": Value("float32"),
        "scores": {label: Value("float32") for label in labels},
    }
    if blendshapes:
        columns["blendshapes"] = {name: Value("float32") for name in blendshapes}
    return Features(columns)


def read_photos(pipe: TerGanPipeline, photos: Iterable[Any], blendshapes: bool = False) -> Iterator[PhotoReading]:
    """
    Read the faces of photos. Only the crops of a batch are in memory, and one photo.

    Args:
        photos: each as a data set stores it: bytes, `{"bytes", "path"}`, or `None`.
        blendshapes: also read the blendshapes.

    Returns:
        one reading for each photo, in their order.
    """
    waiting: list[PhotoReading] = []
    rows: list[dict] = []
    crops: list[Image.Image] = []
    for stored in photos:
        reading, own = _find_faces(pipe, stored)
        waiting.append(reading)
        rows += reading.faces
        crops += own
        if len(crops) >= BATCH_SIZE:
            _read_crops(pipe, rows, crops, blendshapes)
            yield from waiting
            waiting, rows, crops = [], [], []
    _read_crops(pipe, rows, crops, blendshapes)
    yield from waiting


def _find_faces(pipe: TerGanPipeline, stored: Any) -> tuple[PhotoReading, list[Image.Image]]:
    """The faces of a photo without their expressions, and their crops."""
    try:
        photo = _load(stored)
        found = pipe.detector.detect(photo)
        crops = [pipe.cut_out(photo, face.crop_transform).crop for face in found]
    except TerGanError as error:
        return PhotoReading(reason=str(error)), []
    if not found:
        return PhotoReading(reason=NO_FACE), []
    return PhotoReading([_describe(number, face) for number, face in enumerate(found)]), crops


def _load(stored: Any) -> Image.Image:
    """
    Raises:
        ImageInputError: there is no photo, it cannot be read, or it is too large.
    """
    content = stored.get("bytes") if isinstance(stored, dict) else stored
    path = stored.get("path") if isinstance(stored, dict) else None
    if content is None and not path:
        raise ImageInputError("there is no photo")
    try:
        if content is None:
            with xopen(path, "rb") as file:
                content = file.read()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged metadata
            megapixels = _megapixels(content)
            if megapixels > MOST_MEGAPIXELS:
                raise ImageInputError(f"the photo has {megapixels:.0f} megapixels; up to {MOST_MEGAPIXELS} are read")
            return read_image(io.BytesIO(content), "photo")
    except TerGanError:
        raise
    except Exception as error:  # Pillow's plugins raise errors of any class for damaged files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageInputError(f"the photo cannot be read ({reason})") from error


def _megapixels(content: bytes) -> float:
    """The size of a photo by its head; 0 if the head cannot be read."""
    with contextlib.suppress(Exception), open_unlimited(io.BytesIO(content)) as opened:
        return opened.width * opened.height / 1e6
    return 0.0


def _describe(number: int, face: DetectedFace) -> dict:
    return {
        "face": number, "box": face.box.tolist(), "landmarks": face.landmarks.tolist(),
        "confidence": face.confidence,
    }  # fmt: skip


@torch.inference_mode()
def _read_crops(pipe: TerGanPipeline, rows: list[dict], crops: list[Image.Image], blendshapes: bool):
    """Add to each row what the network reads in its crop."""
    for start in range(0, len(crops), BATCH_SIZE):
        embeddings, values = pipe.model.read_both(pipe.pixel_values(crops[start : start + BATCH_SIZE]))
        scores = pipe.model.classify(embeddings).float().cpu().double().softmax(1).tolist()
        named = [{}] * len(scores) if values is None else values.float().cpu().tolist()
        for row, own, read in zip(rows[start : start + BATCH_SIZE], scores, named):
            by_label = dict(zip(pipe.labels, own))
            best = max(by_label, key=by_label.__getitem__)
            row.update(expression=best, score=by_label[best], scores=by_label)
            if blendshapes:
                row["blendshapes"] = dict(zip(pipe.blendshape_names, read))
