"""The set `avatars`: rendered people with exactly known expressions, from open 3D heads."""

from argparse import ArgumentParser
from pathlib import Path

from ..data.building import Plan
from ..data.dataset_card import SetDescription
from ..data.packages import optional_packages
from ..data.padded_crops import PADDED_CROP_MARGIN


DESCRIPTION = SetDescription(
    name="avatars",
    title="VALID avatars, rendered",
    home="https://github.com/c-frame/valid-avatars-glb",
    licence="MIT, as the heads (LICENSE beside this file).",
    licence_id="mit",
    attribution=(
        "Made from the VALID avatars (google/valid-avatar-library) by Tiffany Do and others, as glTF files from "
        "c-frame/valid-avatars-glb. The people in the photos do not exist."
    ),
    citation=(
        "@article{do2023valid,\n"
        "  title = {VALID: a perceptually validated virtual avatar library for inclusion and diversity},\n"
        "  author = {Do, Tiffany D. and Zelenty, Steve and Gonzalez-Franco, Mar and McMahan, Ryan P.},\n"
        "  journal = {Frontiers in Virtual Reality},\n  volume = {4},\n  year = {2023}\n}"
    ),
    layout=(
        "a clone (avatars/AIAN/AIAN_F_1_Casual.glb and so on; only the 34 heads of the published weights are used), "
        "or a folder with one .glb file for each head, with facial morph targets"
    ),
)


def add_options(parser: ArgumentParser):
    """Add the options of the rendering."""
    parser.add_argument(
        "--people", type=int, default=300, help="number of people: first each head, then blends (%(default)s)"
    )
    parser.add_argument("--sessions", type=int, default=2, help="sessions per person (%(default)s)")
    parser.add_argument(
        "--expressions", type=int, default=40,
        help="expressions per session, in addition to the neutral face (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--expression-sets", type=int, default=20, help="number of different sets of expressions (%(default)s)"
    )
    parser.add_argument("--size", type=int, default=256, help="side of the photos in pixels (%(default)s)")
    parser.add_argument(
        "--look", default="natural",
        help="natural: shadows, shining eyes, rooms; plain: matt skin in front of one colour (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--exclude", nargs="*", default=[], metavar="HEAD", help="heads to leave out, for validation")
    parser.add_argument(
        "--only", nargs="*", default=[], metavar="HEAD",
        help="render people of these heads alone: with the heads that another set excludes, its validation set",
    )  # fmt: skip
    parser.add_argument("--aligned", action="store_true", help="aligned face crops instead of whole photos")
    parser.add_argument(
        "--margin", type=float, default=PADDED_CROP_MARGIN,
        help="with --aligned: side of the crops relative to the aligned face (%(default)s)",
    )  # fmt: skip


def plan(source: Path, options: dict) -> Plan:
    """Plan the set from a folder of heads.

    Raises:
        BuildError, GltfError: as `plan_avatars`.
        MissingPackageError: numba is not installed.
    """
    with optional_packages("rendering needs", "render"):
        from .avatars import AvatarSettings, plan_avatars
    for name in ("exclude", "only"):
        options[name] = tuple(options[name])
    return plan_avatars(source, AvatarSettings(**options), DESCRIPTION)
