"""Splits that never put one person on both sides."""

import hashlib

from datasets import Dataset

from .loading import NO_IDENTITY


def split_by_group(
    photos: Dataset,
    column: str = "identity",
    fraction: float = 0.2,
    separator: str | None = None,
    seed: int = 0,
) -> tuple[Dataset, Dataset, list[str]]:
    """
    Keep `fraction` of the groups out of training.

    The choice hashes each group's name, so it does not depend on row order, machine, or which other sets are loaded.
    With a separator a row belongs to several groups at once (a face blended from two heads); it is validation data as
    soon as one of them is kept out, so that nothing of a kept-out group is trained on. A photo of
    nobody in particular is a group of its own.

    Returns:
        training photos, validation photos, the sorted names of the groups kept out.

    Raises:
        ValueError: the column is missing, or a side of the split would be empty.
    """
    if column not in photos.column_names:
        raise ValueError(f"cannot split by '{column}' (columns: {', '.join(photos.column_names)})")
    groups_of_row = row_groups(photos, column, separator)
    groups = sorted(set().union(*groups_of_row), key=lambda name: _hash(f"{seed}:{name}"))
    kept_out = set(groups[: round(fraction * len(groups))])
    validation = [index for index, names in enumerate(groups_of_row) if names & kept_out]
    training = [index for index, names in enumerate(groups_of_row) if not names & kept_out]
    if not training or not validation:
        raise ValueError(
            f"splitting {len(groups)} groups of '{column}' at {fraction} leaves {len(training)} photos for training "
            f"and {len(validation)} for validation"
        )
    return photos.select(training), photos.select(validation), sorted(kept_out)


def row_groups(photos: Dataset, column: str, separator: str | None = None) -> list[set[str]]:
    """The groups each row belongs to. A photo of nobody in particular is a group of its own, `#row`."""
    return [
        {f"#{row}"} if value == NO_IDENTITY else set(str(value).split(separator)) if separator else {str(value)}
        for row, value in enumerate(photos[column])
    ]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
