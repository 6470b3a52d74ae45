"""From frame to frame: what a driving clip does to a photo, and what an expression does to a clip."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from PIL import Image

from .expression_reading_tergan import ExpressionReaders
from .expression_requests_tergan import WantedExpressions
from .face_detection_tergan import Face
from .outputs_tergan import TerGanChange
from .reference_frame_tergan import ReferenceFrame
from .video_tergan import FaceReport


class PhotoAnimator:
    """
    Frame of a driving clip → the photo with its expressions, in three steps: `read` follows the driving faces,
    `change` finds what they do to the photo's, `paste` puts that into the photo.

    Args:
        photo: RGB, not empty of faces.
        faces: for each face to animate, its `CroppedFace` in the photo and its driver: the face of the clip's first
            frame, as in `select_face`. A driver may serve several faces.
        intensity: as for `TerGanPipeline.transfer`.
        relative: as for `TerGanPipeline.transfer_video`.
    """

    def __init__(self, pipeline, photo: Image.Image, faces: Sequence[tuple], intensity: float, relative: bool | None):
        self.pipeline, self.photo, self.intensity = pipeline, photo, intensity
        drivers = list(dict.fromkeys(driver for _, driver in faces))
        self.readers = ExpressionReaders(pipeline, drivers)
        self.references = [ReferenceFrame(pipeline.model, relative) for _ in drivers]
        self._expressions: list[torch.Tensor | None] = [None] * len(drivers)
        self._targets = [
            (face, drivers.index(driver), pipeline.model.encode_target(pipeline.pixel_values([face]), for_many=True))
            for face, driver in faces
        ]

    @torch.inference_mode()
    def read(self, frame: Image.Image, interval: float) -> list[torch.Tensor | None]:
        """→ f(e) (1, D) of each driver: the last one where its face is not seen, `None` before it was seen first."""
        found = self.readers.find_faces(frame, interval)
        for number, (reader, face, reference) in enumerate(zip(self.readers.readers, found, self.references)):
            if face is None:
                reference.skip(interval)
                continue
            expression = self.pipeline.model.encode_expression(self.pipeline.pixel_values([face]))
            self._expressions[number] = reader.smooth(expression, interval)
            reference.add(self._expressions[number], interval)
        return list(self._expressions)

    def waits(self) -> bool:
        """Whether `change` has to wait until more frames are read."""
        return any(reference.waits for reference in self.references)

    @torch.inference_mode()
    def change(self, expressions: list[torch.Tensor | None]) -> list[TerGanChange | None]:
        """→ the `TerGanChange` of each face, `None` where there is no expression to show."""
        changes: list[TerGanChange | None] = []
        for _, driver, target in self._targets:
            expression = expressions[driver]
            if expression is None:
                changes.append(None)
                continue
            wanted = self.references[driver].carry(expression, target.expression_embedding)
            changes.append(self.pipeline.model.change(wanted, target, self.intensity))
        return changes

    @torch.inference_mode()
    def paste(self, changes: list[TerGanChange | None]) -> Image.Image:
        """The photo with these changes."""
        photo = self.photo
        for (face, _, _), change in zip(self._targets, changes):
            if change is not None:
                photo = self.pipeline.paste(replace(face, photo=photo), change, 0)
        return photo.copy() if photo is self.photo else photo

    def reports(self) -> list[FaceReport]:
        """How each driver was followed."""
        return [
            FaceReport(reader.face, reader.frames_without_face, reference.relative, reference.seconds)
            for reader, reference in zip(self.readers.readers, self.references)
        ]


class ClipEditor:
    """
    Frame of a clip → the frame with other expressions, in three steps: `read` follows the faces, `change` finds how
    they change, `paste` changes them. A face that is not seen is left as it is.

    Args:
        wanted: for each face of the clip's first frame, as in `select_face`, the expression to show, a batch of one.
        intensity: as for `TerGanPipeline.edit`.
    """

    def __init__(self, pipeline, wanted: Mapping[Face, WantedExpressions], intensity: float):
        self.pipeline, self.wanted, self.intensity = pipeline, list(wanted.values()), intensity
        self.readers = ExpressionReaders(pipeline, list(wanted))

    @torch.inference_mode()
    def read(self, frame: Image.Image, interval: float):
        """→ frame, and for each face its `CroppedFace` and `TerGanTarget`, `None` where it is not seen."""
        seen: list = []
        for reader, face in zip(self.readers.readers, self.readers.find_faces(frame, interval)):
            if face is None:
                seen.append(None)
                continue
            target = self.pipeline.model.encode_target(self.pipeline.pixel_values([face]))
            target.expression_embedding = reader.smooth(target.expression_embedding, interval)
            seen.append((face, target))
        return frame, seen

    @torch.inference_mode()
    def change(self, read):
        """→ frame, and for each face that is seen its `CroppedFace` and the `TerGanChange` to its expression."""
        frame, seen = read
        model, changes = self.pipeline.model, []
        for found, wanted in zip(seen, self.wanted):
            if found is None:
                continue
            face, target = found
            expression = wanted.resolve(model, target.expression_embedding[:, None])[:, 0]
            changes.append((face, model.change(expression, target, self.intensity)))
        return frame, changes

    @torch.inference_mode()
    def paste(self, changed) -> Image.Image:
        """The frame with the expressions."""
        frame, changes = changed
        for face, change in changes:
            frame = self.pipeline.paste(replace(face, photo=frame), change, 0)
        return frame

    def reports(self) -> list[FaceReport]:
        """How each face was followed."""
        return [FaceReport(reader.face, reader.frames_without_face) for reader in self.readers.readers]
