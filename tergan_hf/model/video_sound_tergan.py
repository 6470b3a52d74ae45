"""Write the sound of a clip to an MP4 file: copy its packets if MP4 takes them, else encode AAC."""

import contextlib
from fractions import Fraction

from .video_container_tergan import av
from .video_sound_trial_tergan import Nowhere, fits_mp4
from .video_timing_tergan import LONGEST_PAUSE, is_damaged


LOWEST_RATE = 8000  # AAC's 7350 Hz is unknown to most players
KEPT_LAYOUTS = ("mono", "stereo", "5.1", "5.1(side)")  # others are mixed to stereo
UNNAMED_LAYOUTS = {"1 channels": "mono", "6 channels": "5.1"}
DEFAULT_RATE, FRAME_SAMPLES = 48_000, 1024
LONGEST_DRIFT = Fraction(1, 10)  # seconds that time stamps may differ from the samples counted


def add_sound(reader, container):
    """
    Add a clip's sound to an MP4 file.

    Args:
        reader: the clip, a `ClipReader`. container: PyAV's, for writing, before its first packet.

    Returns:
        `CopiedSound`, `EncodedSound`, or `None` if the clip has no sound that can be decoded.
    """
    if reader.sound is None:
        return None
    return (CopiedSound if fits_mp4(reader) else EncodedSound)(reader, container)


class _Sound:
    """
    Attributes:
        damaged_packets: packets that could not be decoded or written, and were left out.
        notes: sentences about what is not as in the clip.
    """

    def __init__(self, reader, container):
        self.reader, self.source, self.container = reader, reader.sound, container
        self.damaged_packets = 0
        self.notes: list[str] = []
        self._heard = False
        self._waiting = None
        self._before: int | None = None

    def put(self, packet, zero: Fraction):
        """
        Write the packet before this one. It waits because a time stamp later than the next packet's is damaged.

        Args:
            packet: of the clip's sound; an empty one is the last.
            zero: when the new file begins, in seconds on the clip's clock.
        """
        waiting, self._waiting = self._waiting, packet
        if waiting is not None:
            pause = LONGEST_PAUSE / waiting.time_base
            if waiting.pts is not None and is_damaged(self._before, waiting.pts, packet.pts, pause):
                waiting.pts = waiting.dts = None
            self._before = self._before if waiting.pts is None else waiting.pts
            self._put(waiting, zero)
        if not packet.size:
            self._put(packet, zero)
            self._waiting = None

    def _put(self, packet, zero: Fraction):
        """Write one packet."""
        raise NotImplementedError

    def close(self):
        """Write what is left."""
        if self.damaged_packets and not self._heard:
            self.notes.append("The sound is left out: none of it can be decoded.")

    def start(self, packets) -> Fraction | None:
        """When the sound begins, in seconds on the clip's clock: by its header, else by its first packets."""
        if self.source.start_time is not None:
            return self.source.start_time * self.source.time_base
        stamped = (packet for packet in packets if packet.pts is not None and packet.time_base)
        return next((packet.pts * packet.time_base for packet in stamped), None)


class CopiedSound(_Sound):
    """
    Sound that is copied packet by packet.

    FFmpeg interleaves sound and pictures, so an error in the sound would surface while a picture is written. Each
    packet is therefore decoded and written to a discarded MP4 file first; damaged packets are left out.
    """

    def __init__(self, reader, container):
        super().__init__(reader, container)
        self.stream = container.add_stream_from_template(self.source)
        self._trial = av.open(Nowhere(), "w", format="mp4")
        self._trial_stream = self._trial.add_stream_from_template(self.source)
        self._last: int | None = None
        self._end: int | None = None

    def close(self):
        """Write what is left."""
        super().close()
        with contextlib.suppress(av.error.FFmpegError):
            self._trial.close()

    def _put(self, packet, zero: Fraction):
        if not packet.size:
            return
        if not self._decodes(packet):
            self.damaged_packets += 1
            return
        shift = round(zero / packet.time_base)
        stamp = packet.pts if packet.pts is not None else packet.dts
        stamp = None if stamp is None else stamp - shift
        if stamp is None or (self._last is not None and stamp <= self._last):
            stamp = self._end  # without a time stamp, or with one that goes back, it follows the one before
        stamp = 0 if stamp is None else stamp
        duration = max(1, packet.duration or 1)
        packet.pts = packet.dts = stamp
        self._last, self._end = stamp, stamp + duration
        packet.stream = self._trial_stream
        try:
            self._trial.mux(packet)
        except av.error.FFmpegError:
            self.damaged_packets += 1
            return
        packet.stream = self.stream
        self.container.mux(packet)
        self._heard = True

    @staticmethod
    def _decodes(packet) -> bool:
        try:
            packet.decode()
        except (av.error.PatchWelcomeError, av.error.NotImplementedError):  # sound, but beyond this FFmpeg
            return True
        except av.error.FFmpegError:
            return False
        return True


class EncodedSound(_Sound):
    """Sound that is decoded, resampled to a rate and layout of AAC, and encoded."""

    def __init__(self, reader, container):
        super().__init__(reader, container)
        context = self.source.codec_context
        layout = context.layout.name
        self.layout = layout if layout in KEPT_LAYOUTS else UNNAMED_LAYOUTS.get(layout, "stereo")
        self.rate = _aac_rate(context.sample_rate or DEFAULT_RATE)
        self.stream = container.add_stream("aac", rate=self.rate, layout=self.layout)
        self._graph = self._graph_input = None
        self._samples, self._begin = 0, Fraction(0)
        self._failed = False
        if context.layout.nb_channels > 8:
            self.notes.append(f"The sound's {context.layout.nb_channels} channels are mixed to two.")

    def _put(self, packet, zero: Fraction):
        if self._failed:
            return
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            self.damaged_packets += 1
            return
        for frame in frames:
            if frame.sample_rate and frame.samples:
                self._put_frame(frame, zero)

    def _put_frame(self, frame, zero: Fraction):
        stamped = frame.pts is not None and frame.time_base
        begin = frame.pts * frame.time_base - zero if stamped else None
        settings = (frame.format.name, frame.layout.name, frame.layout.nb_channels, frame.sample_rate)
        expected = self._begin + Fraction(self._samples, self._graph_input[3]) if self._graph_input else None
        if expected is None:
            begin = begin or Fraction(0)
        elif begin is None or begin < expected + LONGEST_DRIFT:
            begin = expected
        try:
            if settings != self._graph_input or begin != expected:
                self._flush()
                self._graph, self._graph_input = self._new_graph(*settings), settings
                self._samples, self._begin = 0, begin
            first = round(self._begin * frame.sample_rate)
            frame.pts, frame.time_base = first + self._samples, Fraction(1, frame.sample_rate)
            self._samples += frame.samples
            self._heard = True
            self._graph.push(frame)
            self._encode()
        except (av.error.FFmpegError, ValueError):
            self._failed = True
            self.notes.append(f"The sound ends after {float(begin):.1f} seconds: FFmpeg cannot convert it further.")

    def close(self):
        """Encode what is left."""
        super().close()
        if self._failed or self._graph_input is None:
            return
        with contextlib.suppress(av.error.FFmpegError):
            self._flush()
            self.container.mux(self.stream.encode(None))

    def _flush(self):
        if self._graph is not None:
            self._graph.push(None)
            self._encode()
            self._graph = None

    def _encode(self):
        while True:
            try:
                frame = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            self.container.mux(self.stream.encode(frame))

    def _new_graph(self, sample_format: str, layout: str, channels: int, rate: int):
        """A filter graph from decoded sound to frames of the encoder's format and size."""
        graph = av.filter.Graph()
        nodes = [
            graph.add(
                "abuffer", sample_fmt=sample_format, sample_rate=str(rate), channel_layout=layout,
                time_base=f"1/{rate}",
            )
        ]  # fmt: skip
        if channels > 8:  # their places are unknown: odd ones to the left, even ones to the right
            sides = ("+".join(f"c{channel}" for channel in range(side, channels, 2)) for side in (0, 1))
            nodes.append(graph.add("pan", "stereo|" + "|".join(f"c{i}<{side}" for i, side in enumerate(sides))))
        nodes.append(graph.add("aresample", str(self.rate)))
        nodes.append(
            graph.add("aformat", sample_fmts="fltp", sample_rates=str(self.rate), channel_layouts=self.layout)
        )
        nodes.append(graph.add("asetnsamples", n=str(FRAME_SAMPLES), p="1"))
        nodes.append(graph.add("abuffersink"))
        graph.link_nodes(*nodes).configure()
        return graph


def _aac_rate(rate: int) -> int:
    """The lowest sample rate of AAC that is not below `rate`, else its highest."""
    rates = [known for known in av.Codec("aac", "w").audio_rates or () if known >= LOWEST_RATE]
    return min((known for known in rates if known >= rate), default=max(rates))


__all__ = ["CopiedSound", "EncodedSound", "add_sound"]
