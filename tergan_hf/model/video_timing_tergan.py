"""Correct the time stamps of a clip: jumps, gaps and damage."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any


# A container that allows jumps of its clock (MPEG-TS from a recorder) shows a longer gap by one; so does ffmpeg.
LONGEST_GAP = 10
LONGEST_PAUSE = 4 * 3600  # between two frames anywhere; MP4 cannot say much more
SHORTEST_INTERVAL = 0.01  # of that at the frames' rate; filters over time divide by it
DEFAULT_RATE, HIGHEST_RATE = Fraction(25), 1000


def frame_rate(picture) -> Fraction:
    """Frames per second of a video stream; `DEFAULT_RATE` if unknown."""
    for rate in (picture.average_rate, picture.guessed_rate):
        if rate and 0 < rate <= HIGHEST_RATE:
            return rate
    return DEFAULT_RATE


class ContinuousTime:
    """
    Remove jumps of a clip's clock from the time stamps of all of its streams.

    Args:
        may_jump: whether the container allows jumps. In others, a long gap is a pause.
    """

    def __init__(self, may_jump: bool):
        self.may_jump = may_jump
        self._offset = Fraction(0)
        self._expected: dict[int, Fraction] = {}

    def correct(self, packet):
        """Change a packet's time stamps in place."""
        if not self.may_jump or packet.dts is None or not packet.time_base:
            return
        now = packet.dts * packet.time_base + self._offset
        expected = self._expected.get(packet.stream_index, now)
        if abs(now - expected) > LONGEST_GAP:
            self._offset += expected - now
            now = expected
        self._expected[packet.stream_index] = now + (packet.duration or 0) * packet.time_base
        if self._offset:
            ticks = round(self._offset / packet.time_base)
            packet.dts += ticks
            if packet.pts is not None:
                packet.pts += ticks


class FrameClock:
    """
    The times of frames in seconds. A frame with a missing or damaged time stamp follows at the frame rate.

    Each frame waits for the next one, because a time stamp later than the next frame's is damaged.

    Args:
        picture: the video stream.
    """

    def __init__(self, picture):
        self.interval = 1 / float(frame_rate(picture))
        self.start = float(picture.start_time * picture.time_base) if picture.start_time is not None else 0.0
        self._now: float | None = None
        self._waiting: tuple[float | None, Any] | None = None

    def put(self, frame, image) -> Iterator[tuple[float, float, Any]]:
        """
        Args:
            frame: PyAV's, for its time stamp. image: what is made of it.

        Yields:
            the time of the frame before, the seconds since the one before that, and its image.
        """
        stamped = frame.pts is not None and frame.time_base
        time = float(frame.pts * frame.time_base) if stamped else None
        waiting, self._waiting = self._waiting, (time, image)
        if waiting is not None:
            yield self._show(waiting[0], waiting[1], time)

    def flush(self) -> Iterator[tuple[float, float, Any]]:
        """The last frame, as `put` yields it."""
        if self._waiting is not None:
            yield self._show(self._waiting[0], self._waiting[1], None)
            self._waiting = None

    def _show(self, time: float | None, image, following: float | None):
        before = self._now
        if time is not None and is_damaged(before, time, following):
            time = None
        if before is None:
            guessed = self.start if following is None else min(self.start, following - self.interval)
            self._now = guessed if time is None else time
            return self._now, self.interval, image
        if time is None or time - before < SHORTEST_INTERVAL * self.interval:
            self._now = before + self.interval
            return self._now, self.interval, image
        self._now = time
        return time, time - before, image


def is_damaged(before, time, following, pause=LONGEST_PAUSE) -> bool:
    """Whether a time stamp is later than the next one, or later than the one before by more than a pause."""
    if before is not None and time - before > pause:
        return True
    return following is not None and following < time and (before is None or following > before)


__all__ = ["LONGEST_PAUSE", "ContinuousTime", "FrameClock", "frame_rate", "is_damaged"]
