"""Check before the work that results can be written and destroy nothing."""

import os
from collections.abc import Iterable
from pathlib import Path

from ..model.atomic_file_tergan import AtomicFile, is_stream
from ..model.errors_tergan import InvalidInputError, OutputFileError
from ..model.provenance_tergan import KINDS


class CommandError(InvalidInputError):
    """A command that cannot be carried out. The message says why."""


def check_output(output: Path, inputs: Iterable[Path], overwrite: bool = False):
    """
    Check that a result can be written, and destroys nothing.

    Args:
        inputs: all files that the work reads. None of them may be written over, under any name.
        overwrite: allow an existing result to be replaced.

    Raises:
        CommandError: the result would replace an input, or another file without `overwrite`.
        MissingFileError: there is no such folder.
        OutputFileError: nothing can be written there.
    """
    if _file_id(output) is not None and _file_id(output) in {_file_id(path) for path in inputs}:
        raise CommandError(f"{output} is one of the inputs and would be written over itself: choose another output")
    if is_stream(output):
        return
    if os.path.isdir(output):
        raise CommandError(f"{output} is a folder: name a file to write")
    if os.path.lexists(output):
        if not overwrite:
            raise CommandError(f"{output} exists already: add --overwrite, or choose another output")
        if os.path.exists(output) and not os.access(output, os.W_OK):
            raise OutputFileError(f"{output} is protected from being changed: choose another output")
    with AtomicFile(output):  # never committed: only whether it could be
        pass


def check_outputs(outputs: list[Path], inputs: Iterable[Path], folder: Path, overwrite: bool = False):
    """
    Check all results of a folder, as `check_output` does. `folder` and folders in it need not exist.

    Raises:
        CommandError, OutputFileError: as `check_output`.
    """
    input_ids = {_file_id(path) for path in inputs}
    existing = [path for path in outputs if os.path.lexists(path)]
    for path in existing:
        if _file_id(path) in input_ids - {None}:
            raise CommandError(f"{path} is one of the inputs and would be written over itself: choose another output")
        if os.path.isdir(path):
            raise CommandError(f"{path} is a folder: a result would have the same name")
    if existing and not overwrite:
        raise CommandError(
            f"{len(existing)} of {len(outputs)} results exist already, the first is {existing[0]}: "
            "add --overwrite, or choose another output"
        )
    check_writable_folder(folder)


def check_writable_folder(folder: str | Path):
    """
    Check that files can be written into a folder, or that it can be made.

    Raises:
        CommandError: it is a file, or below a file.
        OutputFileError: nothing can be written there.
    """
    above = Path(os.path.abspath(folder))
    while not os.path.lexists(above):
        above = above.parent
    if not above.is_dir():
        raise CommandError(f"{above} is not a folder, so that nothing can be written to {folder}")
    try:
        with AtomicFile(above / "result"):
            pass
    except OutputFileError as error:
        reason = getattr(error.__cause__, "strerror", None) or error
        raise OutputFileError(f"nothing can be written to {folder} ({reason})") from error


def make_folder(folder: Path):
    """
    Make a folder and those above it.

    Raises:
        OutputFileError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputFileError(f"{folder} cannot be made ({error.strerror})") from error


def check_photo_name(output: Path):
    """
    Check that pictures can be saved under this name.

    Raises:
        CommandError: its ending is that of another kind of file.
    """
    if output.suffix.lower() not in KINDS:
        raise CommandError(f"pictures are saved as .png, .jpg or .webp, got {output.name!r}")


def _file_id(path: Path) -> tuple[int, int] | None:
    """The same for all names of a file: symbolic and hard links, and upper and lower case on disks that do not tell
    them apart."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino
