"""The set `posed`: rendered people who pose the six basic expressions, an open stand-in for Oulu-CASIA."""

from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path

from ..data.building import Plan
from ..data.packages import optional_packages
from ..data.padded_crops import PADDED_CROP_MARGIN
from .avatar_set import DESCRIPTION as HEADS


DESCRIPTION = replace(
    HEADS,
    name="posed",
    title="Posed expressions of rendered people, laid out as Oulu-CASIA",
    attribution=HEADS.attribution + " It replaces no recording: nobody posed these expressions.",
)


def add_options(parser: ArgumentParser):
    """Add the options of the set. The defaults have Oulu-CASIA's numbers as the paper uses it."""
    parser.add_argument("--people", type=int, default=80, help="number of people (%(default)s)")
    parser.add_argument(
        "--groups", type=int, default=8,
        help="groups of heads; a person is blended from heads of one group, so groups share no person and no head "
        "(%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--frames", type=int, default=3, help="frames of each sequence to keep, the last ones (%(default)s)"
    )
    parser.add_argument(
        "--sequence-frames", type=int, default=20, help="frames from neutral to the apex (%(default)s)"
    )
    parser.add_argument(
        "--weakest", type=float, default=0.75,
        help="least intensity of an apex; 1 is the full expression (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--size", type=int, default=128, help="side of the pictures in pixels (%(default)s)")
    parser.add_argument(
        "--margin", type=float, default=PADDED_CROP_MARGIN,
        help="side of the pictures / side of the aligned face (%(default)s)",
    )  # fmt: skip


def plan(source: Path, options: dict) -> Plan:
    """Plan the set from a folder of heads.

    Raises:
        BuildError, GltfError: as `plan_posed`.
        MissingPackageError: numba is not installed.
    """
    with optional_packages("rendering needs", "render"):
        from .posed import PosedSettings, plan_posed
    return plan_posed(source, PosedSettings(**options), DESCRIPTION)
