"""Description and options of the set `clips`: driving clips of portraits with known truth."""

from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path

from ..data.building import BuildError, Plan
from ..portraits import portrait_set


DESCRIPTION = replace(
    portrait_set.DESCRIPTION,
    name="clips",
    title="Driving clips of portraits",
    unit="frame",
    task_categories=("video-classification", "image-to-image"),
)
SEVERAL_SOURCES = True


def add_options(parser: ArgumentParser):
    """Add the command-line options of the set."""
    portrait_set.add_asset_options(parser)
    parser.add_argument("--people", type=int, help="number of people of each source (default: all)")
    parser.add_argument(
        "--only", nargs="*", default=[], metavar="PERSON",
        help="people to show, such as london_014 or 014 (default: all). The smile statistics leave out all of them. "
        "@FILE reads names from the lines of a file",
    )  # fmt: skip
    parser.add_argument(
        "--exclude", nargs="*", default=[], metavar="PERSON",
        help="people to leave out; the smile statistics leave them out too. --only has precedence",
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
    """Plan the set for some folders of portraits."""
    try:
        from .clip_planning import ClipSettings, plan_clips
    except ImportError as error:
        raise BuildError(f'clips need the package {error.name}: pip install -e ".[portraits]"') from error
    ict, landmarker = options.pop("ict"), options.pop("landmarker")
    for name in ("only", "exclude"):
        options[name] = tuple(options[name])
    return plan_clips(sources, Path(ict), Path(landmarker), ClipSettings(**options), DESCRIPTION)
