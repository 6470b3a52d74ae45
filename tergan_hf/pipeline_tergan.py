"""TerGanPipeline: photos in, photos out."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from .face_alignment_tergan import crop_face, similarity_framing, whole_image_framing
from .face_blending_tergan import FEATHER, paste_change, paste_crop
from .face_detection_tergan import FaceDetector, NoFaceFoundError
from .image_processing_tergan import TerGanImageProcessor
from .image_reading_tergan import ImageLike, full_name, is_file, read_image
from .modeling_tergan import TerGanChange, TerGanModel


BATCH_SIZE = 32  # crops the network sees at once


@dataclass
class FramedFace:
    """A photo with the face to work on: its framing and its crop at the network's size."""

    photo: Image.Image
    framing: np.ndarray
    crop: Image.Image
    feather: float


class TerGanPipeline:
    """
    Facial expression transfer, editing and recognition on photos.

    An image is a PIL image, a path, or an H×W×3 uint8 array; its EXIF rotation is honoured. A list of images gives a
    list of results; a list beside a single image uses the single one for all. In each photo the largest face counts.

    All methods raise `NoFaceFoundError` (a `ValueError`) where `detect=True` finds no face, `ImageInputError` (a
    `ValueError`) or `FileNotFoundError` where an image cannot be read. The message names the input.

    Example:
    ```python
    >>> pipe = TerGanPipeline.from_pretrained("weights/ter-gan")
    >>> pipe.transfer("smiling.jpg", "me.jpg").save("me_smiling.png")
    >>> pipe.recognize("me.jpg")[0]["label"]
    'neutral'
    ```
    """

    def __init__(
        self, model: TerGanModel, image_processor: TerGanImageProcessor, detector: FaceDetector | None = None
    ):
        self.model = model.eval()
        self.image_processor = image_processor
        self.detector = detector or FaceDetector()

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, device=None, **kwargs) -> "TerGanPipeline":
        """
        Args:
            pretrained_model_name_or_path: a folder or a model id on the Hub.
            device: default: cuda, else mps, else cpu.
            kwargs: passed on to both `from_pretrained` (`revision`, `token`, `cache_dir`, …).
        """
        if device is None:
            device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        model = TerGanModel.from_pretrained(pretrained_model_name_or_path, **kwargs).to(device)
        return cls(model, TerGanImageProcessor.from_pretrained(pretrained_model_name_or_path, **kwargs))

    @property
    def labels(self) -> list[str]:
        """The expressions that `recognize` tells apart and `edit` takes by name."""
        return self.model.config.expressions

    @torch.inference_mode()
    def transfer(
        self,
        source: ImageLike | list[ImageLike],
        target: ImageLike | list[ImageLike],
        intensity: float = 1.0,
        detect: bool = True,
        paste_back: bool = True,
    ) -> Image.Image | list[Image.Image]:
        """
        Give the target's face the source's expression.

        Args:
            source: shows the expression. target: the photo to change.
            intensity: 0 leaves the target's expression, 1 is the source's, above 1 exaggerates.
            detect: find and align the faces; `False` takes each image as an aligned face crop.
            paste_back: the result has the size of the target photo; `False` gives the network's crop alone.

        Returns:
            RGB image or list of images.

        Raises:
            ValueError: the intensity is not a finite number, or the lists differ in length.
        """
        intensity = self._check_intensity(intensity)
        (sources, targets), single = self._pair_up(("source", source), ("target", target))
        sources = self._frame_all(sources, detect)
        targets = self._frame_all(targets, detect)
        expressions = self._in_batches(self.model.encode_expression, self._pixel_values(sources))
        return self._finish(self._synthesize(expressions, targets, intensity, paste_back), single)

    @torch.inference_mode()
    def edit(
        self,
        image: ImageLike | list[ImageLike],
        expression: str | ImageLike | list,
        intensity: float = 1.0,
        detect: bool = True,
        paste_back: bool = True,
    ) -> Image.Image | list[Image.Image]:
        """
        Change the expression of a photo.

        Args:
            image: the photo.
            expression: one of `labels`, or a photo that shows the expression.
            intensity, detect, paste_back: as for `transfer`; `detect` holds for both photos.

        Raises:
            ValueError: neither a label nor an image; the message lists the labels.
        """
        intensity = self._check_intensity(intensity)
        (images, expressions), single = self._pair_up(("image", image), ("expression", expression))
        embeddings: list[torch.Tensor | None] = []
        photos = []
        for name, wanted in expressions:
            label = self._as_label(wanted, name)
            if label is None:
                photos.append((name, wanted))
                embeddings.append(None)
            else:
                embeddings.append(self.model.expression_prototypes[self.labels.index(label)])
        if photos:
            framed = self._frame_all(photos, detect)
            found = iter(self._in_batches(self.model.encode_expression, self._pixel_values(framed)))
            embeddings = [next(found) if embedding is None else embedding for embedding in embeddings]
        targets = self._frame_all(images, detect)
        return self._finish(self._synthesize(torch.stack(embeddings), targets, intensity, paste_back), single)

    @torch.inference_mode()
    def recognize(self, image: ImageLike | list[ImageLike], detect: bool = True) -> list:
        """
        Name the expression of a face.

        Returns:
            for one image, `[{"label": "happiness", "score": 0.97}, …]`, best first, one entry per label, scores
            summing to 1; for a list, a list of those.
        """
        (images,), single = self._pair_up(("image", image))
        pixel_values = self._pixel_values(self._frame_all(images, detect))
        logits = self._in_batches(lambda batch: self.model.classify(self.model.encode_expression(batch)), pixel_values)
        answers = []
        for scores in logits.float().cpu().double().softmax(1).tolist():
            ranked = sorted(zip(self.labels, scores), key=lambda pair: pair[1], reverse=True)
            answers.append([{"label": label, "score": score} for label, score in ranked])
        return self._finish(answers, single)

    @torch.inference_mode()
    def embed(self, image: ImageLike | list[ImageLike], detect: bool = True) -> dict | list[dict]:
        """
        The two embeddings of a face.

        Returns:
            `{"expression": f(e), "identity": f(i)}`, float32 arrays of the configuration's sizes (30 and 50); for a
            list, a list of those.
        """
        (images,), single = self._pair_up(("image", image))
        pixel_values = self._pixel_values(self._frame_all(images, detect))
        expression = self._in_batches(self.model.encode_expression, pixel_values).float().cpu().numpy()
        identity = self._in_batches(self.model.encode_identity, pixel_values).float().cpu().numpy()
        return self._finish([{"expression": e, "identity": i} for e, i in zip(expression, identity)], single)

    def _synthesize(self, expressions, targets: list[FramedFace], intensity: float, paste_back: bool):
        pixel_values = self._pixel_values(targets)
        results = []
        for start in range(0, len(targets), BATCH_SIZE):
            batch = pixel_values[start : start + BATCH_SIZE]
            change = self.model.change(expressions[start : start + BATCH_SIZE], batch, intensity)
            if paste_back:
                results += [self._paste(face, change, row) for row, face in enumerate(targets[start:][: len(batch)])]
            else:
                results += self.image_processor.to_images(change.pixel_values)
        return results

    @staticmethod
    def _paste(face: FramedFace, change: TerGanChange, row: int) -> Image.Image:
        if change.residual is None:
            crop = (_channels_last(change.pixel_values[row]) + 1) * 127.5
            return paste_crop(face.photo, face.framing, crop, face.feather)
        # The network's coordinates span [-1, 1]: two of them are the crop's side.
        flow = None if change.flow is None else _channels_last(change.flow[row]) / 2
        residual = _channels_last(change.residual[row]) * 127.5
        return paste_change(face.photo, face.framing, residual, flow, face.feather)

    def _frame_all(self, images: list[tuple[str, ImageLike]], detect: bool) -> list[FramedFace]:
        # A single image beside a list appears once per pair; it is framed once.
        framed: dict[int, FramedFace] = {}
        for name, image in images:
            if id(image) not in framed:
                framed[id(image)] = self._frame(name, image, detect)
        return [framed[id(image)] for _, image in images]

    def _frame(self, name: str, image: ImageLike, detect: bool) -> FramedFace:
        photo = read_image(image, name)
        size = self.model.config.image_size
        if not detect:
            framing = whole_image_framing(*photo.size)
            return FramedFace(photo, framing, photo.resize((size, size), Image.Resampling.BILINEAR), feather=0.0)
        faces = self.detector.detect(photo)
        if not faces:
            raise NoFaceFoundError(
                f"{full_name(name, image)}: no face was found. Use a photo that shows a whole face from the front, "
                "upright and at least about 40 pixels wide, or pass detect=False if it is a face crop already"
            )
        framing = similarity_framing(faces[0].landmarks)
        return FramedFace(photo, framing, crop_face(photo, framing, size), FEATHER)

    def _pixel_values(self, faces: list[FramedFace]) -> torch.Tensor:
        batch = self.image_processor([face.crop for face in faces], return_tensors="pt")
        return batch["pixel_values"].to(self.model.device, self.model.dtype)

    @staticmethod
    def _in_batches(network, pixel_values: torch.Tensor) -> torch.Tensor:
        return torch.cat([network(batch) for batch in pixel_values.split(BATCH_SIZE)])

    def _as_label(self, wanted, name: str) -> str | None:
        if not isinstance(wanted, str):
            return None
        for label in self.labels:
            if wanted.strip().lower() == label.lower():
                return label
        if is_file(wanted):
            return None
        raise ValueError(
            f"{name}: {wanted!r} is neither a known expression nor an existing file. "
            f"Known expressions: {', '.join(self.labels)}"
        )

    @staticmethod
    def _check_intensity(intensity) -> float:
        is_number = isinstance(intensity, (int, float, np.number)) and not isinstance(intensity, bool)
        if not is_number or not math.isfinite(intensity):
            raise ValueError(f"intensity must be a finite number, for example 1.0, got {intensity!r}")
        return float(intensity)

    @staticmethod
    def _pair_up(*inputs: tuple[str, object]) -> tuple[list[list[tuple[str, object]]], bool]:
        """Named inputs, each a list or a single one → named lists of one length, and whether all were single."""
        lengths = {len(value) for _, value in inputs if isinstance(value, (list, tuple))}
        if len(lengths) > 1:
            sizes = ", ".join(f"{name}: {len(value)}" for name, value in inputs if isinstance(value, (list, tuple)))
            raise ValueError(f"lists must have the same length, got {sizes}")
        if lengths == {0}:
            raise ValueError("the list of images is empty")
        length = lengths.pop() if lengths else 1
        paired = [
            [(f"{name}[{index}]", item) for index, item in enumerate(value)]
            if isinstance(value, (list, tuple))
            else [(name, value)] * length
            for name, value in inputs
        ]
        return paired, not any(isinstance(value, (list, tuple)) for _, value in inputs)

    @staticmethod
    def _finish(results: list, single: bool):
        return results[0] if single else results


def _channels_last(image: torch.Tensor) -> np.ndarray:
    """(C, S, S) on any device → (S, S, C) float32 array."""
    return image.float().permute(1, 2, 0).cpu().numpy()
