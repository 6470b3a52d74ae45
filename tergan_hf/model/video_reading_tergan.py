"""Read a clip frame by frame as upright RGB images of one size, and skip damaged parts."""

from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image
from tqdm.auto import tqdm

from .errors_tergan import VideoInputError, VideoLimitError, shown_name
from .video_colour_tergan import ColourReader
from .video_container_tergan import Deadline, VideoLimits, av, open_container
from .video_geometry_tergan import display_matrix, fit, orient, shown_size
from .video_timing_tergan import ContinuousTime, FrameClock, frame_rate


# After so many failures of FFmpeg in a row, the rest of a clip counts as unreadable.
MOST_FAILED_READS = 1000
DECODERS_EDGES = 1 << 16  # pixels
FULL_HD = 1920 * 1088
HEADS_WITH_LENGTHS = ("mov", "avi")  # of each stream
SHARE_READ = 0.95  # of a stream's length; less than that is a cut file


class ClipReader:
    """
    An open clip. Use it in a `with` statement.

    Args:
        clip: a video file in a self-contained container. Its name is free.
        limits: on the size of frames and on the time of the work, which counts from here.

    Attributes:
        picture, sound: PyAV's streams; `sound` is `None` without a stream that can be decoded.
        damaged_packets: packets that could not be read or decoded and were skipped.
        frames: frames decoded so far.

    Raises:
        MissingPackageError: PyAV is missing.
        MissingFileError: no such clip.
        VideoInputError: it holds no video that can be read.
        VideoLimitError: it is larger than the limits.
    """

    def __init__(self, clip: str | Path, limits: VideoLimits | None = None):
        self.clip, self.limits, self.name = Path(clip), limits or VideoLimits(), shown_name(clip)
        self.deadline = Deadline(self.limits.seconds, self.name)
        self.damaged_packets, self.frames = 0, 0
        self.container = open_container(self.clip, self.limits, self.deadline)
        try:
            self.deadline.check()
            self.picture = self._choose_picture()
            self.sound = next((stream for stream in self.container.streams.audio if stream.codec_context), None)
        except Exception:
            self.container.close()
            raise
        self._colours = ColourReader()
        self._clock = FrameClock(self.picture)
        self._time = ContinuousTime(self.container.format.flags & av.format.Flags.ts_discont.value)
        self._read_to: float | None = None
        self._size: tuple[int, int] | None = None
        self._matrix: tuple[float, float, float, float] | None = None
        self._aspect = self.picture.sample_aspect_ratio
        # An aspect of the container holds for all frames; one of the codec may change.
        self._codec_decides = not self._aspect or self._aspect == self.picture.codec_context.sample_aspect_ratio

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.container.close()

    @property
    def notes(self) -> list[str]:
        """Sentences on how the frames differ from the clip, as far as it was read."""
        notes = list(self._colours.notes)
        expected = _seconds(self.picture.duration, self.picture.time_base)
        if self.container.format.name in HEADS_WITH_LENGTHS and expected and self._read_to is not None:
            read = self._read_to - self._clock.start
            if read < SHARE_READ * expected - 0.5:
                notes.append(f"The clip ends after {read:.1f} of {expected:.1f} seconds: its file is cut.")
        return notes

    @property
    def frame_count(self) -> int | None:
        """Number of frames by the clip's header, `None` if unknown."""
        if self.picture.frames:
            return self.picture.frames
        seconds = _seconds(self.picture.duration, self.picture.time_base)
        return None if seconds is None else round(seconds * float(frame_rate(self.picture)))

    @property
    def seconds(self) -> float | None:
        """Length by the clip's header, `None` if unknown."""
        if self.container.duration:
            return self.container.duration / av.time_base
        return _seconds(self.picture.duration, self.picture.time_base)

    def packets(self, *streams) -> Iterator:
        """The packets of some streams in the clip's order, then an empty packet of each stream. Skips damaged ones."""
        failures, packets = 0, self.container.demux()
        while True:
            self.deadline.check()
            try:
                packet = next(packets)
            except (StopIteration, IndexError):  # IndexError: PyAV met a new stream in mid-clip; it ends there, too
                return
            except av.error.ExitError:
                raise self.deadline.error() from None
            except av.error.FFmpegError:
                self.damaged_packets += failures == 0
                failures += 1
                if failures > MOST_FAILED_READS:
                    yield from map(_flushing_packet, streams)
                    return
                packets = self.container.demux()
                continue
            failures = 0
            # An empty packet in mid-clip (AVI: the last frame once more) would end the decoding.
            if packet.stream in streams and (packet.size or packet.dts is None):
                self._time.correct(packet)
                if packet.stream is self.picture and packet.pts is not None:
                    end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                    self._read_to = end if self._read_to is None else max(end, self._read_to)
                yield packet

    def decode(self, packet) -> list:
        """A packet's frames; none if it is damaged."""
        try:
            return packet.decode()
        except av.error.FFmpegError:
            self.damaged_packets += 1
            return []

    def pictures(self, packet) -> Iterator[tuple[float, float, Image.Image]]:
        """
        Decode a packet of `picture`.

        Yields:
            seconds on the clip's own clock, seconds since the last frame, RGB image of the first frame's size.
        """
        for frame in self.decode(packet):
            self.deadline.check()
            try:
                image = self._as_seen(frame)
            except av.error.FFmpegError:
                self.damaged_packets += 1
                continue
            self.frames += 1
            yield from self._clock.put(frame, image)
        if not packet.size:
            yield from self._clock.flush()

    def require_frames(self):
        """
        Raises:
            VideoInputError: no frame was read.
        """
        if not self.frames:
            limit = self.limits.pixels
            larger = f", or they are larger than {limit / 1e6:.1f} megapixels" if limit else ""
            raise VideoInputError(f"{self.name} has no frame that can be read: all are damaged{larger}")

    def _choose_picture(self):
        """The first video stream that is not a cover picture."""
        covers = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
        streams = [stream for stream in self.container.streams.video if not stream.disposition & covers]
        if not streams:
            raise VideoInputError(f"{self.name} has no picture")
        picture = next((stream for stream in streams if stream.codec_context), None)
        if picture is None:
            raise VideoInputError(f"{self.name}: this FFmpeg has no decoder for its pictures")
        self._check_size((picture.codec_context.width, picture.codec_context.height))
        if self.limits.pixels is not None:
            # Decoders count the edges that they add, too.
            picture.codec_context.options = {"max_pixels": str(5 * self.limits.pixels // 4 + DECODERS_EDGES)}
        # Frame threads are faster, but a damaged frame can take the last frames of a clip along.
        large = picture.codec_context.width * picture.codec_context.height > FULL_HD
        picture.thread_type = "AUTO" if large else "SLICE"
        return picture

    def _as_seen(self, frame) -> Image.Image:
        """The frame as players show it: with square pixels, oriented, in the size of the first frame."""
        # The decoder is ahead of the frames it returns; a new aspect begins with a key frame.
        if self._codec_decides and (frame.key_frame or self._size is None):
            self._aspect = self.picture.codec_context.sample_aspect_ratio or self._aspect
        size = shown_size((frame.width, frame.height), self._aspect)
        self._check_size((frame.width, frame.height))
        self._check_size(size)
        image = self._colours.read(frame)
        if image.size != size:
            image = image.resize(size, Image.Resampling.BILINEAR)
        self._matrix = display_matrix(frame) or (None if frame.key_frame else self._matrix)  # holds until a key frame
        image = orient(image, self._matrix)
        self._size = self._size or image.size
        return fit(image, self._size)

    def _check_size(self, size: tuple[int, int]):
        if self.limits.pixels is not None and size[0] * size[1] > self.limits.pixels:
            raise VideoLimitError(
                f"{self.name}: its frames of {size[0]}×{size[1]} pixels are larger than "
                f"{self.limits.pixels / 1e6:.1f} megapixels; reduce it"
            )


def read_frames(
    clip: str | Path,
    progress: bool = True,
    description: str = "video",
    limits: VideoLimits | None = None,
    done: Callable[[ClipReader], None] | None = None,
) -> Iterator[tuple[float, float, Image.Image]]:
    """
    The frames of a clip, one at a time.

    Args:
        done: called with the `ClipReader` after the last frame.

    Yields:
        seconds since the first frame, seconds since the last one, RGB image. All images have the first one's size.

    Raises:
        MissingPackageError, MissingFileError, VideoInputError, VideoLimitError: as `ClipReader`.
    """
    with ClipReader(clip, limits) as reader:
        with tqdm(total=reader.frame_count, desc=description, unit="frame", disable=not progress) as bar:
            first = None
            for packet in reader.packets(reader.picture):
                for now, interval, image in reader.pictures(packet):
                    first = now if first is None else first
                    yield now - first, interval, image
                    bar.update()
        reader.require_frames()
        if done is not None:
            done(reader)


def clip_seconds(clip: str | Path, limits: VideoLimits | None = None) -> float | None:
    """
    Length of a clip in seconds by its header, `None` if unknown.

    Raises:
        MissingPackageError, MissingFileError, VideoInputError, VideoLimitError: as `ClipReader`.
    """
    with ClipReader(clip, limits) as reader:
        return reader.seconds


def _seconds(duration: int | None, time_base) -> float | None:
    return float(duration * time_base) if duration else None


def _flushing_packet(stream):
    packet = av.Packet()
    packet.stream, packet.time_base = stream, stream.time_base
    return packet


__all__ = ["ClipReader", "clip_seconds", "read_frames"]
