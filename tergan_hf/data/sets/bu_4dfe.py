"""BU-4DFE: 101 people, six recorded expressions each, from neutral to the peak and back."""

from argparse import ArgumentParser
from pathlib import Path

from ..building import Plan
from ..dataset_card import SetDescription
from .recordings import add_recording_options, plan_recordings


DESCRIPTION = SetDescription(
    name="bu-4dfe",
    title="BU-4DFE 3D dynamic facial expression database",
    home="https://www.cs.binghamton.edu/~lijun/Research/3DFE/3DFE_Analysis.html",
    licence=(
        "For research only, under the agreement that every user signs with Binghamton University. The photos and "
        "anything derived from them may not be passed on."
    ),
    licence_id="other",
    attribution="Collected by Binghamton University, State University of New York.",
    citation=(
        "@inproceedings{yin2008high,\n  title = {A high-resolution 3D dynamic facial expression database},\n"
        "  author = {Yin, Lijun and Chen, Xiaochen and Sun, Yi and Worm, Tony and Reale, Michael},\n"
        "  booktitle = {8th IEEE International Conference on Automatic Face and Gesture Recognition},\n"
        "  year = {2008}\n}"
    ),
    layout="F001/Angry/000.jpg (beside 000.wrl), with subjects F001 to F058 and M001 to M043",
)
SUBJECTS = [f"F{number:03d}" for number in range(1, 59)] + [f"M{number:03d}" for number in range(1, 44)]


def add_options(parser: ArgumentParser):
    """Add the options of recordings. The default is the paper's choice, the peak in the middle."""
    add_recording_options(parser, "number of middle frames, at the peak,")


def plan(source: Path, options: dict) -> Plan:
    """Plan the set from a licensed copy."""
    inner = source / "BU_4DFE"
    root = inner if inner.is_dir() else source
    return plan_recordings(DESCRIPTION, root, SUBJECTS, middle_frames, options, {})


def middle_frames(files: list[Path], count: int) -> list[Path]:
    """The `count` frames around the middle of a sequence."""
    start = (len(files) - count) // 2
    return files[start : start + count]
