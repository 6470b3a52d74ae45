"""Input and output files of the command `tergan`."""

import os
import sys
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tqdm.auto import tqdm

from ..data.media_files import CLIP, PHOTO, find_media, media_kind, without_media_suffix
from ..model.errors_tergan import TerGanError, is_disk_full
from .errors import said_here
from .outputs import CommandError, check_output, check_outputs, check_photo_name, make_folder


@dataclass(frozen=True)
class Job:
    """A file to work on, whether it is a `PHOTO` or a `CLIP`, and the file to write."""

    source: Path
    kind: str
    output: Path


def existing_path(name: str) -> Path:
    """
    The path of an input.

    Raises:
        CommandError: it does not exist, or is neither a file nor a folder.
    """
    path = Path(name)
    if not name or not os.path.exists(path):
        raise CommandError(f"there is no {name or 'file without a name'}")
    if not path.is_file() and not path.is_dir():
        raise CommandError(f"{name} is neither a file nor a folder")
    return path


def kind_of(path: Path) -> str:
    """Whether a file that the user names is a `PHOTO` or a `CLIP`. Anything else counts as a photo, whose loading says
    what is wrong with it."""
    return media_kind(path) or PHOTO


def list_files(path: Path, kinds: Iterable[str], without: Path | None = None) -> dict[Path, str]:
    """
    The file itself, or all files of these kinds in a folder and its subfolders. Files that are skipped are named on
    the standard error.

    Args:
        without: a file or folder to leave out.

    Returns:
        file → kind.

    Raises:
        CommandError: the folder holds none.
    """
    if path.is_file():
        return {path: kind_of(path)}
    found = find_media(path, kinds, without)
    names = " or ".join(f"{kind}s" for kind in kinds)
    if skipped := found.skipped_sentence(names):
        print(f"tergan: {path}: {skipped}", file=sys.stderr)
    if not found.files:
        raise CommandError(f"{path} holds no file that is one of these: {names}")
    return found.files


def plan_jobs(
    source: str,
    output: str,
    kinds: Iterable[str],
    overwrite: bool = False,
    suffix: str | None = None,
    others: Iterable[Path] = (),
) -> list[Job]:
    """
    Pair every input file with its output file.

    Args:
        source: a file or folder.
        output: a file or folder.
        kinds: of the files to take from a folder.
        overwrite: allow existing outputs to be replaced.
        suffix: of the outputs in a folder; default: `.mp4` for clips, `.png` for photos.
        others: further files that the work reads.

    Raises:
        CommandError: there is no such input, or the output does not fit it.
        MissingFileError, OutputFileError: nothing can be written there.
    """
    path, goal = existing_path(source), Path(output)
    if path.is_dir():
        if os.path.isdir(goal) and goal.samefile(path):
            raise CommandError(f"{output} is the folder of the inputs: choose another one for the results")
        files = list_files(path, kinds, without=goal)
        jobs = [Job(file, files[file], goal / name) for file, name in _output_names(path, files, suffix)]
        check_outputs([job.output for job in jobs], [*files, *others], goal, overwrite)
        return jobs
    kind = kind_of(path)
    ending = suffix or _output_suffix(kind)
    if os.path.isdir(goal) or output.endswith(("/", os.sep)):
        goal = goal / f"{without_media_suffix(path.name)}{ending}"
        check_outputs([goal], [path, *others], goal.parent, overwrite)
        return [Job(path, kind, goal)]
    if (ending == ".mp4") != (goal.suffix.lower() == ".mp4"):
        reason = f"this result is a {suffix} file" if suffix else "a clip becomes .mp4, a photo .png or .jpg"
        raise CommandError(f"the output {output} does not fit {source}: {reason}")
    check_output(goal, [path, *others], overwrite)
    if ending != ".mp4":
        check_photo_name(goal)
    return [Job(path, kind, goal)]


def run_jobs(jobs: list[Job], process: Callable[[Job], None], description: str, quiet: bool = False) -> int:
    """
    Process every job. If there are several, a foreseen error is printed and the other jobs go on; a full disk ends
    all.

    Args:
        process: carries out a job.
        description: of the progress bar.
        quiet: show no progress bar.

    Returns:
        number of failed jobs.
    """
    if len(jobs) == 1:
        make_folder(jobs[0].output.parent)
        process(jobs[0])
        return 0
    failed = 0
    with tqdm(jobs, desc=description, unit="file", disable=quiet) as bar:
        for job in bar:
            try:
                make_folder(job.output.parent)
                process(job)
            except Exception as error:
                if is_disk_full(error):
                    raise
                failed += 1
                bar.write(f"tergan: {said_of(error, job.source)}", file=sys.stderr)
    if failed:
        print(f"tergan: {failed} of {len(jobs)} files failed", file=sys.stderr)
    return failed


def said_of(error: Exception, file: Path) -> str:
    """What to say of an error at one of several files. An unforeseen one does not name the file."""
    return said_here(error) if isinstance(error, TerGanError) else f"{file}: {type(error).__name__}: {error}"


def _output_suffix(kind: str) -> str:
    return ".mp4" if kind == CLIP else ".png"


def _output_names(folder: Path, files: dict[Path, str], suffix: str | None) -> list[tuple[Path, Path]]:
    taken, named = set(), []
    for file, kind in files.items():
        ending = suffix or _output_suffix(kind)
        name = file.relative_to(folder).with_name(without_media_suffix(file.name) + ending)
        whole = file.name
        while _same_name(name) in taken:  # a.png beside a.jpg
            whole += ending
            name = name.with_name(whole)
        taken.add(_same_name(name))
        named.append((file, name))
    return named


def _same_name(path: Path) -> str:
    """The same for names that some file systems do not tell apart."""
    return unicodedata.normalize("NFC", str(path)).casefold()
