"""Prepare the data sources of a run: load, split, crop and label them."""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from datasets import Dataset

from ..model.errors_tergan import InvalidInputError, MissingFileError
from .loading import NO_IDENTITY, DataSource, load_photos
from .padded_crops import make_padded_crops
from .people import file_digests, shared_people
from .photo_set import PhotoSet, label_photo_sets
from .splits import read_names, split_by_fold, split_by_group, split_by_names


if TYPE_CHECKING:  # evaluation needs no accelerate
    from accelerate import Accelerator

logger = logging.getLogger(__name__)


@dataclass
class PreparedSets:
    """
    The prepared sets of a run.

    Args:
        training: sets to train on.
        validation: sets to validate on.
        identities: names of the people in `training`, in the order of their indices.
        kept_out: name of a source → groups kept out of training.
    """

    training: list[PhotoSet]
    validation: list[PhotoSet]
    identities: list[str]
    kept_out: dict[str, list[str]]


def prepare_sets(
    accelerator: "Accelerator", sources: list[DataSource], resolve, expressions: list[str], image_size: int, seed: int
) -> PreparedSets:
    """
    Load, split, crop and label every source. The main process goes first, and the others read its cache.

    Args:
        accelerator: of the run.
        sources: the sources.
        resolve: maps the path of a source to the path to open.
        expressions: labels in the order of the classes.
        image_size: side of the network's input in pixels.
        seed: seed of the split.

    Raises:
        MissingFileError: a source does not exist. The message names the source.
        InvalidInputError: a source cannot be used. The message names the source.
    """
    training, validation, kept_out = {}, {}, {}
    with accelerator.main_process_first():
        for source in sources:
            try:
                kept, held_out, kept_out[source.name] = load_split(source, resolve, image_size, seed)
                training[source.name] = kept
                if held_out is not None:
                    validation[source.name] = held_out
            except MissingFileError as error:
                raise MissingFileError(f"source '{source.name}': {error}") from error
            except InvalidInputError as error:
                raise InvalidInputError(f"source '{source.name}': {error}") from error
            logger.info("%s: kept out of training: %s", source.name, ", ".join(kept_out[source.name]) or "none")
            in_one_folder = source.validation_path in (None, source.path)
            if held_out is not None and (shared := shared_people(held_out, kept, in_one_folder, file_digests)):
                logger.warning(
                    "%s: %d people are in training and in validation (%s …): what is measured on them says little "
                    "about strangers", source.name, len(shared), min(shared),
                )  # fmt: skip
            unnamed = list(kept["identity"]).count(NO_IDENTITY)
            if 0 < unnamed < len(kept):
                logger.warning(
                    "%s: %d of %d photos have no identity, so G_et and stage 2 do not use this set", source.name,
                    unnamed, len(kept),
                )  # fmt: skip
    weights = {source.name: (source.weight, source.pair_weight) for source in sources}
    training_sets, identities = label_photo_sets(training, expressions, weights)
    validation_sets, _ = label_photo_sets(validation, expressions, weights) if validation else ([], [])
    for photos in training_sets + validation_sets:
        logger.info("%s: %d photos", photos.name, len(photos))
    return PreparedSets(training_sets, validation_sets, identities, kept_out)


def load_split(source: DataSource, resolve, image_size: int, seed: int) -> tuple[Dataset, Dataset | None, list[str]]:
    """
    Load and crop one source and separate its validation photos. A stream is cropped first and split afterwards.

    Returns:
        training photos, validation photos (`None` if the source asks for none), the groups kept out of training.
    """

    def load(path: str, split: str):
        photos = load_photos(resolve(path), split, source.streaming, **source.extra)
        return crop(photos) if source.streaming else photos

    def crop(photos):
        return make_padded_crops(photos, image_size, source.align, source.name)

    photos, held_out, kept_out = split_source(source, load, seed)
    if not source.streaming:
        photos, held_out = crop(photos), None if held_out is None else crop(held_out)
    return photos, held_out, kept_out


def split_source(source: DataSource, load, seed: int) -> tuple[Dataset, Dataset | None, list[str]]:
    """
    Load one source with `load(path, split)` and separate its validation photos.

    Returns:
        as `load_split`.
    """
    if source.path.endswith(".parquet") and source.validation_path == source.path:
        raise InvalidInputError(
            f"{source.path} is a single file, which has no split `validation`: name another file as validation_path, "
            "or a validation_fraction"
        )
    photos = load(source.path, source.split)
    if source.validation_path is not None:
        return photos, load(source.validation_path, source.validation_split), []
    if source.folds:
        return split_by_fold(photos, source.folds, source.fold, source.group_column, source.group_separator, seed)
    if source.validation_groups:
        names = read_names(source.validation_groups)
        return split_by_names(photos, names, source.group_column, source.group_separator)
    if not source.validation_fraction:
        return photos, None, []
    return split_by_group(photos, source.group_column, source.validation_fraction, source.group_separator, seed)
