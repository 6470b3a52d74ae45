"""What a public server takes on, and the messages about what it does not."""

import time
import warnings
from pathlib import Path

from PIL import Image

from ..model.errors_tergan import InvalidInputError
from ..model.video_tergan import VideoLimits, clip_seconds


MAX_FILE_SIZE = "20mb"
MAX_PIXELS = 60_000_000
MAX_CLIP_SECONDS = 20
MAX_FRAMES = 900
MAX_WORK_SECONDS = 240
MAX_HEAD_SECONDS = 10  # to look at a clip's head
MAX_FRAME_PIXELS = 4096 * 2304
# For the pipeline's uses of clips: they hold while FFmpeg reads and decodes, too, between two frames.
CLIP_LIMITS = VideoLimits(seconds=MAX_WORK_SECONDS, pixels=MAX_FRAME_PIXELS)
MAX_FACES = 12  # of one photo, the largest
MAX_WAITING = 64
FILES_KEPT_SECONDS = 1800
CHECK_FILES_EVERY = 300
STATE_KEPT_SECONDS = 1800
STREAM_SECONDS = 120


class LimitError(InvalidInputError):
    """More than this server takes on. The message says how much that is."""


def check_photo(path: str, what: str):
    """
    Look at a photo's head, before it is read.

    Raises:
        LimitError: it has too many pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as opened:
                pixels = opened.width * opened.height
    except Image.DecompressionBombError:
        pixels = 10 * MAX_PIXELS
    except Exception:  # whatever is wrong with it, reading it will say so
        return
    if pixels > MAX_PIXELS:
        raise LimitError(
            f"{what}: the photo is too large for this server, which takes up to {MAX_PIXELS // 10**6} megapixels. "
            "Reduce it, or use the Python package"
        )


def check_clip(path: str):
    """
    Look at a clip's head, before it is worked on.

    Raises:
        LimitError: it is too long.
        VideoLimitError: its frames are too large, or its head takes too long to read.
        VideoInputError: it is no video.
    """
    seconds = clip_seconds(path, VideoLimits(seconds=MAX_HEAD_SECONDS, pixels=MAX_FRAME_PIXELS))
    if seconds is not None and seconds > MAX_CLIP_SECONDS + 0.5:
        shown = f"{seconds:.0f} seconds" if seconds < 100 else f"{seconds / 60:.0f} minutes"
        raise LimitError(
            f"clip: it is {shown} long; this server takes up to {MAX_CLIP_SECONDS} seconds. Cut it, or use `tergan` "
            "on your own machine"
        )


class Allowance:
    """Counts the frames and seconds of one piece of work; call it with every frame.

    Raises:
        LimitError: it has been too many. (A clip's head may say less than there is.)
    """

    def __init__(self):
        self.started, self.frames = time.monotonic(), 0

    def __call__(self):
        self.frames += 1
        if self.frames > MAX_FRAMES:
            raise LimitError(f"clip: it has more than {MAX_FRAMES} frames, which is what this server takes")
        if time.monotonic() - self.started > MAX_WORK_SECONDS:
            raise LimitError(f"clip: it took longer than {MAX_WORK_SECONDS} seconds; try a shorter or smaller one")


def stem_of(path: str) -> str:
    """A download's name, after the photo's."""
    return Path(path).stem[:60] or "photo"
