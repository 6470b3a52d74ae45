"""Write images and a clip's sound as an H.264 video in an MP4 file."""

import contextlib
import os
from fractions import Fraction

import numpy as np
from PIL import Image

from .atomic_file_tergan import AtomicFile
from .errors_tergan import OutputFileError, shown_name
from .video_container_tergan import av, reason
from .video_sound_tergan import add_sound
from .video_timing_tergan import LONGEST_PAUSE, frame_rate


TIME_BASE = Fraction(1, 90_000)
BT_709, LIMITED_RANGE = 1, 1  # FFmpeg's numbers


class VideoWriter:
    """
    A new video with the sound of the clip that it is made from. Use it in a `with` statement.

    It begins at 0 with the first picture or the first sound, and keeps the time between them. The header is written
    with the first packet and needs the size of the pictures, so early sound waits for the first picture.

    Args:
        file: to write into. reader: the clip, a `ClipReader`.
        metadata: for the file's head, by MP4's names (`comment`, `description`, …).

    Raises:
        OutputFileError: from all methods, if the video cannot be encoded or written.
    """

    def __init__(self, file: AtomicFile, reader, metadata: dict[str, str]):
        self.frames = 0
        self._stream = file.stream
        self._name, self._rate = shown_name(file.output), frame_rate(reader.picture)
        self._container = av.open(file.stream, "w", format="mp4")
        self._container.metadata.update(metadata)
        self.sound = add_sound(reader, self._container)
        self._picture: PictureStream | None = None
        self._zero = self._sound_zero = Fraction(0)
        self._early_sound: list = []

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:  # PyAV would complete the file later; errors of that do not matter
            with contextlib.suppress(Exception):
                self._container.close()

    def put_picture(self, image: Image.Image, time: float):
        """Write an RGB image that is shown at `time`, in seconds on the clip's clock."""
        with self._naming_the_file():
            if self._picture is None:
                self._picture = self._begin(image, time)
            self._picture.put(image, time - float(self._zero))
            self.frames += 1

    def put_sound(self, packet):
        """Write a packet of the clip's sound."""
        if self._picture is None:
            self._early_sound.append(packet)
            return
        with self._naming_the_file():
            self.sound.put(packet, self._sound_zero)

    def close(self):
        """Write what is left and complete the file."""
        with self._naming_the_file():
            self._picture.close()
            if self.sound:
                self.sound.close()
            self._container.close()

    def append(self, boxes: bytes):
        """Append whole MP4 boxes to the completed file."""
        with self._naming_the_file():
            self._stream.seek(0, os.SEEK_END)
            self._stream.write(boxes)

    def _begin(self, image: Image.Image, time: float) -> "PictureStream":
        picture = PictureStream(self._container, image.size, self._rate)
        self._zero = self._sound_zero = Fraction(time)
        sound_start = self.sound.start(self._early_sound) if self.sound else None
        if sound_start is not None:
            if abs(sound_start - self._zero) <= LONGEST_PAUSE:
                sound_start = self._zero = min(self._zero, sound_start)
            self._sound_zero = sound_start  # further apart, they do not share a clock
        for packet in self._early_sound:
            self.sound.put(packet, self._sound_zero)
        self._early_sound = []
        return picture

    @contextlib.contextmanager
    def _naming_the_file(self):
        try:
            yield
        except (av.error.FFmpegError, OSError) as error:
            raise OutputFileError(f"{self._name} cannot be written ({reason(error)})") from error


class PictureStream:
    """
    Images to an H.264 stream, each at its time.

    Args:
        container: PyAV's, open for writing. size: width and height in pixels. rate: frames per second.
        constant_rate_factor: of x264; lower is better.
        repeatable: give the same bytes for the same pictures. It takes longer and makes larger files.
    """

    def __init__(
        self, container, size: tuple[int, int], rate: Fraction, constant_rate_factor: int = 18,
        repeatable: bool = False,
    ):  # fmt: skip
        self.container = container
        options = {"crf": str(constant_rate_factor), "preset": "veryfast"}
        if repeatable:
            # The number of threads decides about the bytes, and so does unset memory in x264's macroblock tree.
            options["x264-params"] = "mbtree=0"
        self.stream = container.add_stream("libx264", rate=rate, options=options)
        # 4:2:0 colour needs even sides.
        self.stream.width, self.stream.height = (max(2, side - side % 2) for side in size)
        self.stream.pix_fmt = "yuv420p"
        self.stream.codec_context.time_base = TIME_BASE
        # Said, so that no player has to guess: BT.709, limited range.
        context = self.stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = BT_709
        context.color_range = LIMITED_RANGE
        self.stream.thread_type = "AUTO"
        if repeatable:
            self.stream.thread_count = 1
        self._last = -1

    def put(self, image: Image.Image, time: float):
        """Write an RGB image that is shown at `time`, in seconds from the start of the stream."""
        pixels = np.asarray(image)[: self.stream.height, : self.stream.width]
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
        self._last = max(round(time / TIME_BASE), self._last + 1)
        frame.pts, frame.time_base = self._last, TIME_BASE
        self.container.mux(self.stream.encode(frame))

    def close(self):
        """Write the frames that the encoder still holds."""
        self.container.mux(self.stream.encode(None))


__all__ = ["PictureStream", "VideoWriter"]
