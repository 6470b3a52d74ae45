"""Videos in, videos out, a frame at a time: memory does not grow with the length. Needs PyAV (`pip install av`)."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import torch
from PIL import Image
from tqdm.auto import tqdm

from .atomic_file_tergan import AtomicFile
from .errors_tergan import InvalidInputError
from .face_detection_tergan import Face
from .video_container_tergan import VideoLimits
from .video_reading_tergan import ClipReader, clip_seconds, read_frames
from .video_writing_tergan import VideoWriter


_SETTING_THREADS = threading.Lock()


@dataclass
class FaceReport:
    """
    How one face of a clip was followed.

    Args:
        face: of the clip, as it was named. frames_without_face: frames in which it was not seen.
        relative: whether `transfer_video` carried only what changes since a reference frame; `None` in `edit_video`.
        reference_seconds: when that frame is shown, in seconds since the first frame of the clip; `None` without one.
    """

    face: Face
    frames_without_face: int
    relative: bool | None = None
    reference_seconds: float | None = None


@dataclass
class VideoReport:
    """
    What was written.

    Args:
        path: of the new video. frames: its number of frames. frames_without_face: frames of the clip in which none of
            the faces was seen. Where a face is not seen, `edit_video` leaves it as it is, and `transfer_video` holds
            its last expression.
        damaged_packets: packets of the clip's pictures and sound that could not be read and were left out.
        notes: sentences on other differences from the clip, such as sound that was left out.
        faces: of the clip, one entry per tracked face.
    """

    path: Path
    frames: int
    frames_without_face: int = 0
    damaged_packets: int = 0
    notes: list[str] = field(default_factory=list)
    faces: list[FaceReport] = field(default_factory=list)


def map_video(
    clip: str | Path,
    output: str | Path,
    *steps: Callable,
    finish: Callable[[Image.Image], Image.Image] | None = None,
    waits: Callable[[], bool] | None = None,
    progress: bool = True,
    description: str = "video",
    check: Callable[[int], None] | None = None,
    metadata: dict[str, str] | None = None,
    boxes: bytes = b"",
    limits: VideoLimits | None = None,
) -> VideoReport:
    """
    Write a video in which every frame went through some steps; the sound is kept.

    Args:
        clip: a video file in a self-contained container; playlists are refused. Its name is free.
        output: the `.mp4` file to write (H.264). It appears when it is complete and replaces an older one.
        steps: the first gets (RGB image, seconds since the last frame), each further one the result of the one before;
            the last returns the RGB image to write, all of one size. Each has a thread to itself and sees the frames
            in their order, so a step may remember; several frames are under way at a time, one in each step.
        finish: called with every result, in the caller's thread, for what is to be written instead.
        waits: asked after the first step of each frame, until it has been true and is false again. While it is true,
            frames wait for their further steps, so that the first step can look ahead. Its results are kept meanwhile.
        progress: show a bar.
        check: called with the number of frames at the end; if it raises, no file is left.
        metadata: for the file's head, by MP4's names (`comment`, `description`, …).
        boxes: whole MP4 boxes to append.
        limits: on the size of the clip's frames and on the time of the whole work.

    Raises:
        MissingPackageError: PyAV is missing.
        MissingFileError: no such clip, or no such folder for the output.
        VideoInputError: the clip holds no readable video.
        VideoLimitError: it is larger than the limits, or takes longer.
        InvalidInputError: the output's name does not end in `.mp4`.
        OutputFileError: the output cannot be written.
    """
    output = Path(output)
    if output.suffix.lower() != ".mp4":
        raise InvalidInputError(f"output must be an .mp4 file, got {output.name!r}")
    with ClipReader(clip, limits) as reader, AtomicFile(output) as file:
        with (
            _Steps(steps, finish, waits) as line,
            VideoWriter(file, reader, metadata or {}) as writer,
            tqdm(
                total=reader.frame_count, desc=description, unit="frame", disable=not progress, dynamic_ncols=True
            ) as bar,
        ):
            _convert(reader, line, writer, bar)
        if check is not None:
            check(writer.frames)
        writer.append(boxes)
        file.commit()
        return _report(output, reader, writer)


def _convert(reader: ClipReader, line: "_Steps", writer: VideoWriter, bar):
    streams = (reader.picture, reader.sound) if reader.sound else (reader.picture,)
    for packet in reader.packets(*streams):
        if packet.stream is not reader.picture:
            writer.put_sound(packet)
            continue
        for time, interval, image in reader.pictures(packet):
            line.put(image, interval, time)
            for result, time in line.finished():
                writer.put_picture(result, time)
                bar.update()
    reader.require_frames()
    for result, time in line.finished(flush=True):
        writer.put_picture(result, time)
        bar.update()
    writer.close()


def _report(output: Path, reader: ClipReader, writer: VideoWriter) -> VideoReport:
    damaged, notes = reader.damaged_packets, reader.notes
    if writer.sound is None and reader.container.streams.audio:
        notes.append("The sound is left out: this FFmpeg has no decoder for it.")
    elif writer.sound is not None:
        damaged, notes = damaged + writer.sound.damaged_packets, notes + writer.sound.notes
    return VideoReport(output, writer.frames, damaged_packets=damaged, notes=notes)


def _use_threads(threads: int):
    """Let torch compute with so many threads in this thread, and in the others as before."""
    with _SETTING_THREADS:
        usual = torch.get_num_threads()
        torch.set_num_threads(threads)
        # It also became the number that new threads begin with; a thread that ends takes the effect on itself along.
        restoring = threading.Thread(target=torch.set_num_threads, args=(usual,))
        restoring.start()
        restoring.join()


def _follow(step, before):
    """Apply a step to the result of the one before."""
    return step(before.result())


class _Steps:
    """Frames on their way through the steps."""

    def __init__(self, steps: Sequence[Callable], finish: Callable | None, waits: Callable[[], bool] | None):
        self.steps, self.finish, self._waits = steps, finish, waits
        # Side by side, steps that share the cores out are faster than steps that each want all of them.
        threads = max(1, torch.get_num_threads() // len(steps))
        self._workers = [ThreadPoolExecutor(1, initializer=_use_threads, initargs=(threads,)) for _ in steps]
        self._waiting: list = []
        self._under_way: deque = deque()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for worker in self._workers:
            worker.shutdown(cancel_futures=True)

    def put(self, image: Image.Image, interval: float, time: float):
        """Send a frame on its way."""
        future = self._workers[0].submit(self.steps[0], image, interval)
        waited = bool(self._waiting)
        self._waiting.append((future, time))
        if self._waits is not None:
            future.result()
            if self._waits():
                return
            if waited:
                self._waits = None
        self._send()

    def _send(self):
        """Send the waiting frames through the further steps."""
        for future, time in self._waiting:
            for worker, step in zip(self._workers[1:], self.steps[1:]):
                future = worker.submit(_follow, step, future)
            self._under_way.append((future, time))
        self._waiting = []

    def finished(self, flush: bool = False) -> Iterator[tuple[Image.Image, float]]:
        """Results with their times, in order; those of the last few frames only with `flush`."""
        if flush:
            self._send()
        while len(self._under_way) > (0 if flush else len(self.steps)):
            future, time = self._under_way.popleft()
            image = future.result()
            yield image if self.finish is None else self.finish(image), time


__all__ = ["FaceReport", "VideoLimits", "VideoReport", "clip_seconds", "map_video", "read_frames"]
