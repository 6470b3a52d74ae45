"""Open a local clip so that FFmpeg reads this one file and no other. Needs PyAV (`pip install av`)."""

import os
import stat
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .errors_tergan import MissingFileError, MissingPackageError, VideoInputError, VideoLimitError, shown_name


try:
    import av
except ImportError:  # only videos need it
    av = None  # type: ignore[assignment]


HEAD_BYTES = 1 << 16
MOST_STREAMS = 100
# The first bytes of a file → FFmpeg's demuxer. None of these demuxers opens a second file.
BEGINNINGS = (
    (b"\x1a\x45\xdf\xa3", "matroska"),
    (b"FLV", "flv"),
    (b"OggS", "ogg"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c", "asf"),
    (b".RMF", "rm"),
    (b"GIF8", "gif"),
    (b"DKIF", "ivf"),
    (b"YUV4MPEG2", "yuv4mpegpipe"),
    (b"nut/multimedia container\0", "nut"),
    (b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01", "mxf"),
    (b"\xb7\xd8\x00\x20\x37\x49\xda\x11\xa6\x4e\x00\x07\xe9\x5e\xad\x8d", "wtv"),
    (b"\x1f\x07\x00\x3f", "dv"),
    (b"\x1f\x07\x00\xbf", "dv"),
)
MOV_ATOMS = (b"ftyp", b"styp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"uuid", b"prfl", b"PICT")
RIFF_KINDS = {b"AVI ": "avi", b"AVI\x19": "avi", b"AMV ": "avi", b"ON2f": "avi", b"CDXA": "mpeg"}
TRANSPORT_PACKETS, TRANSPORT_SYNC, TRANSPORT_MINIMUM = (188, 192, 204), 0x47, 5
KINDS = "MP4, MOV, 3GP, MKV, WebM, AVI, WMV, FLV, Ogg, RealMedia, MPEG, MPEG-TS, DV, MXF and GIF"


@dataclass(frozen=True)
class VideoLimits:
    """
    Limits on the work with a clip. `None` sets no limit.

    Args:
        seconds: wall-clock time from opening the clip to its last frame. FFmpeg's reading is interrupted, too.
        pixels: of a frame as stored and as shown. Larger frames are refused before they are decoded.
    """

    seconds: float | None = None
    pixels: int | None = None


class Deadline:
    """
    The wall-clock limit of the work with a clip.

    Args:
        seconds: from now; `None` sets no limit.
        name: of the clip, for messages.
    """

    def __init__(self, seconds: float | None, name: str):
        self.seconds, self.name = seconds, name
        self._end = None if seconds is None else time.monotonic() + seconds

    def remaining(self) -> float | None:
        """Seconds left, at least a millisecond; `None` without a limit."""
        return None if self._end is None else max(0.001, self._end - time.monotonic())

    def check(self):
        """
        Raises:
            VideoLimitError: the time is over.
        """
        if self._end is not None and time.monotonic() > self._end:
            raise self.error()

    def error(self) -> VideoLimitError:
        """The error that says so."""
        return VideoLimitError(f"{self.name}: not done after {self.seconds:g} seconds; take a shorter or smaller clip")


def container_format(head: bytes) -> str | None:
    """
    FFmpeg's demuxer for a file, chosen by content.

    Args:
        head: the first `HEAD_BYTES` of the file, fewer if it is shorter.

    Returns:
        its name, or `None` for playlists, scripts, pictures, text and everything else.
    """
    if head[4:8] in MOV_ATOMS:
        return "mov"
    if head[:4] in (b"RIFF", b"ON2 "):
        return RIFF_KINDS.get(head[8:12])
    for beginning, name in BEGINNINGS:
        if head.startswith(beginning):
            return name
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "apng" if b"acTL" in head.partition(b"IDAT")[0] else None
    if _is_transport_stream(head):
        return "mpegts"
    return _program_stream(head) or _elementary_stream(head)


def _is_transport_stream(head: bytes) -> bool:
    for size in TRANSPORT_PACKETS:
        for start in range(min(size, len(head))):
            marks = head[start : start + 12 * size : size]
            if len(marks) >= TRANSPORT_MINIMUM and marks.count(TRANSPORT_SYNC) == len(marks):
                return True
    return False


def _program_stream(head: bytes) -> str | None:
    start = head.find(b"\0\0\1\xba")
    if 0 <= start < len(head) - 4 and (head[start + 4] & 0xC4 == 0x44 or head[start + 4] & 0xF1 == 0x21):
        return "mpeg"
    return None


def _elementary_stream(head: bytes) -> str | None:
    """The demuxer for video without a container: MPEG-1, MPEG-2, MPEG-4, HEVC or H.264."""
    bare = head[1:] if head.startswith(b"\0\0\0\1") else head
    if not bare.startswith(b"\0\0\1") or len(bare) < 5:
        return None
    unit, following = bare[3], bare[4]
    if unit == 0xB3:
        return "mpegvideo"
    if unit in (0xB0, 0xB5):
        return "m4v"
    if unit in (0x40, 0x42, 0x44, 0x46) and following == 1:
        return "hevc"
    return "h264" if unit < 0x80 and unit & 0x1F in (6, 7, 9) else None


def open_container(clip: Path, limits: VideoLimits, deadline: Deadline):
    """
    Open a clip for reading.

    FFmpeg gets an open file descriptor, so a name such as `pipe:0.mp4` has no meaning. It gets one demuxer, chosen by
    content, and probes no other. It gets no protocol that could open a second file.

    Returns:
        PyAV's container. The caller closes it. Of an MP4 file, `metadata["xmp"]` is the XMP.

    Raises:
        MissingPackageError: PyAV is missing.
        MissingFileError: no such clip.
        VideoInputError: it is no regular file, or no video that can be read.
        VideoLimitError: opening takes longer than `deadline`.
    """
    if av is None:
        raise MissingPackageError('videos need PyAV: pip install "av"')
    name = shown_name(clip)
    with _open_regular_file(clip, name) as file:
        kind = container_format(file.read(HEAD_BYTES))
        if kind is None:
            raise VideoInputError(f"{name} is no video that can be read: take {KINDS}; playlists are not opened")
        file.seek(0)
        options = {"format_whitelist": kind, "max_streams": str(MOST_STREAMS)}
        if os.name == "nt":  # the protocol "fd" needs the C library that Python uses
            address, options["protocol_whitelist"] = f"file:{os.path.abspath(clip)}", "file"
        else:
            address, options["protocol_whitelist"], options["fd"] = "fd:", "fd", str(file.fileno())
        if kind == "mov":
            options |= {"enable_drefs": "0", "use_absolute_path": "0", "export_xmp": "1"}
        if limits.pixels is not None:  # otherwise FFmpeg decodes a few frames before their size can be checked
            options["codec_whitelist"] = _decoders_without_pictures()
        begun, left = time.monotonic(), deadline.remaining()
        try:
            container = av.open(
                address, format=kind, container_options=options, metadata_errors="replace",
                timeout=left and (left / 2, left),  # opening has two parts
            )  # fmt: skip
        except av.error.ExitError:
            raise deadline.error() from None
        except (av.error.FFmpegError, ValueError) as error:
            if left and time.monotonic() - begun >= left / 2:  # some demuxers report the interruption as invalid data
                raise deadline.error() from error
            raise VideoInputError(f"{name} is no video that can be read ({reason(error)})") from error
    return container


def reason(error: Exception) -> str:
    """FFmpeg's words for what went wrong, without file names."""
    return getattr(error, "strerror", None) or str(error)


def _open_regular_file(clip: Path, name: str):
    """Open a regular file. Pipes, devices and sockets are refused unopened: they may block or never end."""
    try:
        mode = os.stat(clip).st_mode
        if stat.S_ISREG(mode):
            # Not blocking: should a pipe take the file's place now, opening it would wait for a writer.
            file = os.fdopen(
                os.open(clip, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb", 0
            )
            mode = os.fstat(file.fileno()).st_mode
            if stat.S_ISREG(mode):
                return file
            file.close()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MissingFileError(f"no such video: {name}") from error
    except (OSError, ValueError) as error:  # a name too long, a zero byte, no permission
        raise VideoInputError(f"{name} cannot be opened ({reason(error)})") from error
    if stat.S_ISDIR(mode):
        raise MissingFileError(f"no such video: {name} is a folder")
    raise VideoInputError(f"{name} is a pipe, a device or a socket; a clip must be a regular file")


@cache
def _decoders_without_pictures() -> str:
    names = []
    for name in av.codecs_available:
        try:
            if av.Codec(name, "r").type != "video":
                names.append(name)
        except (ValueError, RuntimeError):  # an encoder only
            continue
    return ",".join(sorted(names))


__all__ = ["Deadline", "VideoLimits", "container_format", "open_container", "reason"]
