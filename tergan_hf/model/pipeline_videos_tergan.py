"""The pipeline's uses of clips."""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from .errors_tergan import NoFaceFoundError
from .face_animation_tergan import ClipEditor, ExpressionReader, PhotoAnimator
from .face_detection_tergan import Face, select_face
from .image_loading_tergan import ImageLike, full_name, read_image, to_srgb
from .pipeline_base_tergan import FacePipeline, check_intensity
from .provenance_tergan import VIDEO_METADATA
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
        _require_faces(clip, reader, len(timeline))
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
        relative: bool = False,
        face: Face = None,
        driving_face: Face = None,
        max_side: int = 1280,
        progress: bool = True,
        finish: Callable[[Image.Image], Image.Image] | None = None,
        metadata: dict[str, str] | None = None,
        limits: VideoLimits | None = None,
    ) -> VideoReport:
        """
        Animate a photo with a clip: frame by frame, its face takes on the expression of the driving face. The sound of
        the clip is kept.

        Args:
            driving: the clip. target: the photo. output: the `.mp4` file to write.
            intensity: as for `transfer`.
            relative: transfer only what changes since the first frame of the clip. It suits a person who looks stern
                or smiling by nature, in a clip that begins with a calm face.
            face: which face of the photo. driving_face: which face of the clip's first frame.
            max_side: larger photos are reduced to this many pixels.
            progress: show a bar.
            finish: called with every finished frame; it returns the frame to write. An exception it raises ends the
                work.
            metadata: tags of the file (`comment`, `description`, …). Default: `VIDEO_METADATA`, which says that it is
                synthetic.
            limits: on the size of the clip's frames and on the time of the work with it.

        Returns:
            a report of what was written, of damaged packets that were left out, and of other differences.

        Raises:
            MissingPackageError: PyAV is not installed.
            MissingFileError: there is no such clip or output folder.
            VideoInputError: the clip cannot be read. A clip is one self-contained file; playlists are refused.
            VideoLimitError: the clip is larger than the limits, or takes longer.
            OutputFileError: the output cannot be written.
            NoFaceFoundError: no face in the photo, or in none of the clip's frames; then nothing is written.
        """
        intensity = check_intensity(intensity)
        photo = to_srgb(read_image(target, "target"))
        if isinstance(face, (tuple, list, np.ndarray)):
            scale = min(1.0, max_side / max(photo.size))
            face = (scale * face[0], scale * face[1])
        photo.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
        found = select_face(self._detect(full_name("target", target), photo), face, full_name("target", target))
        cropped = self.cut_out(photo, found.crop_transform)
        with torch.inference_mode(), self._without_autocast():
            animator = PhotoAnimator(self, cropped, intensity, relative, driving_face)
        return _map_video(driving, output, animator, progress, "transfer", finish, metadata, limits)

    def edit_video(
        self,
        clip: str | Path,
        expression: str | Mapping[str, float] | ImageLike,
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
            expression, intensity: as for `edit`.
            face: which face of the clip's first frame. source_face: which face of a photo that shows the expression.
            progress, finish, metadata, limits: as for `transfer_video`.

        Returns:
            as for `transfer_video`.

        Raises:
            MissingPackageError, MissingFileError, VideoInputError, VideoLimitError, OutputFileError, NoFaceFoundError:
                as for `transfer_video`.
        """
        intensity = check_intensity(intensity)
        with torch.inference_mode(), self._without_autocast():
            wanted = self._read_expressions([("expression", expression)], True, source_face)
        editor = ClipEditor(self, wanted, intensity, face)
        return _map_video(clip, output, editor, progress, "edit", finish, metadata, limits)


def _map_video(clip, output, change, progress: bool, description: str, finish, metadata, limits) -> VideoReport:
    report = map_video(
        clip, output, change.read, change.change, change.paste, finish=finish, progress=progress,
        description=description, check=lambda frames: _require_faces(clip, change.reader, frames),
        metadata=VIDEO_METADATA if metadata is None else metadata, limits=limits,
    )  # fmt: skip
    report.frames_without_face = change.reader.frames_without_face
    return report


def _warn_of_damage(reader):
    for sentence in reader.notes:
        warnings.warn(sentence, stacklevel=2)
    if reader.damaged_packets:
        warnings.warn(f"{reader.damaged_packets} damaged packets of the clip were left out", stacklevel=2)


def _require_faces(clip, reader: ExpressionReader, frames: int):
    if reader.frames_without_face == frames:
        raise NoFaceFoundError(f"{clip}: no face was found in any of its {frames} frames")


__all__ = ["VideoPipeline"]
