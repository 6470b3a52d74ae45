"""Splits into training and validation that never share a person."""

import hashlib
from pathlib import Path

from datasets import Dataset

from ..model.errors_tergan import InvalidInputError, MissingFileError
from .loading import NO_IDENTITY, STREAM_ROW
from .photo_folder import FILE_NAME
from .tables import read_lines


def split_by_group(
    photos: Dataset,
    column: str = "identity",
    fraction: float = 0.2,
    separator: str | None = None,
    seed: int = 0,
) -> tuple[Dataset, Dataset, list[str]]:
    """
    Keep `fraction` of the groups out of training.

    The choice hashes the name of each group, so it does not depend on row order, machine or the other sets. With a
    separator a row belongs to several groups at once, such as a face blended from two heads. It is validation data if
    any of them is kept out, so nothing of a kept-out group is trained on. A photo of an unknown person is a group of
    its own.

    Args:
        photos: a data set.
        column: column of the groups.
        fraction: share of the groups to keep out.
        separator: separator of several groups in one row. Default: each row has one group.
        seed: seed of the choice.

    Returns:
        training photos, validation photos, the sorted names of the groups kept out.

    Raises:
        InvalidInputError: the column is missing, or a side of the split would be empty.
    """
    groups_of_row = row_groups(photos, column, separator)
    groups = _shuffled_groups(groups_of_row, seed)
    return _keep_out(photos, groups_of_row, set(groups[: round(fraction * len(groups))]), f"{column}' at {fraction}")


def read_names(groups: list[str] | str) -> list[str]:
    """The names of groups, given as a list or as the path of a text file with a name on each line.

    Raises:
        MissingFileError: there is no such file.
    """
    if not isinstance(groups, str):
        for name in groups:
            if not isinstance(name, str):  # YAML reads 007 as 7
                raise InvalidInputError(f"validation_groups: write {name!r} in quotes, as a name")
        return groups
    path = Path(groups)
    if not path.is_file():
        raise MissingFileError(f"validation_groups: there is no file {groups}")
    return read_lines(path)


def split_by_names(
    photos: Dataset, names: list[str], column: str = "identity", separator: str | None = None
) -> tuple[Dataset, Dataset, list[str]]:
    """
    Keep some named groups out of training.

    Args:
        photos: a data set.
        names: names of groups. Those that the data set does not have are ignored, so that several sets share a list.
        column, separator: as for `split_by_group`.

    Returns:
        as `split_by_group`.

    Raises:
        InvalidInputError: the column is missing, or the data set has none of the groups or no others.
    """
    groups_of_row = row_groups(photos, column, separator)
    found = set().union(*groups_of_row) & set(names)
    return _keep_out(photos, groups_of_row, found, f"{column}' by {len(names)} names")


def split_by_fold(
    photos: Dataset, folds: int, fold: int, column: str = "identity", separator: str | None = None, seed: int = 0
) -> tuple[Dataset, Dataset, list[str]]:
    """
    Keep one of `folds` equally large parts of the groups out of training, for cross-validation (eight folds in
    section 4).

    Every group is kept out in exactly one fold. A row of several groups is validation data in the fold of each.

    Args:
        photos: a data set.
        folds: number of parts, 2 or more.
        fold: number of the part to keep out, 0 to `folds` - 1.
        column, separator, seed: as for `split_by_group`.

    Returns:
        as `split_by_group`.

    Raises:
        InvalidInputError: there is no such fold, the column is missing, or a side of the split would be empty.
    """
    if folds < 2 or not 0 <= fold < folds:
        raise InvalidInputError(
            f"there is no fold {fold} of {folds}: folds must be 2 or more, and fold from 0 to folds - 1"
        )
    groups_of_row = row_groups(photos, column, separator)
    groups = _shuffled_groups(groups_of_row, seed)
    return _keep_out(photos, groups_of_row, set(groups[fold::folds]), f"{column}', fold {fold} of {folds},")


def _shuffled_groups(groups_of_row: list[set[str]], seed: int) -> list[str]:
    return sorted(set().union(*groups_of_row), key=lambda name: _hash(f"{seed}:{name}"))


def _keep_out(
    photos: Dataset, groups_of_row: list[set[str]], kept_out: set[str], manner: str
) -> tuple[Dataset, Dataset, list[str]]:
    validation = [index for index, names in enumerate(groups_of_row) if names & kept_out]
    training = [index for index, names in enumerate(groups_of_row) if not names & kept_out]
    if len(set().union(*groups_of_row)) == 1 and len(photos) > 1:
        column = manner.split("'")[0]
        raise InvalidInputError(
            f"all {len(photos)} photos have the same '{column}', so that none can be kept out of training: set "
            "group_column to file_name to keep single photos out, or add photos of other people"
        )
    if not training or not validation:
        raise InvalidInputError(
            f"splitting {len(set().union(*groups_of_row))} groups of '{manner} leaves {len(training)} photos for "
            f"training and {len(validation)} for validation; keep out other groups"
        )
    return photos.select(training), photos.select(validation), sorted(kept_out)


def row_groups(photos: Dataset, column: str, separator: str | None = None) -> list[set[str]]:
    """The groups of each row. A photo of an unknown person is a group of its own, `#row`, and so is every photo if
    `column` is `file_name` and there is no such column.

    Raises:
        InvalidInputError: the column is missing.
    """
    rows = photos[STREAM_ROW] if STREAM_ROW in photos.column_names else range(len(photos))
    if column == FILE_NAME and column not in photos.column_names:
        return [{f"#{row}"} for row in rows]
    if column not in photos.column_names:
        raise InvalidInputError(f"there is no column '{column}' (columns: {', '.join(photos.column_names)})")
    return [
        {f"#{row}"} if value == NO_IDENTITY else set(str(value).split(separator)) if separator else {str(value)}
        for row, value in zip(rows, photos[column])
    ]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
