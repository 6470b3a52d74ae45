"""The Face Research Lab London Set: neutral and smiling photographs of 102 adults."""

from argparse import ArgumentParser
from pathlib import Path

from ..building import BuildError, Plan
from ..dataset_card import SetDescription
from ..media_files import text_name
from ..tables import read_csv
from .photographs import (
    PhotoEntry,
    add_cropping_options,
    add_exclude_option,
    photo_files,
    plan_people,
)


DESCRIPTION = SetDescription(
    name="london",
    title="Face Research Lab London Set",
    home="https://figshare.com/articles/dataset/Face_Research_Lab_London_Set/5047666",
    licence=(
        'CC BY 4.0. The people shown gave consent for their photos to be "used in lab-based and web-based studies in '
        'their original or altered forms and to illustrate research".'
    ),
    licence_id="cc-by-4.0",
    attribution="DeBruine, Lisa; Jones, Benedict (2017): Face Research Lab London Set. figshare.",
    citation=(
        "@misc{debruine2017london,\n  title = {Face Research Lab London Set},\n"
        "  author = {DeBruine, Lisa and Jones, Benedict},\n  howpublished = {figshare},\n  year = {2017},\n"
        "  doi = {10.6084/m9.figshare.5047666}\n}"
    ),
    layout=(
        "the published folders neutral_front/ and smiling_front/ with 001_03.jpg and 001_08.jpg, or neutral/001.jpg "
        "and happiness/001.jpg; optionally metadata.csv or london_faces_info.csv beside them"
    ),
)
PEOPLE = 102
FOLDERS = {
    "neutral_front": "neutral", "smiling_front": "happiness", "neutral": "neutral", "happiness": "happiness",
}  # fmt: skip
PERSON_COLUMNS = {"age": ("age", "face_age"), "gender": ("gender", "face_sex"), "ethnicity": ("ethnicity", "face_eth")}
UNKNOWN_PERSON = dict.fromkeys(PERSON_COLUMNS, "")


def add_options(parser: ArgumentParser):
    """Add the cropping options and `--exclude`."""
    add_cropping_options(parser)
    add_exclude_option(parser)


def plan(source: Path, options: dict) -> Plan:
    """Plan the set from the two frontal series.

    Raises:
        BuildError: the source holds no photos of this set, or `--exclude` an unknown name.
    """
    facts, entries = _facts(source), []
    seen: dict = {}
    for folder, expression in FOLDERS.items():
        if not (source / folder).is_dir():
            continue
        for path in photo_files(source / folder):
            number = text_name(path.stem.split("_")[0])
            seen.setdefault(expression, set()).add(number)
            entries.append(PhotoEntry(
                path, text_name(path.relative_to(source).as_posix()), f"london_{number}", expression,
                facts.get(number, UNKNOWN_PERSON),
            ))  # fmt: skip
    if not entries:
        raise BuildError(f"{source} holds no photos of this set: expected {DESCRIPTION.layout}")
    everybody = set().union(*seen.values())
    missing = [f"{PEOPLE - len(everybody)} of {PEOPLE} people"] if len(everybody) < PEOPLE else []
    for expression in ("neutral", "happiness"):
        absent = sorted(everybody - seen.get(expression, set()))
        if absent:
            missing.append(f"{len(absent)} people without a photo of {expression}: {', '.join(absent)}")
    return plan_people(DESCRIPTION, source, entries, options, missing, **dict.fromkeys(PERSON_COLUMNS, "string"))


def _facts(source: Path) -> dict[str, dict]:
    """Read the tables, if there are any: number of the person → age, gender and ethnicity."""
    facts = {}
    for name in ("metadata.csv", "london_faces_info.csv"):
        if (source / name).is_file():
            for _, row in read_csv(source / name, optional=("identity", "face_id", *sum(PERSON_COLUMNS.values(), ()))):
                person = (row.get("identity") or row.get("face_id") or "").removeprefix("london_").lstrip("X")
                facts[person.zfill(3)] = {
                    ours: next((row[name] for name in names if row.get(name)), "")
                    for ours, names in PERSON_COLUMNS.items()
                }
    return facts
