"""Your own photos: a folder for each person and expression, or a table. Any label is allowed."""

import csv
from argparse import ArgumentParser
from pathlib import Path

from ..building import BuildError, Plan
from ..dataset_card import SetDescription
from .photographs import (
    PhotoEntry,
    add_cropping_options,
    cropping_of,
    normalize_expression,
    people_in_order,
    photo_files,
    plan_photos,
)


DESCRIPTION = SetDescription(
    name="folder",
    title="Own photos",
    home="https://huggingface.co/docs/datasets",
    licence="Yours: write into the card who may use these photos for what purpose, and that the people shown agreed.",
    licence_id="unknown",
    attribution="",
    citation="",
    layout="identity/expression/*.jpg, or a .csv with the columns file_name, expression and, if known, identity",
)


def add_options(parser: ArgumentParser):
    """Add the cropping options."""
    add_cropping_options(parser)


def plan(source: Path, options: dict) -> Plan:
    """Plan the set from a folder or a table. `source` may also be the table itself.

    Raises:
        BuildError: there are no photos, the table is incomplete, or it names missing files.
    """
    cropping = cropping_of(options)
    tables = [source] if source.is_file() else sorted(source.glob("*.csv"))
    if len(tables) > 1:
        raise BuildError(
            f"{source} holds several tables ({', '.join(t.name for t in tables)}): choose one as --source"
        )
    root = source.parent if source.is_file() else source
    entries = _from_table(tables[0]) if tables else _from_folders(root)
    people = people_in_order(entries, options["seed"])
    return plan_photos(DESCRIPTION, root, people, cropping, {"seed": options["seed"]}, [])


def _from_folders(root: Path) -> list[PhotoEntry]:
    """List the photos of `root/identity/expression/`."""
    entries = [
        PhotoEntry(path, path.relative_to(root).as_posix(), person.name, normalize_expression(folder.name))
        for person in _folders(root)
        for folder in _folders(person)
        for path in photo_files(folder)
    ]
    if not entries:
        raise BuildError(f"{root} holds no photos: expected {DESCRIPTION.layout}")
    return entries


def _folders(parent: Path) -> list[Path]:
    """The folders in a folder, without hidden ones."""
    return sorted(path for path in parent.iterdir() if path.is_dir() and not path.name.startswith("."))


def _from_table(table: Path) -> list[PhotoEntry]:
    """Read the rows of a table."""
    with open(table, newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        lacking = [name for name in ("file_name", "expression") if name not in (rows.fieldnames or [])]
        if lacking:
            found = ", ".join(rows.fieldnames or []) or "none"
            raise BuildError(f"{table} has no column {' and '.join(lacking)} (it has: {found})")
        entries = []
        for number, row in enumerate(rows, start=2):
            expression = normalize_expression(row["expression"] or "")
            if not row["file_name"] or not expression:
                raise BuildError(f"{table}, line {number}: the file name or the expression is empty")
            path = table.parent / row["file_name"]
            entries.append(PhotoEntry(path, row["file_name"], row.get("identity") or "", expression))
    if not entries:
        raise BuildError(f"{table} has no rows")
    absent = [entry.file_name for entry in entries if not entry.path.is_file()]
    if absent:
        raise BuildError(f"{table} names {len(absent)} files that do not exist, the first is {absent[0]}")
    return entries
