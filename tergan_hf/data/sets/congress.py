"""Portraits of members of the US Congress, without labels. A table of your own can label them."""

from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path

from ..building import BuildError, Plan
from ..dataset_card import SetDescription
from ..tables import read_csv
from .photographs import (
    PhotoEntry,
    add_cropping_options,
    add_exclude_option,
    cropping_of,
    exclude_people,
    normalize_expression,
    people_in_order,
    plan_photos,
)
from .portraits_by_name import find_portraits, portrait_entry


DESCRIPTION = SetDescription(
    name="congress",
    title="Portraits of members of the US Congress",
    home="https://github.com/unitedstates/images",
    licence=(
        "Public domain in the United States. The people shown are named public figures: models are trained on them, "
        "and nobody ever depicts them, in their own or in an altered expression."
    ),
    licence_id="other",
    attribution=(
        "Photos by the US Government Publishing Office, collected by the @unitedstates project (unitedstates/images) "
        "and packed by Hainish/congress-images-225x275."
    ),
    citation="",
    layout=(
        "A000014.jpg, named by Bioguide id, in the folder itself, in images/ (congress-images-225x275), or in a clone "
        "of unitedstates/images, of which the largest photos are taken: congress/original, 450x550 or 225x275"
    ),
)
SIZES = ("original", "450x550", "225x275")  # the largest first
FOLDERS = ("", *SIZES, *(f"congress/{size}" for size in SIZES), "images")
FILE_NAME = r"[A-Z]\d{6}"
NO_LABEL = ""


def add_options(parser: ArgumentParser):
    """Add the cropping options, `--exclude` and `--labels`."""
    add_cropping_options(parser)
    add_exclude_option(parser)
    parser.add_argument(
        "--labels", metavar="TABLE",
        help="your labels, a .csv with the columns identity and expression; people without a label are left out",
    )  # fmt: skip


def plan(source: Path, options: dict) -> Plan:
    """Plan the set from a folder of portraits.

    Raises:
        BuildError: the source holds no photos of this set, `--exclude` or the table an unknown name.
    """
    cropping = cropping_of(options)
    files = find_portraits(source, FOLDERS, FILE_NAME, DESCRIPTION)
    entries = [portrait_entry(source, path, DESCRIPTION.name, NO_LABEL) for path in files]
    entries = exclude_people(entries, options["exclude"])
    settings = {"seed": options["seed"], "exclude": options["exclude"]}
    if options["labels"]:
        table = Path(options["labels"])
        entries, notes = _label(entries, table, options["exclude"])
        settings["labels"] = table.name
    else:
        notes = [
            "The photos have no labels, so `expression` is empty: they train no class. Give them labels with "
            "`--labels TABLE`. `python -m tergan_hf.data portraits` needs none."
        ]
    notes.append("Most people smile with parted lips. Most are older, white and male.")
    people = people_in_order(entries, options["seed"])
    planned = plan_photos(DESCRIPTION, source, people, cropping, settings, [])
    planned.notes = notes
    planned.source += [f"{entry.file_name} is {entry.expression}" for entry in entries if entry.expression]
    return planned


def _label(entries: list[PhotoEntry], table: Path, excluded: list[str]) -> tuple[list[PhotoEntry], list[str]]:
    """Label people by a table. Returns those with a label, sentences for the card.

    Raises:
        BuildError: the table is missing or incomplete, or names unknown people.
    """
    if not table.is_file():
        raise BuildError(f"there is no {table}: expected a .csv with the columns identity and expression")
    labels: dict[str, str] = {}
    for line, row in read_csv(table, ("identity", "expression")):
        label = normalize_expression(row["expression"])
        if labels.setdefault(row["identity"], label) != label:
            raise BuildError(f"{table}, line {line}: {row['identity']} has another label in a line before")
    people = {entry.identity for entry in entries}
    unknown = sorted(set(labels) - people - set(excluded))
    if unknown:
        raise BuildError(
            f"{table} names people who are not in the source: {', '.join(unknown[:5])}; people are named like "
            f"{', '.join(sorted(people)[:3])}"
        )
    labelled = [
        replace(entry, expression=labels[entry.identity]) for entry in entries if labels.get(entry.identity, NO_LABEL)
    ]
    if not labelled:
        raise BuildError(f"{table} labels nobody in the source")
    left_out = len(entries) - len(labelled)
    return labelled, [f"The labels are those of {table.name}; {left_out} people without a label are left out."]
