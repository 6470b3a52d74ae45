"""The photos a model was not trained on, by the `training.yaml` saved beside its weights."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import yaml
from datasets import Dataset

from ..data.loading import (
    HUB_PREFIX,
    NO_EXPRESSION_ID,
    NO_IDENTITY,
    DataSource,
    load_photos,
    parquet_files,
    source_path,
)
from ..data.splits import row_groups
from ..model.errors_tergan import InvalidInputError, MissingFileError


logger = logging.getLogger(__name__)
RECORD = "training.yaml"
TEST_SPLITS = ("test", "private_test")  # beside a validation set


@dataclass
class HeldOutSet:
    """
    Photos to measure a model on.

    Args:
        photos: as `load_photos` gives them.
        source: where they come from.
        kept_out: names of the groups kept out of training; empty where the whole set was.
        training_photos: the other side of the split, to count who was trained on; `None` where it is not there.
    """

    name: str
    photos: Dataset
    source: DataSource
    kept_out: list[str]
    training_photos: Dataset | None = None

    def made_of_kept_out_groups_only(self) -> np.ndarray:
        """(N,) bool: nothing of the photo's groups was trained on. A blend of a kept-out and another head is not."""
        parts = row_groups(self.photos, self.source.group_column, self.source.group_separator)
        return np.array([part <= set(self.kept_out) for part in parts])


def read_record(weights: str | Path) -> dict:
    """
    The arguments of the run that made these weights, and `kept_out`.

    Raises:
        MissingFileError: there is no `training.yaml`.
    """
    record = Path(weights) / RECORD
    if not record.is_file():
        raise MissingFileError(f"{record} is missing: without it nobody knows which people were trained on")
    return yaml.safe_load(record.read_text())


def recorded_sources(record: dict) -> dict[str, DataSource]:
    """name → source, of a run's record."""
    known = {item.name for item in fields(DataSource)}
    return {
        values["name"]: DataSource(**{key: value for key, value in values.items() if key in known})
        for values in record["sources"]
    }


def is_kept_out(photos: Dataset, source: DataSource, kept_out: Iterable[str]) -> np.ndarray:
    """(N,) bool: one of the photo's groups was kept out of training."""
    groups = row_groups(photos, source.group_column, source.group_separator)
    return np.array([not own.isdisjoint(kept_out) for own in groups], dtype=bool)


def held_out_sets(weights: str | Path, data_root: str | Path, names: list[str] | None = None) -> list[HeldOutSet]:
    """
    The other side of the run's split.

    Args:
        weights: folder with `training.yaml`.
        data_root: folder the run's relative data paths start from.
        names: of the sources to read; default: every one that kept somebody out and is there. Others are taken as a
            folder, parquet file or `hub://owner/name` with photos of people the model has never seen, `NAME=PATH` to
            give it a name.

    Returns:
        one entry per set, and one more where a `validation_path` has a test set beside it.

    Raises:
        MissingFileError: the record, or a data set asked for, is not there.
        InvalidInputError: a source asked for kept nobody out; none of the run's sets is there.
    """
    record = read_record(weights)
    sources = recorded_sources(record)
    found = []
    for name in names or sources:
        if name not in sources:
            found.append(_unseen_set(name, data_root))
            continue
        source, kept_out = sources[name], (record.get("kept_out") or {}).get(name) or []
        if source.validation_path is None and not kept_out:
            if names:
                raise InvalidInputError(
                    f"{name}: the training run kept nobody of this set out, there is nothing to measure"
                )
            continue
        try:
            found += _validation_sets(source, data_root) if source.validation_path else [
                _split_again(source, data_root, kept_out)
            ]  # fmt: skip
        except FileNotFoundError as error:
            if names:
                raise
            logger.warning("%s is left out: %s", name, error)
    if not found:
        raise InvalidInputError(f"no data set that {Path(weights) / 'training.yaml'} names is in {data_root}")
    return found


def thin_out(held_out: HeldOutSet, most: int) -> HeldOutSet:
    """
    At most so many photos, always the same ones: the same expression_ids of everybody, each expression equally often; whole
    people where there are no expression_ids; photos at equal distances where nobody is named.
    """
    photos = held_out.photos
    if len(photos) <= most:
        return held_out
    identities, expression_ids = np.array(photos["identity"]), np.array(photos["expression_id"])
    if (expression_ids != NO_EXPRESSION_ID).all():
        expression_of = dict(zip(expression_ids.tolist(), photos["expression"]))
        turn: dict[int, int] = {}
        for expression_id in sorted(expression_of):
            turn[expression_id] = sum(expression_of[earlier] == expression_of[expression_id] for earlier in turn)
        chosen = sorted(turn, key=lambda expression_id: (turn[expression_id], expression_id))[
            : max(2, most // len(set(identities)))
        ]
        rows = np.flatnonzero(np.isin(expression_ids, chosen))
    elif (identities != NO_IDENTITY).all():
        people = sorted(set(identities))
        share = max(2, round(most / len(photos) * len(people)))
        rows = np.flatnonzero(np.isin(identities, people[:share]))
    else:
        rows = np.linspace(0, len(photos) - 1, most).astype(int)
    return replace(held_out, photos=photos.select(rows))


def _validation_sets(source: DataSource, data_root) -> list[HeldOutSet]:
    where = source_path(source.validation_path, data_root)
    sets = [HeldOutSet(source.name, load_photos(where, source.validation_split, **source.extra), source, [])]
    if not where.startswith(HUB_PREFIX):
        folder = Path(where) if Path(where).is_dir() else Path(where).parent
        sets += [
            HeldOutSet(f"{source.name}_{split}", load_photos(str(folder), split), source, [])
            for split in TEST_SPLITS
            if parquet_files(folder, split)
        ]
    return sets


def _split_again(source: DataSource, data_root, kept_out: list[str]) -> HeldOutSet:
    photos = load_photos(source_path(source.path, data_root), source.split, **source.extra)
    outside = is_kept_out(photos, source, kept_out)
    if not outside.any():
        raise InvalidInputError(f"{source.name}: none of the groups kept out of training is in {source.path}")
    held_out, seen = (photos.select(np.flatnonzero(side)) for side in (outside, ~outside))
    return HeldOutSet(source.name, held_out, source, kept_out, seen)


def _unseen_set(wanted: str, data_root) -> HeldOutSet:
    name, separator, path = wanted.rpartition("=")
    if not separator:
        name = Path(path).stem
    where = path if Path(path).exists() else source_path(path, data_root)
    photos = load_photos(where)
    return HeldOutSet(name, photos, DataSource(name=name, path=path), [])
