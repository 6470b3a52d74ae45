"""The photos that a model was not trained on, according to the `training.yaml` beside its weights."""

import logging
from dataclasses import dataclass, fields, replace
from functools import partial
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
from ..data.people import pixel_digests, shared_people
from ..data.splits import row_groups
from ..model.errors_tergan import InvalidInputError, MissingFileError
from .trained_on import (
    has_unnamed,
    is_at,
    is_kept_out,
    is_training_split,
    load_training_side,
    named_in,
)


logger = logging.getLogger(__name__)
RECORD = "training.yaml"
TEST_SPLITS = ("test", "private_test")  # measured, too, if their files are beside the validation set


@dataclass
class HeldOutSet:
    """
    Photos to measure a model on.

    Args:
        name: of the set.
        photos: as `load_photos` returns them.
        source: where they come from.
        kept_out: names of the groups kept out of training; empty if the whole set was kept out.
        training_photos: the other side of the split; `None` if it is missing.
        duplicates: number of photos of unknown people that are left out because the training split has exactly the
            same pixels; `None` if the two were not compared.
    """

    name: str
    photos: Dataset
    source: DataSource
    kept_out: list[str]
    training_photos: Dataset | None = None
    duplicates: int | None = None

    def has_only_kept_out_groups(self) -> np.ndarray:
        """(N,) bool: all groups of the photo were kept out. A face blended from a kept-out and another head is not."""
        groups = row_groups(self.photos, self.source.group_column, self.source.group_separator)
        return np.array([own <= set(self.kept_out) for own in groups])


def read_record(weights: str | Path) -> dict:
    """
    Read the arguments of the run that trained these weights, and `kept_out`.

    Raises:
        MissingFileError: there is no `training.yaml`.
    """
    record = Path(weights) / RECORD
    if not record.is_file():
        raise MissingFileError(f"{record} is missing: it names the people who were kept out of training")
    return yaml.safe_load(record.read_text())


def recorded_sources(record: dict) -> dict[str, DataSource]:
    """The sources of a run's record by name."""
    known = {item.name for item in fields(DataSource)}
    return {
        values["name"]: DataSource(**{key: value for key, value in values.items() if key in known})
        for values in record["sources"]
    }


def held_out_sets(weights: str | Path, data_root: str | Path, names: list[str] | None = None) -> list[HeldOutSet]:
    """
    Load the held-out side of a run's split.

    Args:
        weights: folder with `training.yaml`.
        data_root: relative data paths of the run start here.
        names: sources of the run to load; default: every available source that kept somebody out. Any other name is a
            folder, parquet file or `hub://owner/name` with people that the model has never seen; `NAME=PATH` names it.
            People, and photos of unknown people, that the run trained on are left out. The training split of a source
            with a `validation_path` stands for that source.

    Returns:
        one entry per set, and one more for each test set beside a `validation_path`. If its photos name no people,
        those with the same pixels as a photo of the training split are left out.

    Raises:
        MissingFileError: the record or a requested set is missing.
        InvalidInputError: a requested source kept nobody out, a requested set has only people that the run trained
            on, two sets have the same name, or none of the run's sets is available.
    """
    record = read_record(weights)
    sources = recorded_sources(record)
    found: list[HeldOutSet] = []
    for name in names or sources:
        if name not in sources:
            _add(found, _unseen_sets(name, data_root, record))
            continue
        source, kept_out = sources[name], (record.get("kept_out") or {}).get(name) or []
        if source.validation_path is None and not kept_out:
            if names:
                raise InvalidInputError(
                    f"{name}: the training run kept nobody of this set out, so there is nothing to measure"
                )
            continue
        try:
            _add(
                found,
                _validation_sets(source, data_root)
                if source.validation_path
                else [_repeat_split(source, data_root, kept_out)],
            )
        except FileNotFoundError as error:
            if names:
                raise
            logger.warning("%s is left out: %s", name, error)
    if not found:
        raise InvalidInputError(f"no data set that {Path(weights) / RECORD} names is in {data_root}")
    return found


def _add(found: list[HeldOutSet], sets: list[HeldOutSet]):
    """Add sets, which need names of their own: figures and numbers are kept by name."""
    if taken := {held_out.name for held_out in found} & {held_out.name for held_out in sets}:
        raise InvalidInputError(f"two sets have the name {min(taken)}: name one of them NAME=PATH")
    found += sets


def subsample(held_out: HeldOutSet, most: int) -> HeldOutSet:
    """
    Take at most `most` photos, always the same ones.

    If everybody has the same expression ids, take the same ids of everybody, every expression equally often. Else take
    whole people. If somebody is not named, take photos at equal distances.
    """
    photos = held_out.photos
    if len(photos) <= most:
        return held_out
    identities, expression_ids = np.array(photos["identity"]), np.array(photos["expression_id"])
    if (identities == NO_IDENTITY).any():
        rows = np.linspace(0, len(photos) - 1, most).astype(int)
        return replace(held_out, photos=photos.select(rows))
    people = sorted(set(identities.tolist()))
    if (expression_ids != NO_EXPRESSION_ID).all():
        expressions = dict(zip(expression_ids.tolist(), photos["expression"]))
        # The rank of an id among those of the same expression.
        ranks: dict[int, int] = {}
        for expression_id in sorted(expressions):
            ranks[expression_id] = sum(expressions[earlier] == expressions[expression_id] for earlier in ranks)
        by_rank = sorted(ranks, key=lambda expression_id: (ranks[expression_id], expression_id))
        chosen = by_rank[: max(2, most // len(people))]
        shown = set(zip(identities.tolist(), expression_ids.tolist()))
        # With several sets of expressions, hardly any id but that of neutral is everybody's.
        if all((name, expression_id) in shown for name in people for expression_id in chosen):
            return replace(held_out, photos=photos.select(np.flatnonzero(np.isin(expression_ids, chosen))))
    count = max(2, round(most / len(photos) * len(people)))
    rows = np.flatnonzero(np.isin(identities, people[:count]))
    return replace(held_out, photos=photos.select(rows))


def _validation_sets(source: DataSource, data_root) -> list[HeldOutSet]:
    path = source_path(str(source.validation_path), data_root)
    sets = [HeldOutSet(source.name, load_photos(path, source.validation_split, **source.extra), source, [])]
    if path.startswith(HUB_PREFIX):
        return sets
    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    sets += [
        HeldOutSet(f"{source.name}_{split}", load_photos(str(folder), split), source, [])
        for split in TEST_SPLITS
        if parquet_files(folder, split)
    ]
    if source.streaming or source.path.startswith(HUB_PREFIX):
        return sets
    try:
        training = load_photos(source_path(source.path, data_root), source.split, **source.extra)
    except MissingFileError as error:
        logger.warning("%s: photos that the training split has too are not left out: %s", source.name, error)
        return sets
    in_one_folder = source.validation_path == source.path
    digests = partial(pixel_digests, name=source.name)
    sets = [
        _without_people(held_out, shared_people(held_out.photos, training, in_one_folder, digests))
        for held_out in sets
    ]
    if not any(has_unnamed(held_out.photos) for held_out in sets):
        return [replace(held_out, training_photos=training) for held_out in sets]
    known = set(pixel_digests(training, f"{source.name}, training split"))
    return [replace(_without_duplicates(held_out, known), training_photos=training) for held_out in sets]


def _without_people(held_out: HeldOutSet, known: set[str]) -> HeldOutSet:
    """Leave out the people of the training split."""
    rows = [row for row, name in enumerate(held_out.photos["identity"]) if name not in known]
    if len(rows) == len(held_out.photos):
        return held_out
    if not rows:
        raise InvalidInputError(f"{held_out.name}: the training split has every person of this set")
    logger.warning(
        "%s: %d photos of people whom the training split has are left out", held_out.name,
        len(held_out.photos) - len(rows),
    )  # fmt: skip
    return replace(held_out, photos=held_out.photos.select(rows))


def _without_duplicates(held_out: HeldOutSet, known: set[bytes]) -> HeldOutSet:
    """Leave out the photos whose pixels are among those of the training split."""
    digests = pixel_digests(held_out.photos, held_out.name)
    rows = [row for row, digest in enumerate(digests) if digest not in known]
    if not rows:
        raise InvalidInputError(f"{held_out.name}: the training split has the same pixels as every photo of this set")
    return replace(held_out, photos=held_out.photos.select(rows), duplicates=len(digests) - len(rows))


def _repeat_split(source: DataSource, data_root, kept_out: list[str]) -> HeldOutSet:
    photos = load_photos(source_path(source.path, data_root), source.split, **source.extra)
    held_out_rows = is_kept_out(photos, source, kept_out)
    if not held_out_rows.any():
        raise InvalidInputError(f"{source.name}: none of the groups kept out of training is in {source.path}")
    held_out, training = (photos.select(np.flatnonzero(rows)) for rows in (held_out_rows, ~held_out_rows))
    return HeldOutSet(source.name, held_out, source, kept_out, training)


def _unseen_sets(dataset: str, data_root, record: dict) -> list[HeldOutSet]:
    name, separator, path = dataset.rpartition("=")
    if not separator or Path(dataset).exists():
        path = dataset
        name = Path(path).stem
    path = path if Path(path).exists() else source_path(path, data_root)
    for source in recorded_sources(record).values():
        if source.validation_path and _is_source(name, path, source, data_root):
            return _validation_sets(source, data_root)
    photos = load_photos(path)
    known, pixels = _trained_on(name, path, photos, data_root, record)
    source = DataSource(name=name, path=path)
    held_out = HeldOutSet(name, photos, source, [])
    if known:
        identities = photos["identity"]
        rows = [row for row, identity in enumerate(identities) if identity not in known]
        if not rows:
            raise InvalidInputError(
                f"{name}: the weights were trained on all {len(known)} people of this set, so there is nothing to "
                "measure; benchmarks/folds.py trains and tests on different people of a set"
            )
        logger.warning("%s: %d people whom the weights were trained on are left out", name, len(known))
        rest = sorted({identities[row] for row in rows} - {NO_IDENTITY})
        held_out = HeldOutSet(name, photos.select(rows), source, rest)
    return [held_out if pixels is None else _without_duplicates(held_out, pixels)]


def _is_source(name: str, path: str, source: DataSource, data_root) -> bool:
    """
    Whether a set is a source with a `validation_path`. A file in its folder that is no training split is not.

    Raises:
        InvalidInputError: the set has the source's name, and lies somewhere else.
    """
    place, validation = (source_path(str(own), data_root) for own in (source.path, source.validation_path))
    if is_training_split(path, place, source.split):
        return True
    if name == source.name and not is_at(path, place) and not is_at(path, validation):
        raise InvalidInputError(
            f"{path}: the run trained on a set named {name}. `--dataset {name}` measures its validation photos, from "
            f"{validation}; if this is another set, name it NAME=PATH"
        )
    return False


def _trained_on(name: str, path: str, photos: Dataset, data_root, record: dict) -> tuple[set[str], set[bytes] | None]:
    """
    What of a set a run trained on.

    A set that has the name or the place of a source of the run is that source: only the people kept out of it are new.
    In a set with another name, people are the same if an identity and the pixels of a photo are.

    Returns:
        the people; and if the set has photos of unknown people, the `pixel_digests` of all photos trained on that are
        here.
    """
    people, unnamed = set(photos["identity"]) - {NO_IDENTITY}, has_unnamed(photos)
    known: set[str] = set()
    pixels: set[bytes] | None = None
    for source in recorded_sources(record).values():
        kept_out = set((record.get("kept_out") or {}).get(source.name) or [])
        place = source_path(source.path, data_root)
        is_this = source.validation_path is None and (source.name == name or is_at(path, place))
        if is_this:
            known |= people - named_in(photos, source, kept_out)
        if not unnamed and (is_this or not people):
            continue
        training = load_training_side(source, place, kept_out)
        if training is None:
            continue
        if people and not is_this:
            known |= shared_people(photos, training, is_at(path, place), partial(pixel_digests, name=source.name))
        if unnamed:
            pixels = (pixels or set()) | set(pixel_digests(training, f"{source.name}, training split"))
    return known, pixels
