"""Whether MP4 takes the sound of a clip as it is: it is tried."""

import contextlib
import io
from collections.abc import Iterator

import numpy as np

from .video_container_tergan import av, open_container


# By FFmpeg's names; what players expect in MP4. Other codecs, and rates that MP4 does not take, are encoded anew.
COPIED_CODECS = ("aac", "mp3", "ac3", "eac3", "alac", "flac", "opus")
TRIED_PACKETS = 10
ADTS_MARK, ADTS_MASK = 0xFFF0, 0xFFF6


def fits_mp4(reader) -> bool:
    """
    Whether MP4 takes a clip's sound as it is: FFmpeg writes the beginning of it, or refuses.

    One stream of MP4 has one rate and one layout. AAC may change them in mid-stream, in the head of each packet (ADTS,
    in MPEG-TS) or by a packet that brings a new configuration; it is looked through to its end.
    """
    codec = reader.sound.codec_context.codec.canonical_name
    if codec not in COPIED_CODECS:
        return False
    with open_container(reader.clip, reader.limits, reader.deadline) as container:
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
        except (av.error.FFmpegError, ValueError):
            return False
    return True


def _packets(container, stream, deadline) -> Iterator:
    """The packets of a stream, to where they are damaged."""
    packets = container.demux(stream)
    while True:
        deadline.check()
        try:
            yield next(packets)
        except (StopIteration, av.error.FFmpegError, IndexError):  # or PyAV found a stream in mid-clip
            return


def _try_packet(container, stream, packet):
    copy = av.Packet(bytes(packet))
    copy.pts, copy.dts, copy.duration, copy.time_base = packet.pts, packet.dts, packet.duration, packet.time_base
    copy.stream = stream
    with contextlib.suppress(av.error.FFmpegError):  # one that is damaged; the others decide
        container.mux(copy)


def _configuration(packet) -> bytes | None:
    """What a packet of AAC says of profile, rate and channels: what it brings, or its ADTS head, or nothing."""
    if packet.has_sidedata("new_extradata"):
        return bytes(packet.get_sidedata("new_extradata"))
    return _adts_settings(packet)


def _adts_settings(packet) -> bytes | None:
    """The bits of a packet's ADTS head that say profile, rate and channels; `None` without such a head."""
    if packet.size < 7:
        return None
    head = bytes(np.frombuffer(packet, np.uint8, 4))
    if int.from_bytes(head[:2], "big") & ADTS_MASK != ADTS_MARK:
        return None
    return bytes((head[2] & 0xFD, head[3] & 0xC0))


class Nowhere(io.RawIOBase):
    """A file that forgets what is written."""

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
