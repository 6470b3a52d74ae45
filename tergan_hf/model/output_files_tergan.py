"""Write a file whole or not at all."""

import os
import stat
from pathlib import Path

from .atomic_file_tergan import AtomicFile
from .errors_tergan import MissingFileError, OutputFileError


def write_whole(output: str | Path, content: bytes):
    """
    Write a file that appears when it is complete. A pipe or device is written to directly.

    Raises:
        MissingFileError: there is no such folder.
        OutputFileError: the disk is full, or nothing can be written there.
    """
    output = Path(output)
    try:
        if is_stream(output):
            with open(output, "wb") as stream:
                stream.write(content)
            return
        with AtomicFile(output) as file:
            file.stream.write(content)
            file.commit()
    except (MissingFileError, OutputFileError):
        raise
    except OSError as error:
        raise OutputFileError(f"{output} cannot be written ({error.strerror})") from error


def is_stream(path: str | Path) -> bool:
    """Whether a path is a pipe or device, such as /dev/stdout."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)


__all__ = ["is_stream", "write_whole"]
