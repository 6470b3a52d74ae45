"""Padded crops: detect and align each face once, with the code that also aligns users' photos, and cache the result.

A padded crop shows the aligned crop with a margin around it. Training can therefore vary the crop transform, and cut a
ground truth with its target's crop transform instead of its own.
"""

import logging
import os
from collections.abc import Iterable

import numpy as np
from datasets import Array2D, Dataset, Features, Image, IterableDataset, List, Value
from datasets.fingerprint import Hasher
from tqdm.auto import tqdm

from ..model.errors_tergan import InvalidInputError
from ..model.face_alignment_tergan import crop_face, fit_crop_transform, whole_image_transform, zoom_out
from ..model.face_detection_tergan import FaceDetector
from .image_cells import decode, image_cell
from .loading import NEUTRAL_ID, NO_EXPRESSION_ID


logger = logging.getLogger(__name__)

PADDED_CROP_MARGIN = 1.3  # side of a padded crop / side of the aligned crop in its middle
PADDED_CROP_OVERSAMPLING = 1.25  # resolution of a padded crop / resolution of the network's input
# Above this side, in pixels, padded crops are stored as JPEG, which is read four times as fast as PNG.
LOSSLESS_SIDE = 128
PHOTOS_PER_PROCESS = 500  # at least, where photos are cropped by several processes
_VERSION = 9  # raise this when padded crops or their columns change, so that old cache files are not used


def padded_crop_size(image_size: int) -> int:
    """Side of a padded crop in pixels, for a network whose input has `image_size` pixels."""
    return round(image_size * PADDED_CROP_MARGIN * PADDED_CROP_OVERSAMPLING)


def network_input_size(side: int) -> int:
    """The inverse of `padded_crop_size`."""
    return round(side / (PADDED_CROP_MARGIN * PADDED_CROP_OVERSAMPLING))


def make_padded_crops(
    photos: Dataset | IterableDataset,
    image_size: int,
    align: bool = True,
    name: str = "photos",
) -> Dataset:
    """
    Replace each photo by its padded crop and add its `crop_transform` ((2, 3), photo pixels → unit square of the
    crop).

    Photos without a detected face are left out, and a warning counts them. `datasets` caches the result under the
    fingerprint of the photos, the size and the kind of alignment. Of a stream only the padded crops are stored, on
    disk: neither the photos nor all padded crops are ever in memory.

    Args:
        photos: from `load_photos`.
        image_size: side of the network's input in pixels.
        align: align by the column `landmarks` if the set has it, otherwise by the detected face. Renderings of one
            session are aligned by those of its neutral photo, so that what does not move has the same pixels in all
            of them. (In a stream the neutral photo must come first.) `False` takes the whole photo as the aligned
            crop; its padded crop then gets no more pixels than the photo has.
        name: name of the set, for messages.

    Raises:
        InvalidInputError: no photo shows a face, or a photo cannot be read.
    """
    cropper = _PaddedCropper(photos.features, image_size, align, name)
    message = "Finding and aligning faces" if align and not cropper.known else "Cropping photos"
    fingerprint = Hasher.hash([photos._fingerprint, cropper.size, align, PADDED_CROP_MARGIN, _VERSION])
    if isinstance(photos, IterableDataset):
        padded = Dataset.from_generator(
            _padded_rows, cropper.features(), gen_kwargs={"photos": photos, "cropper": cropper, "message": message},
            fingerprint=fingerprint,
        )  # fmt: skip
    else:
        if cropper.known:
            neutral = np.flatnonzero(np.array(photos["expression_id"]) == NEUTRAL_ID)
            cropper.note_neutral(photos.select(neutral).remove_columns("image"))
        # Torch, which detects faces, has threads of its own and may hang in forked processes.
        processes = 1 if cropper.detector else min(os.cpu_count() or 1, len(photos) // PHOTOS_PER_PROCESS)
        padded = photos.map(
            cropper, with_indices=True, features=cropper.features(), desc=message, new_fingerprint=fingerprint,
            num_proc=processes if processes > 1 else None,
        )  # fmt: skip
    found = np.flatnonzero(padded.with_format("numpy")["has_face"][:]) if len(padded) else np.array([], int)
    if len(found) == 0:
        raise InvalidInputError("no face was found in any photo; set `align` to false if the photos are face crops")
    if len(found) < len(padded):
        logger.warning(
            "%s: no face found in %d of %d photos; they are left out", name, len(padded) - len(found), len(padded)
        )
    return padded.select(found).remove_columns("has_face")


class _PaddedCropper:
    """Map a row with a photo to the columns of its padded crop."""

    def __init__(self, features: Features, image_size: int, align: bool, name: str):
        self.photo_features, self.align, self.name = features, align, name
        self.size = padded_crop_size(image_size)
        self.known = align and "landmarks" in features
        self.neutral_landmarks: dict[tuple, list] = {}  # by person and session
        self.detector = FaceDetector() if align and not self.known else None

    def features(self) -> Features:
        """The columns of the result."""
        features = self.photo_features.copy()
        features["image"] = Image(decode=False)
        features["crop_transform"] = Array2D((2, 3), "float32")
        features["has_face"] = Value("bool")
        if "flow" in features:
            features["photo_size"] = List(Value("int32"), length=2)  # a flow map covers the whole photo
        return features

    def __call__(self, row: dict, index: int) -> dict:
        image = decode(row["image"], f"{self.name}[{index}]")
        photo_size = {"photo_size": image.size} if "flow" in self.photo_features else {}
        crop_transform, side = whole_image_transform(*image.size), self.size
        if self.known:
            crop_transform = fit_crop_transform(np.array(self._landmarks(row)))
        elif self.detector is not None:
            faces = self.detector.detect(image)
            if not faces:
                return {"image": None, "crop_transform": crop_transform, "has_face": False, **photo_size}
            crop_transform = faces[0].crop_transform
        else:
            side = min(side, round(max(image.size) * PADDED_CROP_MARGIN))
        crop = crop_face(image, zoom_out(crop_transform, PADDED_CROP_MARGIN), side)
        if side > LOSSLESS_SIDE:
            encoded = image_cell(crop, "JPEG", quality=95, subsampling=0)
        else:
            encoded = image_cell(crop, "PNG", compress_level=1)
        return {"image": encoded, "crop_transform": crop_transform, "has_face": True, **photo_size}

    def note_neutral(self, rows: Iterable[dict]):
        """Note the landmarks of neutral renderings. Of several in a session the first counts."""
        for row in rows:
            self.neutral_landmarks.setdefault(_session(row), row["landmarks"])

    def _landmarks(self, row: dict) -> list:
        """The landmarks that a photo is aligned by."""
        if row["expression_id"] == NO_EXPRESSION_ID:
            return row["landmarks"]
        return self.neutral_landmarks.get(_session(row), row["landmarks"])


def _session(row: dict) -> tuple:
    return row["identity"], row.get("session")


def _padded_rows(photos: IterableDataset, cropper: _PaddedCropper, message: str):
    for index, row in enumerate(tqdm(photos, desc=message, unit="photo", dynamic_ncols=True)):
        if cropper.known and row["expression_id"] == NEUTRAL_ID:
            cropper.note_neutral([row])
        yield {**row, **cropper(row, index)}
