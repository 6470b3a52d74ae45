"""Try whether the sound of a clip can be copied into an MP4 file."""

import contextlib
import io
from collections.abc import Iterator

import numpy as np

from .errors_tergan import VideoLimitError
from .video_container_tergan import av, open_container


# FFmpeg's names of codecs that players expect in MP4. Other codecs are encoded anew.
COPIED_CODECS = ("aac", "mp3", "ac3", "eac3", "alac", "flac", "opus")
TRIED_PACKETS = 10
ADTS_MARK, ADTS_MASK = 0xFFF0, 0xFFF6


def fits_mp4(reader) -> bool:
    """
    Whether FFmpeg writes the beginning of a clip's sound to MP4 without an error.

    A stream of MP4 has one sample rate and one channel layout. AAC can change them in mid-stream: in the header of a
    packet (ADTS, in MPEG-TS) or by a packet with a new configuration. AAC is therefore checked to its end.

    Args:
        reader: the clip, a `ClipReader`.

    Raises:
        VideoLimitError: the time limit of the clip is over.
    """
    codec = reader.sound.codec_context.codec.canonical_name
    if codec not in COPIED_CODECS:
        return False
    with open_container(reader.clip, reader.limits, reader.deadline) as container:
        if len(container.streams) <= reader.sound.index:
            return False
        sound = container.streams[reader.sound.index]
        for stream in container.streams:
            if stream is not sound:
                stream.discard = av.stream.Discard.all
        try:
            with av.open(Nowhere(), "w", format="mp4") as trial:
                stream = trial.add_stream_from_template(sound)
                trial.start_encoding()
                packets = (packet for packet in _packets(container, sound, reader.deadline) if packet.size)
                head = None
                for number, packet in enumerate(packets):
                    if number < TRIED_PACKETS:
                        _try_packet(trial, stream, packet)
                    elif codec != "aac":
                        break
                    head, before = _configuration(packet) or head, head
                    if before is not None and head != before:
                        return False
        except VideoLimitError:
            raise
        except (av.error.FFmpegError, ValueError):
            return False
    return True


def _packets(container, stream, deadline) -> Iterator:
    """The packets of a stream up to its end or to the first error of reading."""
    packets = container.demux(stream)
    while True:
        deadline.check()
        try:
            yield next(packets)
        except (StopIteration, av.error.FFmpegError, IndexError):  # IndexError: PyAV met a new stream in mid-clip
            return


def _try_packet(container, stream, packet):
    copy = av.Packet(bytes(packet))
    copy.pts, copy.dts, copy.duration, copy.time_base = packet.pts, packet.dts, packet.duration, packet.time_base
    copy.stream = stream
    with contextlib.suppress(av.error.FFmpegError):  # a damaged packet; the others decide
        container.mux(copy)


def _configuration(packet) -> bytes | None:
    """Profile, rate and channels that a packet of AAC states, as bytes; `None` if it states nothing."""
    if packet.has_sidedata("new_extradata"):
        return bytes(packet.get_sidedata("new_extradata"))
    return _adts_settings(packet)


def _adts_settings(packet) -> bytes | None:
    """Profile, rate and channels in a packet's ADTS header, as bytes; `None` without such a header."""
    if packet.size < 7:
        return None
    head = bytes(np.frombuffer(packet, np.uint8, 4))
    if int.from_bytes(head[:2], "big") & ADTS_MASK != ADTS_MARK:
        return None
    return bytes((head[2] & 0xFD, head[3] & 0xC0))


class Nowhere(io.RawIOBase):
    """A seekable file that discards its content."""

    def __init__(self):
        self._position = self._size = 0

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def write(self, data) -> int:
        self._position += len(data)
        self._size = max(self._size, self._position)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        return self._position

    def tell(self) -> int:
        return self._position


__all__ = ["Nowhere", "fits_mp4"]
