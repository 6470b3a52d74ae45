"""Videos in, videos out, a frame at a time: memory does not grow with the length. Needs PyAV (`pip install av`)."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm.auto import tqdm

from .errors_tergan import InvalidInputError, MissingFileError, MissingPackageError, VideoInputError


try:
    import av
except ImportError:  # only videos need it
    av = None


SOUND_MP4_TAKES = ("aac", "mp3", "mp3float", "ac3", "alac", "flac", "opus")
DEFAULT_RATE = Fraction(25)
TIME_BASE = Fraction(1, 90_000)
BT_709, LIMITED_RANGE = 1, 1  # FFmpeg's numbers
_SETTING_THREADS = threading.Lock()


@dataclass
class VideoReport:
    """
    What was written.

    Args:
        path: of the new video. frames: its number of frames. frames_without_face: of the clip, where the face was not
            seen; `edit_video` leaves those as they are, `transfer_video` holds the last expression.
    """

    path: Path
    frames: int
    frames_without_face: int


def map_video(
    clip: str | Path,
    output: str | Path,
    *steps: Callable,
    finish: Callable[[Image.Image], Image.Image] | None = None,
    progress: bool = True,
    description: str = "video",
    check: Callable[[int], None] | None = None,
    metadata: dict[str, str] | None = None,
) -> int:
    """
    Write a video in which every frame went through some steps; the sound is kept.

    Args:
        clip: any video file FFmpeg reads.
        output: `.mp4` (H.264) is written, under another name until it is complete.
        steps: the first gets (RGB image, seconds since the last frame), each further one the result of the one before;
            the last returns the RGB image to write, all of one size. Each has a thread to itself and sees the frames
            in their order, so a step may remember; several frames are under way at a time, one in each step.
        finish: called with every result, in the caller's thread, for what is to be written instead.
        progress: show a bar.
        check: called with the number of frames at the end; if it raises, no file is left.
        metadata: for the file's head, by MP4's names (`comment`, `description`, …).

    Returns:
        the number of frames.

    Raises:
        MissingPackageError: PyAV is missing.
        MissingFileError: no such clip, or no such folder for the output.
        VideoInputError: the clip holds no readable video.
        InvalidInputError: the output's name does not end in `.mp4`.
    """
    clip, output = Path(clip), Path(output)
    if not clip.is_file():
        raise MissingFileError(f"no such video: {clip}")
    if output.suffix.lower() != ".mp4":
        raise InvalidInputError(f"output must be an .mp4 file, got {output.name!r}")
    if not output.parent.is_dir():
        raise MissingFileError(f"no such folder: {output.parent}")
    unfinished = output.with_name(f".{output.stem}.{os.getpid()}.mp4")
    try:
        with _Steps(steps, finish) as line:
            frames = _convert(clip, unfinished, line, progress, description, metadata or {})
        if check is not None:
            check(frames)
        unfinished.replace(output)
    finally:
        unfinished.unlink(missing_ok=True)
    return frames


def _use_threads(threads: int):
    """Let torch compute with so many threads in this thread, and in the others as before."""
    with _SETTING_THREADS:
        usual = torch.get_num_threads()
        torch.set_num_threads(threads)
        # It also became the number that new threads begin with; a thread that ends takes the effect on itself along.
        restoring = threading.Thread(target=torch.set_num_threads, args=(usual,))
        restoring.start()
        restoring.join()


class _Steps:
    """Frames on their way through the steps."""

    def __init__(self, steps: Sequence[Callable], finish: Callable | None):
        self.steps, self.finish = steps, finish
        # Side by side, steps that share the cores out are faster than steps that each want all of them.
        threads = max(1, torch.get_num_threads() // len(steps))
        self._workers = [ThreadPoolExecutor(1, initializer=_use_threads, initargs=(threads,)) for _ in steps]
        self._under_way: deque = deque()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for worker in self._workers:
            worker.shutdown(cancel_futures=True)

    def put(self, image: Image.Image, interval: float, time: float):
        """Send a frame on its way."""
        future = self._workers[0].submit(self.steps[0], image, interval)
        for worker, step in zip(self._workers[1:], self.steps[1:]):
            future = worker.submit(lambda before=future, step=step: step(before.result()))
        self._under_way.append((future, time))

    def finished(self, flush: bool = False) -> Iterator[tuple[Image.Image, float]]:
        """Results with their times, in order; those of the last few frames only with `flush`."""
        while len(self._under_way) > (0 if flush else len(self.steps)):
            future, time = self._under_way.popleft()
            image = future.result()
            yield image if self.finish is None else self.finish(image), time


def read_frames(
    clip: str | Path, progress: bool = True, description: str = "video"
) -> Iterator[tuple[float, float, Image.Image]]:
    """
    The frames of a clip, one at a time.

    Yields:
        seconds since the first frame, seconds since the last one, RGB image.

    Raises:
        MissingPackageError, MissingFileError, VideoInputError: as `map_video`.
    """
    source, picture = _open(Path(clip))
    with source, tqdm(total=_frame_count(picture), desc=description, unit="frame", disable=not progress) as bar:
        clock, first = _Clock(1 / float(_rate(picture))), None
        try:
            for frame in source.decode(picture):
                interval = clock.tick(frame)
                first = clock.now if first is None else first
                yield clock.now - first, interval, _as_seen(frame, picture)
                bar.update()
        except av.error.FFmpegError as error:
            raise VideoInputError(f"{clip}: broken after {bar.n} frames ({error})") from error
        if first is None:
            raise VideoInputError(f"{clip} has no frame that can be read")


def clip_seconds(clip: str | Path) -> float | None:
    """
    How long a clip is by its head, in seconds; `None` where it does not say.

    Raises:
        MissingPackageError, MissingFileError, VideoInputError: as `map_video`.
    """
    source, picture = _open(Path(clip))
    with source:
        if source.duration:
            return source.duration / av.time_base
        return float(picture.duration * picture.time_base) if picture.duration else None


def _open(clip: Path):
    if av is None:
        raise MissingPackageError('videos need PyAV: pip install "av"')
    if not clip.is_file():
        raise MissingFileError(f"no such video: {clip}")
    try:
        source = av.open(str(clip))
    except (av.error.FFmpegError, ValueError) as error:
        raise VideoInputError(f"{clip} is not a video that can be read ({error})") from error
    if not source.streams.video:
        source.close()
        raise VideoInputError(f"{clip} has no picture")
    picture = source.streams.video[0]
    picture.thread_type = "AUTO"
    return source, picture


def _rate(picture) -> Fraction:
    return picture.average_rate or picture.guessed_rate or DEFAULT_RATE


def _frame_count(picture) -> int | None:
    if picture.frames:
        return picture.frames
    return round(float(picture.duration * picture.time_base * _rate(picture))) if picture.duration else None


def _convert(clip: Path, path: Path, line: _Steps, progress: bool, description: str, metadata: dict[str, str]) -> int:
    source, picture = _open(clip)
    with source, av.open(str(path), "w") as target:
        target.metadata.update(metadata)
        audio = [stream for stream in source.streams.audio if stream.codec_context is not None]
        sound = _Sound(audio[0], target) if audio else None
        rate = _rate(picture)
        output = _Output(target, sound, rate)
        clock = _Clock(1 / float(rate))
        streams = [picture, sound.source] if sound else [picture]
        total = _frame_count(picture)
        with tqdm(total=total, desc=description, unit="frame", disable=not progress, dynamic_ncols=True) as bar:
            try:
                for packet in source.demux(streams):
                    if sound and packet.stream is sound.source:
                        output.put_sound(packet)
                        continue
                    for frame in packet.decode():
                        interval = clock.tick(frame)
                        line.put(_as_seen(frame, picture), interval, clock.now)
                        for image, time in line.finished():
                            output.put_picture(image, time)
                            bar.update()
            except av.error.FFmpegError as error:
                raise VideoInputError(f"{clip}: broken after {output.frames} frames ({error})") from error
            for image, time in line.finished(flush=True):
                output.put_picture(image, time)
                bar.update()
        if not output.frames:
            raise VideoInputError(f"{clip} has no frame that can be read")
        output.close()
    return output.frames


class _Output:
    """The new file. Its head names all streams and is written with the first packet, so that sound that comes before
    the first picture has to wait."""

    def __init__(self, container, sound: "_Sound | None", rate: Fraction):
        self.container, self.sound, self.rate = container, sound, rate
        self.frames = 0
        self._picture: _Picture | None = None
        self._early_sound: list = []

    def put_picture(self, image: Image.Image, time: float):
        if self._picture is None:
            self._picture = _Picture(self.container, image.size, self.rate)
            for packet in self._early_sound:
                self.sound.put(packet)
            self._early_sound = []
        self._picture.put(image, time)
        self.frames += 1

    def put_sound(self, packet):
        self._early_sound.append(packet) if self._picture is None else self.sound.put(packet)

    def close(self):
        self._picture.close()
        if self.sound:
            self.sound.close()


class _Clock:
    """When frames are shown, in seconds; without a time stamp, or with one that goes back, they follow at their rate.

    Args:
        interval: between frames at their rate.
    """

    def __init__(self, interval: float):
        self.interval = interval
        self.now: float | None = None

    def tick(self, frame) -> float:
        """Go on to this frame; returns the seconds since the last one."""
        time = float(frame.pts * frame.time_base) if frame.pts is not None else None
        before, self.now = self.now, time
        if before is None:
            self.now = 0.0 if time is None else time
            return self.interval
        if time is None or time <= before:
            self.now = before + self.interval
            return self.interval
        return time - before


def _as_seen(frame, picture) -> Image.Image:
    """The frame as a viewer sees it: camcorders store pixels that are not square, phones how they were held."""
    image = frame.to_image()
    aspect = picture.sample_aspect_ratio
    if aspect and aspect != 1:
        image = image.resize((max(1, round(image.width * aspect)), image.height), Image.Resampling.BILINEAR)
    turn = round(getattr(frame, "rotation", 0) or 0) % 360
    return image.rotate(turn, expand=True) if turn else image


class _Picture:
    """Images to an H.264 stream, each at its time."""

    def __init__(self, container, size: tuple[int, int], rate: Fraction):
        self.container = container
        self.stream = container.add_stream("libx264", rate=rate, options={"crf": "18", "preset": "veryfast"})
        self.stream.width, self.stream.height = (side - side % 2 for side in size)  # 4:2:0 colour needs even sides
        self.stream.pix_fmt = "yuv420p"
        self.stream.codec_context.time_base = TIME_BASE
        # Said, so that no player has to guess: BT.709, limited range.
        context = self.stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = BT_709
        context.color_range = LIMITED_RANGE
        self.stream.thread_type = "AUTO"

    def put(self, image: Image.Image, time: float):
        pixels = np.asarray(image)[: self.stream.height, : self.stream.width]
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
        frame.pts, frame.time_base = round(time / TIME_BASE), TIME_BASE
        self.container.mux(self.stream.encode(frame))

    def close(self):
        self.container.mux(self.stream.encode(None))


class _Sound:
    """A clip's sound, copied where MP4 takes it as it is, else as AAC."""

    def __init__(self, source, container):
        self.source, self.container = source, container
        self.copied = source.codec_context.name in SOUND_MP4_TAKES
        if self.copied:
            self.stream = container.add_stream_from_template(source)
        else:
            self.stream = container.add_stream("aac", rate=source.codec_context.sample_rate)

    def put(self, packet):
        if self.copied:
            if packet.dts is not None:
                packet.stream = self.stream
                self.container.mux(packet)
            return
        for frame in packet.decode():
            self.container.mux(self.stream.encode(frame))

    def close(self):
        if not self.copied:
            self.container.mux(self.stream.encode(None))
