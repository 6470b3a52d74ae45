"""A folder in which one process works at a time."""

from pathlib import Path

from filelock import FileLock, Timeout

from ..model.errors_tergan import InvalidInputError, OutputFileError


LOCK = ".lock"  # file in the folder


def lock_folder(folder: Path, output: str = "--output_dir") -> FileLock:
    """
    Make a folder and lock it for this process.

    Args:
        output: the option that chooses the folder, for messages.

    Returns:
        the lock; it lasts as long as the process or until it is released.

    Raises:
        InvalidInputError: another process works there.
        OutputFileError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise InvalidInputError(
            f"another run is working in {folder}: wait for it, or choose another {output}"
        ) from error
    except OSError as error:
        raise OutputFileError(f"nothing can be written to {folder} ({error.strerror or error})") from error
    return lock
