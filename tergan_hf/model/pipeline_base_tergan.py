"""What all pipelines share: loading a model, finding and cropping faces, pasting results back."""

import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from .configuration_checks_tergan import is_finite_number
from .configuration_tergan import TerGanConfig
from .errors_tergan import CROP_HINT, InvalidInputError, NoFaceFoundError
from .expression_requests_tergan import ExpressionRequest, WantedExpressions, editable_ranges, parse_request
from .face_alignment_tergan import crop_face, whole_image_transform
from .face_blending_tergan import paste_change, paste_crop
from .face_detection_tergan import DetectedFace, Face, FaceDetector, select_face
from .image_loading_tergan import ImageLike, full_name, is_file, read_image
from .image_processing_tergan import TerGanImageProcessor
from .model_loading_tergan import PROCESSOR, check_model_name, choose_device, foreseen_loading_errors, one_device
from .modeling_tergan import TerGanModel
from .outputs_tergan import TerGanChange


BATCH_SIZE = 32  # crops per forward pass
UNSURE = "unsure"
INTENSITIES = (-3.0, 3.0)  # beyond, the decoder paints noise


@dataclass
class CroppedFace:
    """
    A photo with the face to work on.

    Args:
        photo: RGB. crop_transform: (2, 3), photo pixels to the unit square of the crop. crop: at the network's size.
        fades: whether a change fades out around the crop; not if the crop is the whole photo.
        name: of the photo, for messages.
    """

    photo: Image.Image
    crop_transform: np.ndarray
    crop: Image.Image
    fades: bool = True
    name: str = "photo"


class FacePipeline:
    """
    A model with its image processor and a face detector.

    Args:
        detector: default `FaceDetector()`.

    Raises:
        InvalidInputError: the image processor gives crops of another size than the model takes.
    """

    def __init__(
        self, model: TerGanModel, image_processor: TerGanImageProcessor, detector: FaceDetector | None = None
    ):
        check_agreement(model.config, image_processor)
        self.model = model.eval()
        self.image_processor = image_processor
        self.detector = detector or FaceDetector()

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, device=None, **kwargs):
        """
        Load a pipeline.

        Args:
            pretrained_model_name_or_path: a folder or a model id on the Hub.
            device: default: cuda, else mps, else cpu. `device_map` may name it, too; the model is too small to divide.
            detector: a `FaceDetector` with settings of your own, such as a larger `max_side` for small faces.
            kwargs: passed on to both `from_pretrained` (`revision`, `token`, `cache_dir`, …).

        Raises:
            MissingFileError: there is no such model, it is incomplete, or it cannot be reached.
            InvalidInputError: the weights are damaged, incomplete, or do not fit the configuration; or this machine
                has no such device.
        """
        detector = kwargs.pop("detector", None)
        kwargs.pop("output_loading_info", None)
        device = choose_device(one_device(kwargs.pop("device_map", None)) if device is None else device)
        name = pretrained_model_name_or_path
        subfolder = kwargs.get("subfolder")
        check_model_name(Path(name, subfolder) if subfolder and Path(name).is_dir() else name, PROCESSOR)
        # Never a pickle: opening one may run any code.
        settings = {"use_safetensors": True, **kwargs}
        with foreseen_loading_errors(name):
            model = TerGanModel.from_pretrained(name, **settings)
            image_processor = TerGanImageProcessor.from_pretrained(name, **kwargs)
        return cls(model.to(device), image_processor, detector)

    @property
    def labels(self) -> list[str]:
        """The expressions that the model recognises and can be asked for by name."""
        return self.model.config.expressions

    @property
    def blendshape_names(self) -> list[str]:
        """The blendshapes that the model reads, by ARKit's names, and `gazeX` and `gazeY`. Empty if it reads none."""
        return list(self.model.config.blendshape_names)

    @property
    def editable_names(self) -> dict[str, tuple[float, float]]:
        """
        The names that `edit` takes with a value, and the lowest and highest value of each: the labels (0 to 1) and, if
        the model can set blendshapes, ARKit's names but eyeLook (0 to 1.2), those with two sides also without `Left`
        or `Right`, and the gaze in degrees. Left and right are the subject's own: `gazeLeft` 20 is `gazeX` 20, to the
        viewer's right.
        """
        directions = self.model.blendshape_directions
        fitted = [] if directions is None else directions.any(0).tolist()
        names = [name for name, moves in zip(self.blendshape_names, fitted) if moves]
        return editable_ranges(self.labels, names)

    def parse_expression(self, values: Mapping[str, float], name: str = "expression") -> ExpressionRequest:
        """
        Check an expression by name before the work.

        Args:
            values: name of `editable_names` → value.
            name: of the expression in messages.

        Raises:
            InvalidInputError: a name or a value cannot be used; see `edit`.
        """
        request = parse_request(values, self.labels, self.blendshape_names, name)
        if request.blendshapes:
            moving = self.model.require_blendshape_directions().any(0)
            still = [own for own in request.blendshapes if not moving[self.blendshape_names.index(own)]]
            if still:
                raise InvalidInputError(f"{name}: these weights have not learnt to change {', '.join(still)}")
        return request

    def faces(self, image: ImageLike | list[ImageLike]) -> list[DetectedFace] | list[list[DetectedFace]]:
        """The faces of a photo, the largest first: box, landmarks and confidence, in photo pixels. For a list, a list
        of those."""
        (images,), single = pair_up(("image", image))
        found = [self._detect(full_name(name, item), read_image(item, name)) for name, item in images]
        return found[0] if single else found

    def cut_out(self, photo: Image.Image, crop_transform: np.ndarray, name: str = "photo") -> CroppedFace:
        """Crop a face of an RGB photo."""
        crop = crop_face(photo, crop_transform, self.model.config.image_size)
        return CroppedFace(photo, crop_transform, crop, name=name)

    def pixel_values(self, faces: list[CroppedFace] | list[Image.Image]) -> torch.Tensor:
        """The network's input for cropped faces or crops, (B, C, image_size, image_size) in [-1, 1]."""
        crops = [face.crop if isinstance(face, CroppedFace) else face for face in faces]
        batch = self.image_processor(crops, return_tensors="pt")
        return batch["pixel_values"].to(self.model.device, self.model.dtype)

    @staticmethod
    def paste(face: CroppedFace, change: TerGanChange, row: int) -> Image.Image:
        """The face's photo with one row of a batch of changes applied."""
        if change.residual is None:
            assert change.pixel_values is not None  # missing only beside a residual
            crop = (_channels_last(change.pixel_values[row]) + 1) * 127.5
            return paste_crop(face.photo, face.crop_transform, crop, face.fades)
        # The network's coordinates span [-1, 1]: two of them are the crop's side.
        flow = None if change.flow is None else _channels_last(change.flow[row]) / 2
        residual = _channels_last(change.residual[row]) * 127.5
        return paste_change(face.photo, face.crop_transform, residual, flow, face.fades)

    def _detect(self, name: str, photo: Image.Image, hint: str = "") -> list[DetectedFace]:
        found = self.detector.detect(photo)
        if not found:
            raise NoFaceFoundError(
                f"{name}: no face was found. Use a photo that shows a whole face from the front, upright and at least "
                f"about 40 pixels and a fiftieth of the photo wide{hint}"
            )
        return found

    def _crop_all(self, images: list[tuple[str, ImageLike]], detect: bool, face: Face) -> list[CroppedFace]:
        # A single image beside a list appears once per pair; it is cropped once.
        cropped: dict[int, CroppedFace] = {}
        for name, image in images:
            if id(image) not in cropped:
                cropped[id(image)] = self._crop_input(name, image, detect, face)
        return [cropped[id(image)] for _, image in images]

    def _crop_values(self, images: list[tuple[str, ImageLike]], detect: bool, face: Face) -> Iterator[torch.Tensor]:
        """The network's input for a list of images, `BATCH_SIZE` at a time. Each photo is released once it is
        cropped."""
        for start in range(0, len(images), BATCH_SIZE):
            crops = [
                self._crop_input(name, image, detect, face).crop for name, image in images[start : start + BATCH_SIZE]
            ]
            yield self.pixel_values(crops)

    def _crop_input(self, name: str, image: ImageLike, detect: bool, face: Face) -> CroppedFace:
        photo = read_image(image, name)
        if not detect:
            size = self.model.config.image_size
            whole = whole_image_transform(*photo.size)
            return CroppedFace(photo, whole, photo.resize((size, size), Image.Resampling.BILINEAR), False, name)
        name = full_name(name, image)
        return self.cut_out(photo, select_face(self._detect(name, photo, CROP_HINT), face, name).crop_transform, name)

    def _rank(self, embeddings: torch.Tensor, threshold: float = 0.0) -> list[list[dict]]:
        """f(e) (B, D) → labels and scores of each, best first. Below the threshold `UNSURE` comes before them."""
        answers = []
        for scores in self.model.classify(embeddings).float().cpu().double().softmax(1).tolist():
            ranked = sorted(zip(self.labels, scores), key=lambda pair: pair[1], reverse=True)
            unsure = [(UNSURE, ranked[0][1])] if ranked[0][1] < threshold else []
            answers.append([{"label": label, "score": score} for label, score in unsure + ranked])
        return answers

    def _by_name(self, blendshapes: torch.Tensor) -> list[dict[str, float]]:
        """Blendshapes (B, K) → name and value of each, per row."""
        return [dict(zip(self.blendshape_names, row)) for row in blendshapes.float().cpu().tolist()]

    def _read_expressions(self, wanted: list[tuple[str, object]], detect: bool, face: Face) -> WantedExpressions:
        """Find what named labels, photos and requests ask for. A label is the same for a target and its mirror
        image."""
        model = self.model
        found: list[WantedExpressions | None] = []
        photos: list[tuple[str, Any]] = []
        for name, expression in wanted:
            if isinstance(expression, Mapping):
                request = self.parse_expression(expression, name)
                found.append(
                    WantedExpressions.of_request(
                        request, model.expression_prototypes, self.labels, self.blendshape_names
                    )
                )
            elif (label := self.match_label(expression, name)) is not None:
                prototype = model.expression_prototypes[self.labels.index(label)]
                found.append(WantedExpressions.of_embeddings(prototype.expand(1, 2, -1)))
            else:
                photos.append((name, expression))
                found.append(None)
        if photos:
            read = iter(self._encode_both_ways(self.pixel_values(self._crop_all(photos, detect, face))).split(1))
            found = [WantedExpressions.of_embeddings(next(read)) if one is None else one for one in found]
        return WantedExpressions.concatenate([one for one in found if one is not None])

    def _encode_both_ways(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """f(e) of crops (B, C, S, S) and of their mirror images, (B, 2, D)."""
        views = [in_batches(self.model.encode_expression, view) for view in (pixel_values, pixel_values.flip(3))]
        return torch.stack(views, dim=1)

    def match_label(self, wanted, name: str = "expression") -> str | None:
        """
        The label that a text names, `None` for the path of a file and for anything but text.

        Args:
            name: of the expression in messages.

        Raises:
            InvalidInputError: the text is neither a label nor a file; the message lists the labels.
        """
        if not isinstance(wanted, str):
            return None
        for label in self.labels:
            if wanted.strip().lower() == label.lower():
                return label
        if is_file(wanted):
            return None
        raise InvalidInputError(
            f"{name}: {wanted!r} is neither a known expression nor an existing file. "
            f"Known expressions: {', '.join(self.labels)}"
        )


def pair_up(*inputs: tuple[str, Any]) -> tuple[list[list[tuple[str, Any]]], bool]:
    """Named inputs, each a list or a single one → named lists of one length, and whether all were single."""
    lengths = {len(value) for _, value in inputs if isinstance(value, (list, tuple))}
    if len(lengths) > 1:
        sizes = ", ".join(f"{name}: {len(value)}" for name, value in inputs if isinstance(value, (list, tuple)))
        raise InvalidInputError(f"lists must have the same length, got {sizes}")
    if lengths == {0}:
        raise InvalidInputError("the list of images is empty")
    length = lengths.pop() if lengths else 1
    paired = [
        [(f"{name}[{index}]", item) for index, item in enumerate(value)]
        if isinstance(value, (list, tuple))
        else [(name, value)] * length
        for name, value in inputs
    ]
    return paired, not any(isinstance(value, (list, tuple)) for _, value in inputs)


def check_agreement(config: TerGanConfig, image_processor: TerGanImageProcessor):
    """
    Raises:
        InvalidInputError: the image processor gives other crops than the model takes.
    """
    height, width = image_processor.size["height"], image_processor.size["width"]
    side = config.image_size
    if (height, width) != (side, side):
        raise InvalidInputError(
            f"preprocessor_config.json gives crops of {height}×{width} pixels, and config.json asks for {side}×{side}"
        )
    if config.num_channels != 3:
        raise InvalidInputError(f"photos have 3 channels, and the model takes {config.num_channels} (num_channels)")


def in_batches(network, pixel_values: torch.Tensor) -> torch.Tensor:
    """Apply a network to `BATCH_SIZE` crops at a time."""
    return torch.cat([network(batch) for batch in pixel_values.split(BATCH_SIZE)])


def check_intensity(intensity) -> float:
    """
    The intensity as a float.

    Raises:
        InvalidInputError: it is not a number within `INTENSITIES`.
    """
    lowest, highest = INTENSITIES
    if not is_finite_number(intensity) or not lowest <= intensity <= highest:
        got = reprlib.repr(intensity)
        raise InvalidInputError(
            f"intensity must be a number from {lowest:g} to {highest:g}, for example 1.0, got {got}"
        )
    return float(intensity)


def check_threshold(threshold) -> float:
    """
    The threshold as a float.

    Raises:
        InvalidInputError: it is not a number from 0 to 1.
    """
    if not is_finite_number(threshold) or not 0 <= threshold <= 1:
        raise InvalidInputError(f"threshold must be a number from 0 to 1, got {threshold!r}")
    return float(threshold)


def _channels_last(image: torch.Tensor) -> np.ndarray:
    """(C, S, S) on any device → (S, S, C) float32 array."""
    return image.float().permute(1, 2, 0).cpu().numpy()


__all__ = [
    "BATCH_SIZE",
    "UNSURE",
    "CroppedFace",
    "FacePipeline",
    "check_agreement",
    "check_intensity",
    "check_threshold",
    "in_batches",
    "pair_up",
]
