"""Your own photos: a folder for each person and expression, or a table. Any label is allowed."""

from argparse import ArgumentParser
from pathlib import Path

from ..building import RECORD, BuildError, Plan
from ..dataset_card import UNKNOWN_LICENCE, SetDescription
from ..media_files import FoundMedia, text_name
from ..tables import NamedFiles, read_csv
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
    licence_id=UNKNOWN_LICENCE,
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
    tables = [source] if source.is_file() else _tables(source)
    if len(tables) > 1:
        raise BuildError(
            f"{source} holds several tables ({', '.join(t.name for t in tables)}): choose one as --source"
        )
    root = source.parent if source.is_file() else source
    entries, missing = (_from_table(tables[0]), []) if tables else _from_folders(root)
    people = people_in_order(entries, options["seed"])
    return plan_photos(DESCRIPTION, root, people, cropping, {"seed": options["seed"]}, missing)


def _tables(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() == ".csv" and not path.name.startswith("."))


def _from_folders(root: Path) -> tuple[list[PhotoEntry], list[str]]:
    """List the photos of `root/identity/expression/`, and name the files that are left out in a sentence."""
    entries, others = [], FoundMedia()
    people = _folders(root)
    for place in (root, *people):  # photos there belong to no expression
        others.skipped += [text_name(path.relative_to(root).as_posix()) for path in photo_files(place)]
    for person in people:
        for folder in _folders(person):
            photos = photo_files(folder)
            others.skipped += [
                text_name(path.relative_to(root).as_posix())
                for path in sorted(set(folder.iterdir()) - set(photos))
                if not path.name.startswith(".")
            ]
            entries += [
                PhotoEntry(
                    path, text_name(path.relative_to(root).as_posix()), text_name(person.name),
                    normalize_expression(text_name(folder.name)),
                )
                for path in photos
            ]  # fmt: skip
    if not entries:
        raise BuildError(f"{root} holds no photos: expected {DESCRIPTION.layout}")
    skipped = others.skipped_sentence("photos in a folder IDENTITY/EXPRESSION")
    return entries, [skipped] if skipped else []


def _folders(parent: Path) -> list[Path]:
    """The folders in a folder, without hidden ones and without sets that were built there."""
    return sorted(
        path
        for path in parent.iterdir()
        if path.is_dir() and not path.name.startswith(".") and not (path / RECORD).is_file()
    )


def _from_table(table: Path) -> list[PhotoEntry]:
    """Read the rows of a table."""
    files, entries = NamedFiles(table), []
    for line, row in read_csv(table, ("file_name", "expression"), ("identity",)):
        expression = normalize_expression(row["expression"])
        if not row["file_name"] or not expression:
            raise BuildError(f"{table}, line {line}: the file name or the expression is empty")
        if Path(row["file_name"]).is_absolute():
            raise BuildError(
                f"{table}, line {line}: {row['file_name']} is an absolute path, which would become part of the set: "
                "name files relative to the table"
            )
        path = files.find(line, row["file_name"])
        entries.append(PhotoEntry(path, row["file_name"], row.get("identity", ""), expression))
    if not entries:
        raise BuildError(f"{table} has no rows")
    return entries
