"""The pipeline's uses of clips."""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from .configuration_checks_tergan import is_finite_number
from .errors_tergan import InvalidInputError, NoFaceFoundError
from .expression_reading_tergan import ExpressionReader, require_different_faces
from .face_animation_tergan import ClipEditor, PhotoAnimator
from .face_detection_tergan import Face, select_face
from .image_loading_tergan import ImageLike, full_name, read_image, to_srgb
from .pipeline_base_tergan import FacePipeline, check_intensity
from .provenance_tergan import VIDEO_METADATA, xmp_box
from .video_tergan import VideoLimits, VideoReport, map_video, read_frames


class VideoPipeline(FacePipeline):
    """Recognition, transfer and editing frame by frame, in memory that does not grow with the length of a clip."""

    @torch.inference_mode()
    def recognize_video(
        self,
        clip: str | Path,
        face: Face = None,
        progress: bool = True,
        each: Callable[[dict], None] | None = None,
        limits: VideoLimits | None = None,
        blendshapes: bool = False,
    ) -> list[dict]:
        """
        Recognise the expression of a face of a clip over time.

        Args:
            clip: the video. face: which face of its first frame.
            progress: show a bar.
            each: called with every entry as it comes; an exception it raises ends the work.
            limits: as for `transfer_video`.
            blendshapes: also read the blendshapes of every frame.

        Returns:
            one entry per frame: `time` in seconds since the first, `scores` as `recognize` gives them and, if asked
            for, `blendshapes` as the method `blendshapes` gives them. Both are `None` if the face is not seen. f(e) is
            smoothed over time, and mirror images are not read. Damaged parts of the clip are left out, with a warning.

        Raises:
            InvalidInputError: `blendshapes` is asked for, and the model reads none.
            MissingPackageError, MissingFileError, VideoInputError, VideoLimitError, NoFaceFoundError: as for
                `transfer_video`.
        """
        if blendshapes:
            self.model.require_blendshapes()
        reader, timeline = ExpressionReader(self, face), []
        for time, interval, frame in read_frames(clip, progress, "recognize", limits, _warn_of_damage):
            found = reader.find_face(frame, interval)
            entry: dict = {"time": time, "scores": None, **({"blendshapes": None} if blendshapes else {})}
            if found is not None:
                expression = self.model.encode_expression(self.pixel_values([found]))
                expression = reader.smooth(expression, interval)
                entry["scores"] = self._rank(expression)[0]
                if blendshapes:
                    entry["blendshapes"] = self._by_name(self.model.regress_blendshapes(expression))[0]
            timeline.append(entry)
            if each is not None:
                each(timeline[-1])
        _require_faces(clip, reader.frames_without_face, len(timeline))
        return timeline

    def _without_autocast(self) -> torch.autocast:
        # Autocast holds for one thread, and frames are worked on in others: all must compute alike.
        return torch.autocast(self.model.device.type, enabled=False)

    def transfer_video(
        self,
        driving: str | Path,
        target: ImageLike,
        output: str | Path,
        intensity: float = 1.0,
        relative: bool | None = None,
        face: Face = None,
        driving_face: Face = None,
        max_side: int = 1280,
        progress: bool = True,
        finish: Callable[[Image.Image], Image.Image] | None = None,
        metadata: dict[str, str] | None = None,
        limits: VideoLimits | None = None,
        faces: Mapping[Face, Face] | None = None,
    ) -> VideoReport:
        """
        Animate a photo with a clip: frame by frame, its face takes on the expression of the driving face. The sound of
        the clip is kept.

        Args:
            driving: the clip. target: the photo. output: the `.mp4` file to write.
            intensity: as for `transfer`.
            relative: carry only what changes since a reference frame, the calmest of the first 1.5 seconds. It suits a
                person who looks stern or smiling by nature. `False` carries the expression itself. Default: only
                changes if the reference frame is calm; `faces` of the report says what was chosen. A model without the
                label `neutral` knows no calm frame: the first one counts, and by default the expression is carried.
            face: which face of the photo. driving_face: which face of the clip's first frame.
            max_side: larger photos are reduced to this many pixels.
            progress: show a bar.
            finish: called with every finished frame; it returns the frame to write. An exception it raises ends the
                work.
            metadata: tags of the file (`comment`, `description`, …). Default: `VIDEO_METADATA`, which says that it is
                synthetic. XMP says so in any case, with IPTC's digital source type.
            limits: on the size of the clip's frames and on the time of the work with it.
            faces: to animate several faces, each face of the photo and its driver, a face of the clip's first frame:
                `{0: 1, (320, 200): 0}`. A driver may serve several faces. f(i) decides who is who when drivers cross
                or come back. It replaces `face` and `driving_face`.

        Returns:
            a report of what was written, of damaged packets that were left out, and of other differences.

        Raises:
            MissingPackageError: PyAV is not installed.
            MissingFileError: there is no such clip or output folder.
            VideoInputError: the clip cannot be read. A clip is one self-contained file; playlists are refused.
            VideoLimitError: the clip is larger than the limits, or takes longer.
            OutputFileError: the output cannot be written.
            NoFaceFoundError: no face in the photo, or in none of the clip's frames; then nothing is written.
            InvalidInputError: the intensity is no number within its limits, photo or clip have no such face, or
                `faces` is empty, names a face twice or stands beside `face` or `driving_face`.
        """
        intensity = check_intensity(intensity)
        if not is_finite_number(max_side) or max_side < 1:
            raise InvalidInputError(f"max_side must be a number of pixels, got {max_side!r}")
        if faces is None:
            pairs = [(face, _as_key(driving_face))]
        elif face is not None or driving_face is not None:
            raise InvalidInputError("faces names all faces: leave out face and driving_face, or faces")
        else:
            pairs = [(face, _as_key(driver)) for face, driver in _require_mapping("faces", faces).items()]
        photo = to_srgb(read_image(target, "target"))
        scale = min(1.0, max_side / max(photo.size))
        photo.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
        name = full_name("target", target)
        detected = self._detect(name, photo)
        found = [select_face(detected, _scaled(face, scale), name).crop_transform for face, _ in pairs]
        require_different_faces(name, [face for face, _ in pairs], found)
        cropped = [(self.cut_out(photo, transform), driver) for transform, (_, driver) in zip(found, pairs)]
        with torch.inference_mode(), self._without_autocast():
            animator = PhotoAnimator(self, photo, cropped, intensity, relative)
        waits = None if relative is False else animator.waits
        return _map_video(driving, output, animator, progress, "transfer", finish, metadata, limits, waits)

    def edit_video(
        self,
        clip: str | Path,
        expression: str | ImageLike | Mapping[str, float] | Mapping[Face, Any],
        output: str | Path,
        intensity: float = 1.0,
        face: Face = None,
        source_face: Face = None,
        progress: bool = True,
        finish: Callable[[Image.Image], Image.Image] | None = None,
        metadata: dict[str, str] | None = None,
        limits: VideoLimits | None = None,
    ) -> VideoReport:
        """
        Change the expression of a face in a clip. Frames in which it is not seen stay as they are. The sound is kept.

        Args:
            clip: the video. output: the `.mp4` file to write.
            expression, intensity: as for `edit`. To change several faces, each face of the clip's first frame and its
                expression: `{0: "happiness", (320, 200): "neutral"}`. Then leave out `face`.
            face: which face of the clip's first frame. source_face: which face of a photo that shows the expression.
            progress, finish, metadata, limits: as for `transfer_video`.

        Returns:
            as for `transfer_video`.

        Raises:
            MissingPackageError, MissingFileError, VideoInputError, VideoLimitError, OutputFileError, NoFaceFoundError:
                as for `transfer_video`.
        """
        intensity = check_intensity(intensity)
        if not isinstance(expression, Mapping) or all(isinstance(key, str) for key in expression):
            named = [(_as_key(face), "expression", expression)]
        elif face is not None:
            raise InvalidInputError("expression names the faces itself: leave out face")
        else:
            by_face = _require_mapping("expression", expression)
            named = [(_as_key(face), f"expression of face {face}", value) for face, value in by_face.items()]
        with torch.inference_mode(), self._without_autocast():
            wanted = self._read_expressions([(name, value) for _, name, value in named], True, source_face)
        of_faces = {face: wanted[row : row + 1] for row, (face, _, _) in enumerate(named)}
        editor = ClipEditor(self, of_faces, intensity)
        return _map_video(clip, output, editor, progress, "edit", finish, metadata, limits)


def _map_video(
    clip, output, change: PhotoAnimator | ClipEditor, progress: bool, description: str, finish, metadata, limits,
    waits=None,
) -> VideoReport:  # fmt: skip
    readers = change.readers
    report = map_video(
        clip, output, change.read, change.change, change.paste, finish=finish, waits=waits, progress=progress,
        description=description, check=lambda frames: _require_faces(clip, readers.frames_without_face, frames),
        metadata=VIDEO_METADATA if metadata is None else metadata, boxes=xmp_box(), limits=limits,
    )  # fmt: skip
    report.frames_without_face, report.faces = readers.frames_without_face, change.reports()
    return report


def _as_key(face: Face) -> Face:
    """A point that may be a key of a dictionary; other faces as they are."""
    return tuple(np.asarray(face).tolist()) if isinstance(face, (list, np.ndarray)) else face


def _scaled(face: Face, scale: float) -> Face:
    """A point of a photo in the photo reduced by a scale; other faces as they are."""
    if not isinstance(face, (tuple, list, np.ndarray)):
        return face
    return tuple((scale * np.asarray(face, dtype=float).ravel()).tolist())


def _require_mapping(name: str, value) -> Mapping:
    if not isinstance(value, Mapping) or not value:
        raise InvalidInputError(f"{name} must map at least one face to another value, got {value!r}")
    return value


def _warn_of_damage(reader):
    for sentence in reader.notes:
        warnings.warn(sentence, stacklevel=2)
    if reader.damaged_packets:
        warnings.warn(f"{reader.damaged_packets} damaged packets of the clip were left out", stacklevel=2)


def _require_faces(clip, frames_without_face: int, frames: int):
    if frames_without_face == frames:
        raise NoFaceFoundError(f"{clip}: no face was found in any of its {frames} frames")


__all__ = ["VideoPipeline"]
