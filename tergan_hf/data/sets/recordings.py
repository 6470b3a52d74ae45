"""Shared code of the importers of recorded sequences (Oulu-CASIA, BU-4DFE): subject/expression/frames."""

from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path

from ...model.configuration_tergan import BASIC_EXPRESSIONS
from ..building import BuildError, Plan
from ..dataset_card import SetDescription
from ..media_files import text_name
from .photographs import (
    PhotoEntry,
    add_cropping_options,
    cropping_of,
    known_expression,
    people_in_order,
    photo_files,
    plan_photos,
)


def add_recording_options(parser: ArgumentParser, frames: str):
    """Add the options of sets of recordings."""
    parser.add_argument("--frames", type=int, default=3, help=f"{frames} of each sequence (%(default)s)")
    parser.add_argument("--neutral", action="store_true", help="add the first frame of each sequence as neutral")
    add_cropping_options(parser)


def plan_recordings(
    description: SetDescription,
    root: Path,
    subjects: list[str],
    choose: Callable[[list[Path], int], list[Path]],
    options: dict,
    settings: dict,
) -> Plan:
    """
    Plan a set from `root/subject/expression/frame`.

    Args:
        description: of the set.
        root: folder of the subjects.
        subjects: all subjects of the whole set. Missing subjects and sequences are reported.
        choose: chooses from the frames of a sequence the given number that show the expression.
        options: options on the command line.
        settings: further options to record.

    Raises:
        BuildError: nothing of the set is there.
    """
    cropping, frames, neutral = cropping_of(options), options["frames"], options["neutral"]
    if frames < 1:
        raise BuildError(f"--frames must be 1 or more, not {frames}")
    people, missing = _find_subjects(description, root, subjects)
    entries = []
    for subject, folders in people.items():
        for expression in BASIC_EXPRESSIONS:
            if expression not in folders:
                missing.append(f"{subject}: no sequence of {expression}")
                continue
            files = photo_files(folders[expression])
            if len(files) < frames + neutral:
                missing.append(f"{subject}: {len(files)} frames of {expression}, {frames + neutral} needed")
                continue
            chosen = [(path, expression) for path in choose(files, frames)]
            chosen += [(files[0], "neutral")] if neutral else []
            for path, label in chosen:
                entries.append(PhotoEntry(
                    path, text_name(path.relative_to(root).as_posix()), f"{description.name}_{subject}", label,
                    {"sequence": f"{subject}/{expression}", "frame": files.index(path)},
                ))  # fmt: skip
    if not entries:
        raise BuildError(
            f"{root} has no sequence of at least {frames + neutral} frames: expected {description.layout}"
        )
    return plan_photos(
        description, root, people_in_order(entries, options["seed"]), cropping,
        {"seed": options["seed"], "frames": frames, "neutral": neutral, **settings}, missing,
        sequence="string", frame="int32",
    )  # fmt: skip


def _find_subjects(description: SetDescription, root: Path, subjects: list[str]) -> tuple[dict, list[str]]:
    """Find the sequences: subject → expression → folder, and sentences about missing subjects."""
    there = {path.name.upper(): path for path in root.iterdir() if path.is_dir()}
    absent = [subject for subject in subjects if subject not in there]
    if len(absent) == len(subjects):
        raise BuildError(
            f"{root} holds none of the subjects {subjects[0]} to {subjects[-1]}: expected {description.layout}"
        )
    people = {}
    for subject in subjects:
        if subject in there:
            folders = {known_expression(path.name): path for path in there[subject].iterdir() if path.is_dir()}
            people[subject] = {label: path for label, path in sorted(folders.items(), key=str) if label}
    missing = [f"{len(absent)} of {len(subjects)} subjects: {', '.join(absent)}"] if absent else []
    return people, missing
