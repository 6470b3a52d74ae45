"""Photos to *chips*: detection and alignment done once, with the same code a visitor's photo goes through, and cached.

A chip shows the aligned crop with a margin around it, so that training can jitter the crop_transform and cut a ground-truth
image out with its target's crop_transform instead of its own.
"""

import io
import logging

import numpy as np
from datasets import Array2D, Dataset, Features, Image, IterableDataset, List, Value
from datasets.fingerprint import Hasher
from PIL import Image as PILImage
from tqdm.auto import tqdm

from ..model.errors_tergan import InvalidInputError
from ..model.face_alignment_tergan import crop_face, fit_crop_transform, whole_image_transform, zoom_out
from ..model.face_detection_tergan import FaceDetector
from ..model.image_loading_tergan import read_image


logger = logging.getLogger(__name__)

PADDED_CROP_MARGIN = 1.3  # side of a chip / side of the crop it is about
PADDED_CROP_OVERSAMPLING = 1.25  # resolution of a chip / resolution of the network's crop
_VERSION = 6  # raise when a chip would come out different, so that cached ones are not used


def padded_crop_size(image_size: int) -> int:
    """Side of a chip in pixels for a network that sees `image_size` pixels."""
    return round(image_size * PADDED_CROP_MARGIN * PADDED_CROP_OVERSAMPLING)


def make_padded_crops(
    photos: Dataset | IterableDataset,
    image_size: int,
    align: bool = True,
    name: str = "photos",
    detector: FaceDetector | None = None,
) -> Dataset:
    """
    Replace each photo by its chip and add its `crop_transform` ((2, 3), photo pixels → unit square of the crop).

    Photos in which no face is found are left out, with a warning that counts them. The result is cached by
    `datasets` under the photos' fingerprint, the size and the kind of crop_transform. Of a stream only the chips are kept,
    on disk: neither the photos nor all chips are ever in memory.

    Args:
        photos: as `load_photos` gives them.
        image_size: side of the network's input in pixels.
        align: find the face, or take the set's `landmarks` where it has that column; `False` takes the whole photo as
            the aligned crop, whose chip gets no more pixels than it has.
        name: of the set, for messages.
        detector: default `FaceDetector()`.

    Raises:
        InvalidInputError: no face in any photo, or a photo cannot be read.
    """
    cropper = _PaddedCropper(photos.features, image_size, align, name, detector)
    message = "Finding and aligning faces" if align and not cropper.known else "Framing crops"
    fingerprint = Hasher.hash([photos._fingerprint, cropper.size, align, PADDED_CROP_MARGIN, _VERSION])
    if isinstance(photos, IterableDataset):
        chips = Dataset.from_generator(
            _padded_rows, cropper.features(), gen_kwargs={"photos": photos, "cropper": cropper, "message": message},
            fingerprint=fingerprint,
        )  # fmt: skip
    else:
        chips = photos.map(
            cropper, with_indices=True, features=cropper.features(), desc=message, new_fingerprint=fingerprint
        )
    found = np.flatnonzero(chips.with_format("numpy")["has_face"][:]) if len(chips) else []
    if len(found) == 0:
        raise InvalidInputError("no face was found in any photo")
    if len(found) < len(chips):
        logger.warning(
            "%s: no face found in %d of %d photos; they are left out", name, len(chips) - len(found), len(chips)
        )
    return chips.select(found).remove_columns("has_face")


class _PaddedCropper:
    """From a row with a photo to what the row of its chip changes."""

    def __init__(self, features: Features, image_size: int, align: bool, name: str, detector: FaceDetector | None):
        self.photo_features, self.align, self.name, self.detector = features, align, name, detector
        self.size = padded_crop_size(image_size)
        self.known = align and "landmarks" in features
        if align and not self.known and detector is None:
            self.detector = FaceDetector()

    def features(self) -> Features:
        """Columns of the chips."""
        features = self.photo_features.copy()
        features["image"] = Image(decode=False)
        features["crop_transform"] = Array2D((2, 3), "float32")
        features["has_face"] = Value("bool")
        if "flow" in features:
            features["photo_size"] = List(Value("int32"), length=2)  # a flow map spans the whole photo
        return features

    def __call__(self, row: dict, index: int) -> dict:
        image = decode(row["image"], f"{self.name}[{index}]")
        measured = {"photo_size": image.size} if "flow" in self.photo_features else {}
        crop_transform, side = whole_image_transform(*image.size), self.size
        if self.known:
            crop_transform = fit_crop_transform(np.array(row["landmarks"]))
        elif self.align:
            faces = self.detector.detect(image)
            if not faces:
                return {"image": None, "crop_transform": crop_transform, "has_face": False, **measured}
            crop_transform = faces[0].crop_transform
        else:
            side = min(side, round(max(image.size) * PADDED_CROP_MARGIN))
        buffer = io.BytesIO()
        crop_face(image, zoom_out(crop_transform, PADDED_CROP_MARGIN), side).save(buffer, "PNG", compress_level=1)
        chip = {"bytes": buffer.getvalue(), "path": None}
        return {"image": chip, "crop_transform": crop_transform, "has_face": True, **measured}


def _padded_rows(photos: IterableDataset, cropper: _PaddedCropper, message: str):
    for index, row in enumerate(tqdm(photos, desc=message, unit="photo", dynamic_ncols=True)):
        yield {**row, **cropper(row, index)}


def decode(encoded: dict, name: str = "image") -> PILImage.Image:
    """An undecoded `datasets` image (`bytes` or `path`) to an upright RGB image, as a visitor's photo is read.

    Raises:
        ImageInputError: it cannot be read; the message says `name`.
    """
    return read_image(encoded["path"] if encoded["bytes"] is None else io.BytesIO(encoded["bytes"]), name)
