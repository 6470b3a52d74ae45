"""What the app does with a model: encode a photo once, then decode it for every change."""

import base64
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ..evaluation.expression_map import ExpressionMap
from ..model.errors_tergan import InvalidInputError, MissingFileError, NoFaceFoundError
from ..model.expression_requests_tergan import ExpressionRequest, WantedExpressions
from ..model.face_detection_tergan import DetectedFace, select_face
from ..model.image_loading_tergan import read_image, to_srgb
from ..model.outputs_tergan import TerGanTarget
from ..model.pipeline_base_tergan import CroppedFace, check_intensity
from ..model.pipeline_tergan import TerGanPipeline
from ..model.provenance_tergan import draw_mark, encode_synthetic
from .capacity import FULL_RESOLUTION
from .face_regions import scale_parts
from .inputs import check_choice, check_number, check_values
from .limits import MAX_FACES, check_photo
from .server import visitor_has_left
from .session_values import DetectedFaces, EncodedPhoto, TargetExpression


PREVIEW_SIDE = 720  # pixels of a preview; downloads keep the photo's own resolution
THUMBNAIL_SIDE = 160
WHOLE_FACE = (1.0, 1.0, 1.0)  # strengths of brows, eyes and mouth
LARGEST_STRENGTH = 1.5


def _unchanged(result: Image.Image) -> Image.Image:
    return result


class EditSession:
    """
    A model and what the app does with it.

    Args:
        name: of the model.
        pipe: the model's pipeline.
        expression_map: `None` if the model has none.
        card: in Markdown.
    """

    def __init__(self, name: str, pipe: TerGanPipeline, expression_map: ExpressionMap | None = None, card: str = ""):
        self.name, self.pipe, self.expression_map, self.card = name, pipe, expression_map, card
        self._examples: dict[str, TargetExpression] = {}

    def find_faces(self, path: str, name: str, point: tuple[float, float] | None = None) -> DetectedFaces:
        """
        Detect the faces of a photo and choose one.

        Args:
            path: of the photo.
            name: of the photo in messages.
            point: (x, y) in photo pixels, on the face to choose; default: the largest face.

        Raises:
            InvalidInputError: the photo cannot be read, is too large, or shows no face.
        """
        with self.open_photo(path, name) as photo:
            faces = self.pipe.detector.detect(photo)[:MAX_FACES]
            if not faces:
                raise NoFaceFoundError(
                    f"{name}: no face was found. Try a photo that shows a whole face from the front, upright, well "
                    "lit and not too small"
                )
            selected = faces[0] if point is None else select_face(faces, point, name)
            chosen = next(index for index, face in enumerate(faces) if face is selected)
            thumbnails = [_thumbnail(photo, face) for face in faces] if len(faces) > 1 else []
            return DetectedFaces(path, faces, chosen, thumbnails)

    @torch.inference_mode()
    def encode_photo(self, detected: DetectedFaces) -> EncodedPhoto:
        """Encode the chosen face as the target of later changes."""
        with self.open_photo(detected.path, "your photo") as image:
            cropped = self._crop(image, detected)
            preview = _reduced(cropped, (0, 0, *cropped.photo.size), PREVIEW_SIDE)
            closeup = _reduced(cropped, _box_around(cropped.photo, detected.chosen_face), THUMBNAIL_SIDE)
        target = self.pipe.model.encode_target(self.pipe.pixel_values([cropped]), for_many=True)
        return EncodedPhoto(detected, preview, closeup, _to_device(target, torch.device("cpu")))

    @torch.inference_mode()
    def read_expression(self, detected: DetectedFaces) -> TargetExpression:
        """Read the expression of the chosen face."""
        with self.open_photo(detected.path, "expression photo") as image:
            cropped = self._crop(image, detected)
        embedding = self.pipe.model.encode_expression(self.pipe.pixel_values([cropped]))
        return TargetExpression(embedding[0].float().cpu().numpy(), "the expression photo", detected)

    def example_expression(self, path: str) -> TargetExpression:
        """The expression of a photo that ships with the app. Each photo is read once."""
        if path not in self._examples:
            self._examples[path] = self.read_expression(self.find_faces(path, "example"))
        return self._examples[path]

    def label_expression(self, label: str) -> TargetExpression:
        """The prototype of a label."""
        check_choice(label, self.pipe.labels, "the expression")
        prototypes = self.pipe.model.expression_prototypes
        return TargetExpression(prototypes[self.pipe.labels.index(label)].float().cpu().numpy(), label)

    def map_expression(self, point: tuple[float, float]) -> TargetExpression:
        """
        The expression at a point of the expression map.

        Raises:
            InvalidInputError: there is no map, or the point is far outside of it.
        """
        if self.expression_map is None:
            raise InvalidInputError("this model has no expression map")
        lowest, highest = self.expression_map.points.min(0), self.expression_map.points.max(0)
        around = highest - lowest
        if (np.asarray(point) < lowest - around).any() or (np.asarray(point) > highest + around).any():
            raise InvalidInputError("this place is not on the expression map")
        return TargetExpression(self.expression_map.expression_at(point), "a place on the map")

    @property
    def settable_blendshapes(self) -> list[str]:
        """The blendshapes of the model that can be set, sides included."""
        ranges = self.pipe.editable_names
        return [name for name in self.pipe.blendshape_names if name in ranges]

    @property
    def settable_ranges(self) -> dict[str, tuple[float, float]]:
        """The lowest and highest value of every name that sets a blendshape: as `editable_names`, without labels."""
        if not self.settable_blendshapes:
            return {}
        return {name: ends for name, ends in self.pipe.editable_names.items() if name not in self.pipe.labels}

    def named_expression(self, values: dict[str, float]) -> TargetExpression:
        """
        The expression with some values by name. No values keep the photo's own.

        Raises:
            InvalidInputError: a name or value cannot be used.
        """
        request = self.pipe.parse_expression(values, "blendshapes") if values else ExpressionRequest({}, {})
        return TargetExpression(None, "set by name", request=request)

    @torch.inference_mode()
    def read_blendshapes(self, photo: EncodedPhoto, labels: dict[str, float]) -> dict[str, float]:
        """The blendshapes of a photo's face after it has moved to some labels, each by its share."""
        started = TargetExpression(None, "", request=ExpressionRequest(labels, {}))
        embedding = torch.from_numpy(self.embedding_of(photo, started))[None].to(self.pipe.model.device)
        read = self.pipe.model.regress_blendshapes(embedding.to(self.pipe.model.dtype))
        return dict(zip(self.pipe.blendshape_names, read[0].float().cpu().tolist()))

    @torch.inference_mode()
    def embedding_of(self, photo: EncodedPhoto, expression: TargetExpression) -> np.ndarray:
        """f(e) of an expression for a photo, (D,)."""
        if expression.request is None:
            assert expression.embedding is not None
            return expression.embedding
        model = self.pipe.model
        wanted = WantedExpressions.of_request(
            expression.request, model.expression_prototypes, self.pipe.labels, self.pipe.blendshape_names
        )
        own = photo.target.expression_embedding
        assert own is not None
        own = own.to(model.device)
        return wanted.resolve(model, own[:, None])[0, 0].float().cpu().numpy()

    def draw_preview(
        self, photo: EncodedPhoto, expression: TargetExpression, intensity: float = 1.0, strengths=WHOLE_FACE
    ) -> Image.Image:
        """
        Give the preview an expression.

        Args:
            intensity: 0 changes nothing, 1 is the expression, above 1 exaggerates it.
            strengths: how much of the change brows, eyes and mouth take.
        """
        embedding = self.embedding_of(photo, expression)
        return self._synthesize(photo, [photo.preview], embedding[None], [intensity], strengths)[0]

    def draw_closeups(
        self, photo: EncodedPhoto, expressions: list[TargetExpression], intensities: list[float]
    ) -> list[Image.Image]:
        """Give the close-up each expression, each at its own intensity."""
        embeddings = np.stack([self.embedding_of(photo, expression) for expression in expressions])
        return self._synthesize(photo, [photo.closeup] * len(expressions), embeddings, intensities, WHOLE_FACE)

    def draw_full_size(
        self,
        photo: EncodedPhoto,
        expression: TargetExpression,
        intensity: float,
        strengths=WHOLE_FACE,
        write=_unchanged,
    ):
        """
        Give the photo an expression at its own resolution.

        Args:
            intensity, strengths: as for `draw_preview`.
            write: called with the result while the server's `FULL_RESOLUTION` budget is still held for it.

        Returns:
            the answer of `write`, by default the result.
        """
        intensity, strengths = check_intensity(intensity), check_strengths(strengths)
        embedding = self.embedding_of(photo, expression)
        with self.open_photo(photo.detected.path, "your photo") as image:
            cropped = self._crop(image, photo.detected)
            return write(self._synthesize(photo, [cropped], embedding[None], [intensity], strengths)[0])

    def transfer(self, source: str, target: str, intensity: float, write=_unchanged):
        """As `TerGanPipeline.transfer`, for paths of visitors' photos. `write` as for `draw_full_size`."""
        intensity = check_intensity(intensity)
        for path, name in ((source, "expression photo"), (target, "your photo")):
            check_photo(path, name)
        with FULL_RESOLUTION.reserve(source, target, has_left=visitor_has_left()):
            photos = self.read_photo(source, "expression photo"), self.read_photo(target, "your photo")
            return write(self.pipe.transfer(*photos, intensity=intensity))

    def edit(
        self,
        path: str,
        label: str | None,
        intensity: float,
        write=_unchanged,
        blendshapes: dict[str, float] | None = None,
    ):
        """
        As `TerGanPipeline.edit`, for the path of a visitor's photo.

        Args:
            label: `None` keeps the photo's own expression.
            blendshapes: values by name, on top of the label.
            write: as for `draw_full_size`.

        Raises:
            InvalidInputError: neither a label nor a blendshape is named, or a name or value cannot be used.
        """
        intensity = check_intensity(intensity)
        if label is None and not blendshapes:
            raise InvalidInputError(
                f"name an expression ({', '.join(self.pipe.labels)}), or blendshapes with their values"
            )
        if label is not None:
            check_choice(label, self.pipe.labels, "the expression")
        wanted: str | dict[str, float] | None = label
        if blendshapes:
            values = check_values(blendshapes, "blendshapes")
            self.pipe.parse_expression(values, "blendshapes")
            wanted = {**({label: 1.0} if label else {}), **values}
        with self.open_photo(path, "your photo") as photo:
            return write(self.pipe.edit(photo, wanted, intensity=intensity))

    def reduced_photo(self, path: str, side: int) -> tuple[Image.Image, float]:
        """A visitor's photo in sRGB with at most `side` pixels on its longer side, and how much it is reduced."""
        with self.open_photo(path, "your photo") as photo:
            reduced = to_srgb(photo)
            scale = min(1.0, side / max(photo.size))
            reduced.thumbnail((side, side), Image.Resampling.LANCZOS)
            return reduced, scale

    def locate(self, embedding: np.ndarray) -> list[float] | None:
        """The point (x, y) of an f(e) on the expression map, `None` without a map."""
        return None if self.expression_map is None else self.expression_map.locate(embedding).tolist()

    @torch.inference_mode()
    def _synthesize(
        self, photo: EncodedPhoto, frames: list[CroppedFace], embeddings, intensities, strengths
    ) -> list[Image.Image]:
        intensities, strengths = [check_intensity(value) for value in intensities], check_strengths(strengths)
        model, count = self.pipe.model, len(frames)
        target = _to_device(photo.target, model.device, count)
        expressions = torch.from_numpy(np.asarray(embeddings, np.float32)).to(model.device, model.dtype)
        amounts = torch.tensor(intensities, device=model.device, dtype=model.dtype)[:, None]
        # With a plain number the paper's model leaves out the target's own expression.
        change = model.change(expressions, target, float(intensities[0]) if count == 1 else amounts)
        if tuple(strengths) != WHOLE_FACE:
            change = scale_parts(change, *strengths)
        return [self.pipe.paste(frame, change, row) for row, frame in enumerate(frames)]

    def _crop(self, photo: Image.Image, detected: DetectedFaces) -> CroppedFace:
        return self.pipe.cut_out(photo, detected.chosen_face.crop_transform)

    @contextmanager
    def open_photo(self, path: str, name: str):
        """
        Load a visitor's photo as upright RGB, and hold its share of the server's `FULL_RESOLUTION` budget while it is
        in use. Do not nest this.

        Raises:
            InvalidInputError, MissingFileError: as for `read_photo`, or the server is busy.
        """
        check_photo(path, name)
        with FULL_RESOLUTION.reserve(path, has_left=visitor_has_left()):
            yield self.read_photo(path, name)

    @staticmethod
    def read_photo(path: str, name: str) -> Image.Image:
        """
        Load a visitor's photo as upright RGB.

        Raises:
            InvalidInputError, MissingFileError: it is too large, unreadable, or no longer on the server. The message
                is for visitors.
        """
        if not Path(path).is_file():
            raise MissingFileError(f"{name}: it is no longer on the server. Please add it again")
        check_photo(path, name)
        try:
            return read_image(path, name)
        except MemoryError as error:
            raise InvalidInputError(f"{name}: the photo is too large for this server") from error


def check_strengths(strengths) -> tuple[float, ...]:
    """
    The strengths of brows, eyes and mouth as floats.

    Raises:
        InvalidInputError: one of them is not a number from 0 to `LARGEST_STRENGTH`.
    """
    names = ("brows", "eyes", "mouth")
    return tuple(check_number(value, 0, LARGEST_STRENGTH, name) for value, name in zip(strengths, names))


def _to_device(target: TerGanTarget, device: torch.device, count: int = 1) -> TerGanTarget:
    """Move a target of batch size 1 to a device, repeated `count` times."""

    def move(value):
        if isinstance(value, tuple):
            return tuple(move(item) for item in value)
        if value is None:
            return None
        return value.to(device).expand(count, *value.shape[1:])

    return TerGanTarget(**{item.name: move(getattr(target, item.name)) for item in fields(target)})


def _box_around(photo: Image.Image, face: DetectedFace) -> tuple[int, int, int, int]:
    """A square around a face with a margin, clipped to the photo: (left, top, right, bottom)."""
    centre = face.box.reshape(2, 2).mean(0)
    half = 0.68 * float(np.max(face.box[2:] - face.box[:2]))
    left, top, right, bottom = (round(value) for value in (*(centre - half), *(centre + half)))
    left, top = min(max(0, left), photo.width - 1), min(max(0, top), photo.height - 1)
    return left, top, max(left + 1, min(photo.width, right)), max(top + 1, min(photo.height, bottom))


def _reduced(cropped: CroppedFace, box: tuple[int, int, int, int], side: int) -> CroppedFace:
    """Cut a cropped photo to a box and reduce it to at most `side` pixels. The network's crop stays the same."""
    cut = cropped.photo.crop(box)
    scale = min(1.0, side / max(cut.size))
    width, height = (max(1, round(length * scale)) for length in cut.size)
    to_photo = np.array([[cut.width / width, 0, box[0]], [0, cut.height / height, box[1]], [0, 0, 1]])
    if scale < 1:
        cut = cut.resize((width, height), Image.Resampling.LANCZOS)
    return CroppedFace(cut, cropped.crop_transform @ to_photo, cropped.crop, cropped.fades)


def _thumbnail(photo: Image.Image, face: DetectedFace) -> Image.Image:
    cut = photo.crop(_box_around(photo, face))
    cut.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
    return cut


def as_data_url(image: Image.Image, mark: bool = False, quality: int = 88) -> str:
    """Encode a picture as a data URL, so that the server needs no file. `mark` draws the visible mark."""
    encoded = encode_synthetic(draw_mark(image) if mark else image, "JPEG", quality)
    return "data:image/jpeg;base64," + base64.b64encode(encoded).decode()
