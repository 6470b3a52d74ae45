"""What the app does with a pipeline: a photo is encoded once, then decoded anew for every change."""

import base64
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ..evaluation.expression_map import ExpressionMap
from ..model.errors_tergan import InvalidInputError, MissingFileError, NoFaceFoundError
from ..model.face_detection_tergan import DetectedFace, select_face
from ..model.face_regions_tergan import scale_parts
from ..model.image_loading_tergan import read_image
from ..model.outputs_tergan import TerGanTarget
from ..model.pipeline_base_tergan import CroppedFace
from ..model.pipeline_tergan import TerGanPipeline
from ..model.provenance_tergan import draw_mark, encode_synthetic
from .limits import MAX_FACES, check_photo


PREVIEW_SIDE = 720  # pixels of what is shown while one plays; downloads have the photo's own
THUMBNAIL_SIDE = 160
WHOLE_FACE = (1.0, 1.0, 1.0)


@dataclass
class FacesOfPhoto:
    """The faces of a visitor's photo, the largest first, and which one is meant.

    Args:
        path: of the photo. faces: in photo pixels. chosen: index of the face.
        thumbnails: of the faces, empty where there is only one.
    """

    path: str
    faces: list[DetectedFace]
    chosen: int
    thumbnails: list[Image.Image]

    @property
    def face(self) -> DetectedFace:
        return self.faces[self.chosen]


@dataclass
class EncodedPhoto:
    """
    A visitor's photo with the face to change, encoded once.

    Args:
        photo: the photo's faces. preview: the reduced photo, cropped. closeup: the face alone, small, cropped.
        target: on the CPU.
    """

    photo: FacesOfPhoto
    preview: CroppedFace
    closeup: CroppedFace
    target: TerGanTarget


@dataclass
class TargetExpression:
    """
    An expression to show.

    Args:
        embedding: (D,) f(e). name: for people.
        photo: the photo it was read from, where there is one.
    """

    embedding: np.ndarray
    name: str
    photo: FacesOfPhoto | None = None


class EditSession:
    """One model at work.

    Args:
        name: of the model. pipe: over it. expression_map: `None` where the model has none.
    """

    def __init__(self, name: str, pipe: TerGanPipeline, expression_map: ExpressionMap | None = None):
        self.name, self.pipe, self.expression_map = name, pipe, expression_map
        self._examples: dict[str, TargetExpression] = {}

    def find_faces(self, path: str, what: str, point: tuple[float, float] | None = None) -> FacesOfPhoto:
        """
        Args:
            path: of the photo. what: to call it in messages.
            point: (x, y) in photo pixels, on the face that is meant; default: the largest.

        Raises:
            InvalidInputError: it cannot be read, is too large, or shows no face.
        """
        photo = self.read_photo(path, what)
        faces = self.pipe.detector.detect(photo)[:MAX_FACES]
        if not faces:
            raise NoFaceFoundError(
                f"{what}: no face was found. Try a photo that shows a whole face from the front, upright, well lit "
                "and not too small"
            )
        meant = faces[0] if point is None else select_face(faces, point, what)
        chosen = next(index for index, face in enumerate(faces) if face is meant)
        thumbnails = [_thumbnail(photo, face) for face in faces] if len(faces) > 1 else []
        return FacesOfPhoto(path, faces, chosen, thumbnails)

    @torch.inference_mode()
    def encode_photo(self, photo: FacesOfPhoto) -> EncodedPhoto:
        """Encode the chosen face."""
        cropped = self._cropped(photo, "your photo")
        preview = _reduced(cropped, (0, 0, *cropped.photo.size), PREVIEW_SIDE)
        closeup = _reduced(cropped, _surroundings(cropped.photo, photo.face), THUMBNAIL_SIDE)
        target = self.pipe.model.encode_target(self.pipe.pixel_values([cropped]), for_many=True)
        return EncodedPhoto(photo, preview, closeup, _moved(target, torch.device("cpu")))

    @torch.inference_mode()
    def read_expression(self, photo: FacesOfPhoto) -> TargetExpression:
        """The expression of the chosen face."""
        cropped = self._cropped(photo, "expression photo")
        embedding = self.pipe.model.encode_expression(self.pipe.pixel_values([cropped]))
        return TargetExpression(embedding[0].float().cpu().numpy(), "the expression photo", photo)

    def example(self, path: str) -> TargetExpression:
        """The expression of a photo that ships with the app; it is read once."""
        if path not in self._examples:
            self._examples[path] = self.read_expression(self.find_faces(path, "example"))
        return self._examples[path]

    def named(self, label: str) -> TargetExpression:
        """The expression of a label."""
        prototypes = self.pipe.model.expression_prototypes
        return TargetExpression(prototypes[self.pipe.labels.index(label)].float().cpu().numpy(), label)

    def at_place(self, place: tuple[float, float]) -> TargetExpression:
        """The expression of a place on the map."""
        return TargetExpression(self.expression_map.expression_at(place), "a place on the map")

    def draw(
        self, encoded: EncodedPhoto, wanted: TargetExpression, intensity: float = 1.0, parts=WHOLE_FACE
    ) -> Image.Image:
        """The preview with the expression."""
        return self._apply(encoded, [encoded.preview], wanted.embedding[None], [intensity], parts)[0]

    def draw_row(
        self, encoded: EncodedPhoto, expressions_to_show: list[TargetExpression], intensities: list[float]
    ) -> list[Image.Image]:
        """The face alone with each expression at its intensity, small."""
        embeddings = np.stack([wanted.embedding for wanted in expressions_to_show])
        return self._apply(encoded, [encoded.closeup] * len(expressions_to_show), embeddings, intensities, WHOLE_FACE)

    def draw_full(
        self, encoded: EncodedPhoto, wanted: TargetExpression, intensity: float, parts=WHOLE_FACE
    ) -> Image.Image:
        """The photo at its own resolution with the expression."""
        cropped = self._cropped(encoded.photo, "your photo")
        return self._apply(encoded, [cropped], wanted.embedding[None], [intensity], parts)[0]

    def place_of(self, embedding: np.ndarray) -> list[float] | None:
        """Where an f(e) is on the map."""
        return None if self.expression_map is None else self.expression_map.locate(embedding).tolist()

    @torch.inference_mode()
    def _apply(
        self, encoded: EncodedPhoto, frames: list[CroppedFace], embeddings, intensities, parts
    ) -> list[Image.Image]:
        model, count = self.pipe.model, len(frames)
        target = _moved(encoded.target, model.device, count)
        wanted = torch.from_numpy(np.asarray(embeddings, np.float32)).to(model.device, model.dtype)
        amounts = torch.tensor(intensities, device=model.device, dtype=model.dtype)[:, None]
        # A number, where it is one: the paper's model then leaves the target's own expression out.
        change = model.change(wanted, target, float(intensities[0]) if count == 1 else amounts)
        if tuple(parts) != WHOLE_FACE:
            change = scale_parts(change, *parts)
        return [self.pipe.paste(frame, change, row) for row, frame in enumerate(frames)]

    def _cropped(self, photo: FacesOfPhoto, what: str) -> CroppedFace:
        return self.pipe.cut_out(self.read_photo(photo.path, what), photo.face.crop_transform)

    @staticmethod
    def read_photo(path: str, what: str) -> Image.Image:
        """An upright RGB photo; raises `ValueError`, in words for visitors, where it is too large or unreadable."""
        if not Path(path).is_file():
            raise MissingFileError(f"{what}: it is no longer on the server. Please add it again")
        check_photo(path, what)
        try:
            return read_image(path, what)
        except MemoryError as error:
            raise InvalidInputError(f"{what}: the photo is too large for this server") from error


def _moved(target: TerGanTarget, device: torch.device, count: int = 1) -> TerGanTarget:
    def moved(value):
        if isinstance(value, tuple):
            return tuple(moved(item) for item in value)
        if value is None:
            return None
        return value.to(device).expand(count, *value.shape[1:])

    return TerGanTarget(**{item.name: moved(getattr(target, item.name)) for item in fields(target)})


def _surroundings(photo: Image.Image, face: DetectedFace) -> tuple[int, int, int, int]:
    """A square around the face with some room, as far as the photo goes."""
    centre = face.box.reshape(2, 2).mean(0)
    half = 0.68 * float(np.max(face.box[2:] - face.box[:2]))
    left, top, right, bottom = (round(value) for value in (*(centre - half), *(centre + half)))
    left, top = min(max(0, left), photo.width - 1), min(max(0, top), photo.height - 1)
    return left, top, max(left + 1, min(photo.width, right)), max(top + 1, min(photo.height, bottom))


def _reduced(cropped: CroppedFace, box: tuple[int, int, int, int], side: int) -> CroppedFace:
    """A part of a cropped photo, with `side` pixels at most; the network's crop stays the same."""
    cut = cropped.photo.crop(box)
    scale = min(1.0, side / max(cut.size))
    width, height = (max(1, round(length * scale)) for length in cut.size)
    to_photo = np.array([[cut.width / width, 0, box[0]], [0, cut.height / height, box[1]], [0, 0, 1]])
    if scale < 1:
        cut = cut.resize((width, height), Image.Resampling.LANCZOS)
    return CroppedFace(cut, cropped.crop_transform @ to_photo, cropped.crop, cropped.fades)


def _thumbnail(photo: Image.Image, face: DetectedFace) -> Image.Image:
    cut = photo.crop(_surroundings(photo, face))
    cut.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
    return cut


def as_data_url(image: Image.Image, mark: bool = False, quality: int = 88) -> str:
    """A picture for the page without a file on the server."""
    encoded = encode_synthetic(draw_mark(image) if mark else image, "JPEG", quality)
    return "data:image/jpeg;base64," + base64.b64encode(encoded).decode()
