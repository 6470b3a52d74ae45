"""Write a file that appears under its name only when it is complete."""

import contextlib
import os
import secrets
import shutil
import stat
import time
from pathlib import Path

from .errors_tergan import MissingFileError, OutputFileError, shown_name


try:
    import fcntl
except ImportError:  # Windows does not let others delete a file that is open
    fcntl = None  # type: ignore[assignment]


PREFIX, SUFFIX = ".tergan-", ".part"
YOUNG_SECONDS = 60  # a file that young may be about to be locked


class AtomicFile:
    """
    A file that gets its name in `commit`. Use it in a `with` statement.

    On Linux the file has no name until then (`O_TMPFILE`), so nothing remains of it after an exception, Ctrl-C,
    SIGTERM or a power cut. Other systems and some file systems cannot do this. There, the file has a short hidden name
    in the same folder and is locked while it is written. An exception and Ctrl-C remove it. The next `AtomicFile` in
    the folder removes what a killed process left.

    Args:
        output: the file's name. An older file of that name stays until `commit`.

    Attributes:
        stream: to write to and seek in.

    Raises:
        MissingFileError: there is no such folder.
        OutputFileError: nothing can be written there, or not under this name.
    """

    def __init__(self, output: Path):
        self.output = output
        self._name: Path | None = None
        try:
            if not output.parent.is_dir():
                raise MissingFileError(f"no such folder: {shown_name(output.parent)}")
            with contextlib.suppress(FileNotFoundError):
                if stat.S_ISDIR(os.lstat(output).st_mode):
                    raise OutputFileError(f"{shown_name(output)} is a folder; name a file to write")
            remove_leftovers(output.parent)
            self.stream = self._open()
        except (MissingFileError, OutputFileError):
            raise
        except (OSError, ValueError) as error:
            raise self._error(error) from error

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):  # a full disk; the error that said so is under way
            self.stream.close()
        if self._name is not None:
            self._name.unlink(missing_ok=True)

    def commit(self):
        """
        Give the file its name.

        Raises:
            OutputFileError: the disk is full, or the folder is gone.
        """
        try:
            self.stream.flush()
            os.fsync(self.stream.fileno())
            if self._name is None:
                self._give_name()
            self.stream.close()
            self._name.replace(self.output)
            self._name = None
        except OSError as error:
            raise self._error(error) from error

    def _give_name(self):
        """Link the nameless file to a hidden name, from which it can be renamed over an older file."""
        self._name = self._new_name()
        folder = os.open(self.output.parent, os.O_PATH)
        try:
            # os.link follows the link in /proc only if it is given folders.
            source = f"/proc/self/fd/{self.stream.fileno()}"
            os.link(source, self._name.name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=True)
        except OSError:  # a system that keeps /proc from us
            self.stream.seek(0)
            with open(self._name, "xb") as copy:
                shutil.copyfileobj(self.stream, copy)
        finally:
            os.close(folder)

    def _open(self):
        if hasattr(os, "O_TMPFILE") and os.path.isdir("/proc/self/fd"):
            with contextlib.suppress(OSError):  # this file system cannot
                return os.fdopen(os.open(self.output.parent, os.O_TMPFILE | os.O_RDWR, 0o666), "w+b")
        name = self._new_name()
        stream = open(name, "x+b")  # noqa: SIM115 (closed by __exit__)
        self._name = name
        if fcntl is not None:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return stream

    def _new_name(self) -> Path:
        return self.output.with_name(f"{PREFIX}{secrets.token_hex(8)}{SUFFIX}")

    def _error(self, error: Exception) -> OutputFileError:
        reason = getattr(error, "strerror", None) or error
        return OutputFileError(f"{shown_name(self.output)} cannot be written ({reason})")


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


def remove_leftovers(folder: Path):
    """Remove unfinished files of killed processes."""
    if fcntl is None:
        return
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(PREFIX) and entry.name.endswith(SUFFIX):
                with contextlib.suppress(OSError):
                    _remove_if_left(entry)


def _remove_if_left(entry: os.DirEntry):
    if not entry.is_file(follow_symlinks=False) or time.time() - entry.stat().st_mtime < YOUNG_SECONDS:
        return
    with open(entry.path, "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # an error while somebody writes it
        os.unlink(entry.path)


__all__ = ["AtomicFile", "is_stream", "remove_leftovers", "write_whole"]
