"""Input and output files of the command `tergan`."""

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tqdm.auto import tqdm

from ..model.errors_tergan import InvalidInputError, TerGanError


PHOTOS = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
CLIPS = {".mp4", ".mov", ".m4v", ".webm", ".mkv", ".avi"}
Job = tuple[Path, Path]  # input, output


class CommandError(InvalidInputError):
    """A command that cannot be carried out. The message says why."""


def existing_path(name: str) -> Path:
    """
    The path of an input.

    Raises:
        CommandError: it does not exist.
    """
    path = Path(name)
    if not path.exists():
        raise CommandError(f"there is no {name}")
    return path


def is_clip(path: Path) -> bool:
    """Whether a file is a clip, by the end of its name."""
    return path.suffix.lower() in CLIPS


def list_files(path: Path, kinds: Iterable[str]) -> list[Path]:
    """
    The file itself, or all files of these kinds in a folder and its subfolders.

    Raises:
        CommandError: the folder holds none.
    """
    if path.is_file():
        return [path]
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in kinds and file.is_file())
    if not files:
        raise CommandError(f"{path} holds no file of these kinds: {', '.join(sorted(kinds))}")
    return files


def plan_jobs(source: str, output: str, kinds: set[str], suffix: str | None = None) -> list[Job]:
    """
    Pair every input file with its output file.

    Args:
        source: a file or folder.
        output: a file or folder.
        kinds: of the files to take from a folder.
        suffix: of the outputs in a folder; default: `.mp4` for clips, `.png` for photos.

    Raises:
        CommandError: there is no such input, or the output does not fit it.
    """
    path, goal = existing_path(source), Path(output)
    if path.is_dir():
        jobs = [(file, goal / name) for file, name in _output_names(path, list_files(path, kinds), suffix)]
    else:
        ending = suffix or _output_suffix(path)
        jobs = [(path, goal / f"{path.stem}{ending}" if goal.is_dir() else goal)]
        if (ending == ".mp4") != (jobs[0][1].suffix.lower() == ".mp4"):
            raise CommandError(f"the output {output} does not fit {source}: a clip becomes .mp4, a photo .png or .jpg")
    for file, result in jobs:
        if file.resolve() == result.resolve():
            raise CommandError(f"{file} would be written over itself: choose another output")
        if not path.is_dir() and not result.parent.is_dir():
            raise CommandError(f"no such folder: {result.parent}")
    return jobs


def run_jobs(jobs: list[Job], process: Callable[[Path, Path], None], description: str, quiet: bool = False) -> int:
    """
    Process every job. If there are several, a foreseen error is printed and the other jobs go on.

    Args:
        process: takes the input and the output file.
        description: of the progress bar.
        quiet: show no progress bar.

    Returns:
        number of failed jobs.
    """
    if len(jobs) == 1:
        process(*jobs[0])
        return 0
    failed = 0
    with tqdm(jobs, desc=description, unit="file", disable=quiet) as bar:
        for file, output in bar:
            output.parent.mkdir(parents=True, exist_ok=True)
            try:
                process(file, output)
            except TerGanError as error:
                failed += 1
                bar.write(f"tergan: {error}", file=sys.stderr)
    if failed:
        print(f"tergan: {failed} of {len(jobs)} files failed", file=sys.stderr)
    return failed


def _output_suffix(file: Path) -> str:
    return ".mp4" if is_clip(file) else ".png"


def _output_names(folder: Path, files: list[Path], suffix: str | None) -> Iterator[Job]:
    taken = set()
    for file in files:
        ending = suffix or _output_suffix(file)
        name = file.relative_to(folder).with_suffix(ending)
        if name in taken:  # a.png beside a.jpg
            name = name.with_name(file.name + ending)
        taken.add(name)
        yield file, name
