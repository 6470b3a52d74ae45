"""Anybody's own photos: a folder for each person and expression, or a table."""

import csv
from argparse import ArgumentParser
from pathlib import Path

from ...model.configuration_tergan import EXPRESSIONS_WITH_NEUTRAL
from ..building import BuildError, Plan
from ..dataset_card import SetDescription
from .photographs import (
    PhotoEntry,
    add_cropping_options,
    cropping_of,
    known_expression,
    people_in_order,
    photo_files,
    plan_photos,
)  # fmt: skip


DESCRIPTION = SetDescription(
    name="folder",
    title="Own photos",
    home="https://huggingface.co/docs/datasets",
    licence="Yours: write into the card who may use these photos for what, and that the people shown agreed.",
    licence_id="unknown",
    attribution="",
    citation="",
    layout="identity/expression/*.jpg, or a .csv with the columns file_name, expression and, if known, identity",
)


def add_options(parser: ArgumentParser):
    """Which labels are allowed, and the crops."""
    parser.add_argument(
        "--labels", nargs="*", default=[], metavar="LABEL", help="further expressions, beside the six and neutral"
    )
    add_cropping_options(parser)


def plan(source: Path, options: dict) -> Plan:
    """The plan of a folder or a table; `source` may also be the .csv itself."""
    cropping, labels = cropping_of(options), tuple(label.lower() for label in options.pop("labels"))
    tables = [source] if source.is_file() else sorted(source.glob("*.csv"))
    if len(tables) > 1:
        raise BuildError(f"{source} holds several tables ({', '.join(t.name for t in tables)}): give one as --source")
    root = source.parent if source.is_file() else source
    entries = _from_table(tables[0], labels) if tables else _from_folders(root, labels)
    settings = {"seed": options["seed"], "labels": list(labels)}
    return plan_photos(
        DESCRIPTION, root, people_in_order(entries, options["seed"]), cropping, settings, []
    )  # fmt: skip


def _from_folders(root: Path, labels: tuple[str, ...]) -> list[PhotoEntry]:
    entries = []
    for person in sorted(path for path in root.iterdir() if path.is_dir()):
        for folder in sorted(path for path in person.iterdir() if path.is_dir()):
            files = photo_files(folder)
            if files:
                expression = _checked(folder.name, folder, labels)
                entries += [
                    PhotoEntry(path, path.relative_to(root).as_posix(), person.name, expression) for path in files
                ]
    if not entries:
        raise BuildError(f"{root} holds no photos: expected {DESCRIPTION.layout}")
    return entries


def _from_table(table: Path, labels: tuple[str, ...]) -> list[PhotoEntry]:
    with open(table, newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        lacking = [name for name in ("file_name", "expression") if name not in (rows.fieldnames or [])]
        if lacking:
            found = ", ".join(rows.fieldnames or []) or "none"
            raise BuildError(f"{table} has no column {' and '.join(lacking)} (it has: {found})")
        entries = []
        for number, row in enumerate(rows, start=2):
            if not row["file_name"] or not row["expression"]:
                raise BuildError(f"{table}, line {number}: the file name or the expression is empty")
            expression = _checked(row["expression"], f"{table}, line {number}", labels)
            entries.append(
                PhotoEntry(table.parent / row["file_name"], row["file_name"], row.get("identity") or "", expression)
            )
    if not entries:
        raise BuildError(f"{table} has no rows")
    gone = [entry.file_name for entry in entries if not entry.path.is_file()]
    if gone:
        raise BuildError(f"{table} names {len(gone)} files that are not there, the first is {gone[0]}")
    return entries


def _checked(name: str, where: Path | str, labels: tuple[str, ...]) -> str:
    expression = known_expression(name, labels)
    if expression is None:
        raise BuildError(
            f"{where}: '{name}' is no expression (known: {', '.join((*EXPRESSIONS_WITH_NEUTRAL, *labels))}); expected "
            f"{DESCRIPTION.layout}; --labels allows others"
        )
    return expression
