"""Time stamps of a clip: when its frames are shown, whatever its clock does."""

from fractions import Fraction


# A container that allows jumps of its clock (MPEG-TS from a recorder) shows a longer gap by one; so does ffmpeg.
LONGEST_GAP = 10
DEFAULT_RATE, HIGHEST_RATE = Fraction(25), 480


def frame_rate(picture) -> Fraction:
    """Frames per second of a video stream, as far as it says."""
    for rate in (picture.average_rate, picture.guessed_rate):
        if rate and 0 < rate <= HIGHEST_RATE:
            return rate
    return DEFAULT_RATE


class ContinuousTime:
    """
    Takes the jumps out of a clip's clock, for all of its streams alike.

    Args:
        may_jump: whether the container allows jumps. Elsewhere a long gap is meant.
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
    When frames are shown, in seconds. Without a time stamp, or with one that goes back, they follow at their rate.

    Args:
        picture: the video stream.
    """

    def __init__(self, picture):
        self.interval = 1 / float(frame_rate(picture))
        self.now: float | None = None
        self.start = float(picture.start_time * picture.time_base) if picture.start_time is not None else 0.0

    def tick(self, frame) -> float:
        """Go on to this frame; returns the seconds since the last one."""
        stamped = frame.pts is not None and frame.time_base
        time = float(frame.pts * frame.time_base) if stamped else None
        before, self.now = self.now, time
        if before is None:
            self.now = self.start if time is None else time
            return self.interval
        if time is None or time <= before:
            self.now = before + self.interval
            return self.interval
        return time - before


__all__ = ["ContinuousTime", "FrameClock", "frame_rate"]
