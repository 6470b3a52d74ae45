"""Shared code of the importers of portraits: one photo of each person, who is named by its file."""

import re
from pathlib import Path

from ..building import BuildError
from ..dataset_card import SetDescription
from .photographs import PhotoEntry, photo_files


def find_portraits(source: Path, folders: tuple[str, ...], name: str, description: SetDescription) -> list[Path]:
    """
    Find the portraits in the first of some folders that has any.

    Args:
        source: the folder of the source.
        folders: folders below `source`, "" for itself.
        name: pattern of the files' names, without suffix.
        description: of the set, for the error.

    Raises:
        BuildError: no folder has portraits.
    """
    for folder in (source / folder for folder in folders):
        files = [path for path in photo_files(folder) if re.fullmatch(name, path.stem)] if folder.is_dir() else []
        if files:
            return files
    raise BuildError(f"{source} holds no photos of this set: expected {description.layout}")


def portrait_entry(source: Path, path: Path, set_name: str, expression: str, **extra: str) -> PhotoEntry:
    """The entry of a portrait. The person is `SET_FILE`, for example `canada_003f`."""
    return PhotoEntry(path, path.relative_to(source).as_posix(), f"{set_name}_{path.stem}", expression, extra)
