"""Limits of a public server, and the messages for inputs beyond them."""

import time
from collections.abc import Callable
from pathlib import Path

from ..model.errors_tergan import InvalidInputError
from ..model.image_loading_tergan import open_unlimited
from ..model.video_tergan import VideoLimits, clip_seconds
from .zero_gpu import CLIP_SECONDS, ON_ZERO_GPU


MAX_FILE_SIZE = "20mb"
MAX_FILE_SIZE_BYTES = 20 * 1024 * 1024  # the same
LEAST_FREE_BYTES = 500_000_000  # of the disk, below which no file is taken
FETCH_SECONDS = 20  # for a file that is named by its address
MAX_PIXELS = 60_000_000
MAX_CLIP_SECONDS = 20
MAX_FRAMES = 900
MAX_WORK_SECONDS = CLIP_SECONDS - 10 if ON_ZERO_GPU else 240
MAX_HEADER_SECONDS = 10  # to read the header of a clip
MAX_CLIP_FRAME_PIXELS = 4096 * 2304
# For the pipeline's uses of clips. They also hold while FFmpeg reads and decodes, between two frames.
CLIP_LIMITS = VideoLimits(seconds=MAX_WORK_SECONDS, pixels=MAX_CLIP_FRAME_PIXELS)
MAX_FACES = 12  # the largest ones of a photo
MAX_WAITING = 64  # events in line for one kind of work
MAX_WAITING_OF_ADDRESS = 48
MAX_WAITING_OF_VISITOR = 12
MAX_CLIPS_WAITING_OF_VISITOR = 2
MAX_CLIPS_WAITING_OF_ADDRESS = 8
MAX_WAITING_IN_ALL = 1000
MAX_FRAME_PIXELS = 10_000_000  # of a webcam
MAX_FRAME_BYTES = 6_000_000
MAX_VALUES = 200  # of sliders
MAX_REQUEST_BYTES = 10_000_000  # apart from uploads
MAX_VALUES_OF_REQUEST = 200_000
MAX_FORM_BYTES = 1_000_000  # around the file of an upload
MAX_UNREAD_MESSAGES = 500  # of a session that asks and does not listen
MAX_MCP_REQUEST_BYTES = 60_000_000  # two photos in base64
MAX_SESSIONS = 300
FILES_KEPT_SECONDS = 1800
CHECK_FILES_EVERY = 300  # seconds
STATE_KEPT_SECONDS = 1800
CLOSED_SESSION_KEPT_SECONDS = 300  # a page that lost its connection comes back
STATELESS_SESSION_KEPT_SECONDS = 10
FORGET_SESSIONS_EVERY = 20  # seconds
UNREAD_SECONDS = 30  # after which an event whose messages nobody reads is dropped
LOOK_FOR_LEFT_EVERY = 5  # seconds
STREAM_SECONDS = 120


class LimitError(InvalidInputError):
    """An input beyond the limits of this server. The message names the limit."""


def check_photo(path: str, name: str):
    """
    Check the size of a photo by its header, before it is read.

    Args:
        name: of the photo in messages.

    Raises:
        LimitError: the photo has too many pixels.
    """
    pixels = photo_pixels(path)
    if pixels is not None and pixels > MAX_PIXELS:
        raise LimitError(
            f"{name}: the photo is too large for this server, which takes up to {MAX_PIXELS // 10**6} megapixels. "
            "Reduce it, or use the Python package"
        )


def photo_pixels(path: str) -> int | None:
    """The number of pixels that the header of a photo declares, `None` if it cannot be read."""
    try:
        with open_unlimited(path) as opened:
            return opened.width * opened.height
    except Exception:  # reading the photo gives the message
        return None


def check_clip(path: str):
    """
    Check the length of a clip by its header.

    Raises:
        LimitError: the clip is too long.
        VideoLimitError: its frames are too large, or its header takes too long to read.
        VideoInputError: the file is not a video.
    """
    seconds = clip_seconds(path, VideoLimits(seconds=MAX_HEADER_SECONDS, pixels=MAX_CLIP_FRAME_PIXELS))
    if seconds is not None and seconds > MAX_CLIP_SECONDS + 0.5:
        length = f"{seconds:.0f} seconds" if seconds < 100 else f"{seconds / 60:.0f} minutes"
        raise LimitError(
            f"clip: it is {length} long; this server takes up to {MAX_CLIP_SECONDS} seconds. Cut it, or use `tergan` "
            "on your own machine"
        )


class Allowance:
    """
    A budget of frames and seconds for one clip. Call it once per frame; a clip may be longer than its header says.

    Args:
        has_left: whether the visitor has left, so that nobody waits for the clip.

    Raises:
        LimitError: the budget is used up, or the visitor has left.
    """

    def __init__(self, has_left: Callable[[], bool]):
        self.has_left, self.started, self.frames = has_left, time.monotonic(), 0

    def __call__(self):
        if self.has_left():
            raise LimitError("the work was ended because its visitor has left")
        self.frames += 1
        if self.frames > MAX_FRAMES:
            raise LimitError(f"clip: it has more than {MAX_FRAMES} frames, the most that this server takes")
        if time.monotonic() - self.started > MAX_WORK_SECONDS:
            raise LimitError(f"clip: it took longer than {MAX_WORK_SECONDS} seconds. Try a shorter or smaller one")


def file_stem(path: str) -> str:
    """The start of a download's file name, taken from the photo's."""
    return Path(path).stem[:60] or "photo"
