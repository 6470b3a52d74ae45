"""Young Adult White Faces: neutral portraits of young adults, photographed in Canada."""

from argparse import ArgumentParser
from pathlib import Path

from ..building import Plan
from ..dataset_card import SetDescription
from .photographs import (
    add_cropping_options,
    add_exclude_option,
    plan_people,
)
from .portraits_by_name import find_portraits, portrait_entry


DESCRIPTION = SetDescription(
    name="canada",
    title="Young Adult White Faces",
    home="https://doi.org/10.6084/m9.figshare.4220517",
    licence="CC BY.",
    licence_id="cc-by-4.0",
    attribution="DeBruine, Lisa; Jones, Benedict (2017): Young Adult White Faces. figshare.",
    citation=(
        "@misc{debruine2017young,\n  title = {Young Adult White Faces},\n"
        "  author = {DeBruine, Lisa and Jones, Benedict},\n  howpublished = {figshare},\n  year = {2017},\n"
        "  doi = {10.6084/m9.figshare.4220517}\n}"
    ),
    layout="the unchanged portraits 003f.jpg or 095m.jpg in one folder; landmarks (.tem) beside them are not read",
)
FILE_NAME = r"\d{3}[fm]"
GENDERS = {"f": "female", "m": "male"}


def add_options(parser: ArgumentParser):
    """Add the cropping options and `--exclude`."""
    add_cropping_options(parser)
    add_exclude_option(parser)


def plan(source: Path, options: dict) -> Plan:
    """Plan the set from a folder of portraits.

    Raises:
        BuildError: the source holds no photos of this set, or `--exclude` an unknown name.
    """
    entries = [
        portrait_entry(source, path, DESCRIPTION.name, "neutral", gender=GENDERS[path.stem[-1]])
        for path in find_portraits(source, ("",), FILE_NAME, DESCRIPTION)
    ]
    planned = plan_people(DESCRIPTION, source, entries, options, [], gender="string")
    planned.notes.append("The photos have a reddish cast.")
    return planned
