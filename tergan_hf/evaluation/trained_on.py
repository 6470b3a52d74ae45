"""Which people and photos of a set a run was trained on."""

import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from datasets import Dataset

from ..data.loading import HUB_PREFIX, NO_IDENTITY, DataSource, load_photos, parquet_files
from ..data.splits import row_groups
from ..model.errors_tergan import InvalidInputError, MissingFileError


logger = logging.getLogger(__name__)


def is_kept_out(photos: Dataset, source: DataSource, kept_out: Iterable[str]) -> np.ndarray:
    """(N,) bool: at least one group of the photo was kept out of training."""
    groups = row_groups(photos, source.group_column, source.group_separator)
    return np.array([not own.isdisjoint(kept_out) for own in groups], dtype=bool)


def is_at(path: str, place: str) -> bool:
    """Whether a set is a source of a run, or a file in its folder."""
    if path.startswith(HUB_PREFIX) or place.startswith(HUB_PREFIX):
        return path == place
    return Path(place).resolve() in (Path(path).resolve(), *Path(path).resolve().parents)


def is_training_split(path: str, place: str, split: str) -> bool:
    """Whether a set is the training split of the source at `place`: its folder or file, or the only file of that split
    in its folder."""
    if path == place or path.startswith(HUB_PREFIX) or place.startswith(HUB_PREFIX):
        return path == place
    files = parquet_files(place, split) if Path(place).is_dir() else []
    return Path(path).resolve() in (Path(place).resolve(), *(Path(file).resolve() for file in files))


def load_training_side(source: DataSource, place: str, kept_out: set[str]) -> Dataset | None:
    """The photos of a source that a run trained on; `None` if they are a stream, on the Hub, not here, or cannot be
    read."""
    if source.streaming or place.startswith(HUB_PREFIX):
        return None
    try:
        photos = load_photos(place, source.split, **source.extra)
    except MissingFileError:
        return None
    except InvalidInputError as error:
        logger.warning("photos are not compared with those of %s: %s", source.name, error)
        return None
    if not kept_out:
        return photos
    return photos.select(np.flatnonzero(~is_kept_out(photos, source, kept_out)))


def named_in(photos: Dataset, source: DataSource, kept_out: set[str]) -> set[str]:
    """The identities of the photos that a source's split keeps out."""
    if source.group_column not in photos.column_names:
        return set()
    rows = np.flatnonzero(is_kept_out(photos, source, kept_out))
    identities = photos["identity"]
    return {identities[int(row)] for row in rows}


def has_unnamed(photos: Dataset) -> bool:
    """Whether any photo shows an unknown person."""
    return NO_IDENTITY in photos["identity"]
