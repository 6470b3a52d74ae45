"""Description and options of the set `clips`: driving clips of portraits and heads with known truth."""

from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path

from ..data.building import Plan
from ..data.packages import optional_packages
from ..portraits import portrait_set
from ..rendering import avatar_set


DESCRIPTION = replace(
    portrait_set.DESCRIPTION,
    name="clips",
    title="Driving clips",
    licence=f"Portraits: {portrait_set.DESCRIPTION.licence} Heads: {avatar_set.DESCRIPTION.licence}",
    citation=f"{portrait_set.DESCRIPTION.citation}\n{avatar_set.DESCRIPTION.citation}",
    layout=f"{portrait_set.DESCRIPTION.layout}; or folders of heads: {avatar_set.DESCRIPTION.layout}",
    unit="frame",
    task_categories=("video-classification", "image-to-image"),
)
SEVERAL_SOURCES = True


def add_options(parser: ArgumentParser):
    """Add the command-line options of the set."""
    portrait_set.add_asset_options(parser, required=False)
    parser.add_argument("--people", type=int, help="number of people or heads of each source (default: all)")
    parser.add_argument(
        "--only", nargs="*", default=[], metavar="PERSON",
        help="people and heads to show, such as london_014, 014 or Black_F_2 (default: all). The smile statistics "
        "leave out all of them. @FILE reads names from the lines of a file",
    )  # fmt: skip
    parser.add_argument(
        "--exclude", nargs="*", default=[], metavar="PERSON",
        help="people and heads to leave out; the smile statistics leave them out too. --only has precedence",
    )  # fmt: skip
    parser.add_argument(
        "--clips", type=int, default=2,
        help="clips per person: the first is a range of motion, in the others the person acts (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--seconds", type=float, default=4.0, help="length of a clip in which a person acts (%(default)s)"
    )
    parser.add_argument("--size", type=int, default=480, help="side of the frames in pixels (%(default)s)")
    parser.add_argument(
        "--margin", type=float, default=2.0, help="side of the frames / side of the aligned face (%(default)s)"
    )


def plan(sources: list[Path], options: dict) -> Plan:
    """
    Plan the set for some folders of portraits or heads.

    Raises:
        BuildError, GltfError, MissingPackageError: as `plan_clips`.
    """
    with optional_packages("clips need", "video"):
        from .clip_planning import plan_clips
        from .clip_settings import ClipSettings
    ict, landmarker = options.pop("ict"), options.pop("landmarker")
    for name in ("only", "exclude"):
        options[name] = tuple(options[name])
    settings = ClipSettings(**options)
    return plan_clips(sources, None if ict is None else Path(ict), Path(landmarker), settings, DESCRIPTION)
