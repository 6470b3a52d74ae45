"""From a run's data sources to cropped, labelled, split sets."""

import logging
from dataclasses import dataclass

from accelerate import Accelerator
from datasets import Dataset

from ..model.errors_tergan import InvalidInputError, MissingFileError
from .loading import DataSource, load_photos
from .padded_crops import make_padded_crops
from .photo_set import PhotoSet, label_photo_sets
from .splits import split_by_fold, split_by_group


logger = logging.getLogger(__name__)


@dataclass
class PreparedSets:
    """Training and validation sets, the names of the people trained on in the order of their indices, and for each set
    the groups kept out of training."""

    training: list[PhotoSet]
    validation: list[PhotoSet]
    identities: list[str]
    kept_out: dict[str, list[str]]


def prepare_sets(
    accelerator: Accelerator, sources: list[DataSource], resolve, expressions: list[str], image_size: int, seed: int
) -> PreparedSets:
    """
    Load, frame, split and label every source. The main process does the work first, the others read its cache.

    Args:
        resolve: turns a source's path into the one to open.
        seed: of the split.

    Raises:
        MissingFileError, ValueError: as the steps raise them.
    """
    training, validation, kept_out = {}, {}, {}
    with accelerator.main_process_first():
        for source in sources:
            try:
                photos, held_out, kept_out[source.name] = load_split(source, resolve, image_size, seed)
                training[source.name] = photos
                if held_out is not None:
                    validation[source.name] = held_out
            except FileNotFoundError as error:
                raise MissingFileError(f"source '{source.name}': {error}") from error
            except ValueError as error:
                raise InvalidInputError(f"source '{source.name}': {error}") from error
            logger.info("%s: kept out of training: %s", source.name, ", ".join(kept_out[source.name]) or "nobody")
    weights = {source.name: (source.weight, source.pair_weight) for source in sources}
    training_sets, identities = label_photo_sets(training, expressions, weights)
    validation_sets, _ = label_photo_sets(validation, expressions, weights) if validation else ([], [])
    for chips in training_sets + validation_sets:
        logger.info("%s: %d photos", chips.name, len(chips))
    return PreparedSets(training_sets, validation_sets, identities, kept_out)


def load_split(source: DataSource, resolve, image_size: int, seed: int) -> tuple[Dataset, Dataset | None, list[str]]:
    """
    Load and frame one source and keep its validation photos apart. A stream is cropped as it comes and split then.

    Returns:
        training photos, validation photos (`None` where the source asks for none), the groups kept out.
    """

    def load(path: str, split: str):
        photos = load_photos(resolve(path), split, source.streaming, **source.extra)
        return frame(photos) if source.streaming else photos

    def frame(photos):
        return make_padded_crops(photos, image_size, source.align, source.name)

    photos, held_out, kept_out = split_source(source, load, seed)
    if not source.streaming:
        photos, held_out = frame(photos), None if held_out is None else frame(held_out)
    return photos, held_out, kept_out


def split_source(source: DataSource, load, seed: int) -> tuple[Dataset, Dataset | None, list[str]]:
    """
    Load one source with `load(path, split)` and keep its validation photos apart.

    Returns:
        training photos, validation photos (`None` where the source asks for none), the groups kept out.
    """
    photos = load(source.path, source.split)
    if source.validation_path is not None:
        return photos, load(source.validation_path, source.validation_split), []
    if source.folds:
        return split_by_fold(
            photos, source.folds, source.fold, source.group_column, source.group_separator, seed
        )  # fmt: skip
    if not source.validation_fraction:
        return photos, None, []
    return split_by_group(photos, source.group_column, source.validation_fraction, source.group_separator, seed)
