"""The errors that a caller can do something about. Every message names the input and says what is wrong with it."""

import errno
import os
from pathlib import Path


CROP_HINT = ", or pass detect=False if it is a face crop already"  # of methods with `detect`, to Python's users
_FULL = (errno.ENOSPC, errno.EDQUOT)


def shown_name(path: str | Path) -> str:
    """A path for a message: bytes of it that are no UTF-8 become replacement characters, which can be printed."""
    return os.fsencode(path).decode("utf-8", "replace")


def is_disk_full(error: BaseException | None) -> bool:
    """Whether a full disk or a quota is the cause of an error."""
    while error is not None:
        # Libraries wrap the system's error in their own.
        if (isinstance(error, OSError) and error.errno in _FULL) or "No space left" in str(error):
            return True
        error = error.__cause__
    return False


class TerGanError(Exception):
    """Base class of all errors that this package foresees; a command prints the message and no traceback."""


class InvalidInputError(TerGanError, ValueError):
    """A setting, data set, model folder or argument that cannot be used."""


class MissingFileError(TerGanError, FileNotFoundError):
    """A file or folder that is not there."""


class MissingPackageError(TerGanError, ImportError):
    """An optional package that is not installed; the message says how to install it."""


class ImageInputError(InvalidInputError):
    """An input that is no readable image."""


class VideoInputError(InvalidInputError):
    """A file that is no readable video."""


class VideoLimitError(VideoInputError):
    """A video that is larger, or takes longer, than the caller allows."""


class OutputFileError(TerGanError, OSError):
    """A result that cannot be written: no permission, a full disk, a name that is too long."""


class NoFaceFoundError(InvalidInputError):
    """An image or clip that should show a face and shows none."""


__all__ = [
    "ImageInputError",
    "InvalidInputError",
    "MissingFileError",
    "MissingPackageError",
    "NoFaceFoundError",
    "OutputFileError",
    "TerGanError",
    "VideoInputError",
    "VideoLimitError",
    "is_disk_full",
    "shown_name",
]
