"""From a run's data sources to framed, labelled, split sets."""

import logging
from dataclasses import dataclass

from accelerate import Accelerator

from .framing import frame_photos
from .loading import DataSource, load_photos
from .sampling import Chips, label_chips
from .splits import split_by_group


logger = logging.getLogger(__name__)


@dataclass
class PreparedSets:
    """Training and validation sets, and the names of the people trained on in the order of their indices."""

    training: list[Chips]
    validation: list[Chips]
    identities: list[str]


def prepare_sets(
    accelerator: Accelerator, sources: list[DataSource], resolve, expressions: list[str], image_size: int, seed: int
) -> PreparedSets:
    """
    Load, frame, split and label every source. The main process does the work first, the others read its cache.

    Args:
        resolve: turns a source's path into the one to open.
        seed: of the split.

    Raises:
        FileNotFoundError, ValueError: as the steps raise them.
    """
    training, validation = {}, {}
    with accelerator.main_process_first():
        for source in sources:
            photos = load_photos(resolve(source.path), source.split, **source.extra)
            framed = frame_photos(photos, image_size, source.align)
            if source.validation_path is not None:
                training[source.name] = framed
                held_out = load_photos(resolve(source.validation_path), "train", **source.extra)
                validation[source.name] = frame_photos(held_out, image_size, source.align)
            elif source.validation_fraction:
                training[source.name], validation[source.name], groups = split_by_group(
                    framed, source.group_column, source.validation_fraction, source.group_separator, seed
                )
                logger.info("%s: kept out of training: %s", source.name, ", ".join(groups))
            else:
                training[source.name] = framed
    weights = {source.name: (source.weight, source.pair_weight) for source in sources}
    training_sets, identities = label_chips(training, expressions, weights)
    validation_sets, _ = label_chips(validation, expressions, weights) if validation else ([], [])
    for chips in training_sets + validation_sets:
        logger.info("%s: %d photos", chips.name, len(chips))
    return PreparedSets(training_sets, validation_sets, identities)
