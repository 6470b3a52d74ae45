"""Fit the expression map to the photos that a model was trained on."""

import logging
from pathlib import Path

import numpy as np
from datasets import Dataset
from tqdm.auto import tqdm

from ..data.image_cells import decode
from ..data.loading import load_photos, source_path
from ..model.errors_tergan import MissingFileError, NoFaceFoundError
from ..model.pipeline_tergan import TerGanPipeline
from .expression_map import ExpressionMap
from .held_out import is_kept_out, read_record, recorded_sources


logger = logging.getLogger(__name__)

PHOTOS_PER_EXPRESSION = 60


def fit_map(
    pipe: TerGanPipeline, sources: list[tuple[Dataset, bool]], count: int = PHOTOS_PER_EXPRESSION, seed: int = 0
) -> ExpressionMap:
    """
    Fit the map to the f(e) of photos drawn evenly over expressions and sets.

    Args:
        sources: labelled photos as `load_photos` returns them, and whether their faces must be detected and aligned.
        count: photos of each expression.

    Raises:
        InvalidInputError: there are too few photos.
    """
    random = np.random.default_rng(seed)
    embeddings, labels = [], []
    with tqdm(total=count * len(pipe.labels), desc="f(e) of training photos", unit="photo") as bar:
        for index, expression in enumerate(pipe.labels):
            rows = [np.flatnonzero(np.array(photos["expression"]) == expression) for photos, _ in sources]
            with_expression = [number for number, found in enumerate(rows) if len(found)]
            for number in with_expression:
                photos, detect = sources[number]
                for row in random.permutation(rows[number])[: -(-count // len(with_expression))]:
                    try:
                        embedded = pipe.embed(decode(photos[int(row)]["image"]), detect=detect)
                    except NoFaceFoundError:
                        continue
                    embeddings.append(embedded["expression"])
                    labels.append(index)
                    bar.update()
    return ExpressionMap.fit(np.array(embeddings), np.array(labels), pipe.labels)


def training_photos(weights: str | Path, data_root: str | Path) -> dict[str, tuple[Dataset, bool]]:
    """
    Load the sets that a model was trained on, without the people kept out. `training.yaml` beside the weights names
    them. A missing set is left out with a warning.

    Returns:
        name → (photos, whether their faces must be detected and aligned).

    Raises:
        MissingFileError: there is no `training.yaml`, or none of its sets.
    """
    record = read_record(weights)
    found = {}
    for name, source in recorded_sources(record).items():
        try:
            photos = load_photos(source_path(source.path, data_root), source.split, **source.extra)
        except FileNotFoundError:
            logger.warning("%s is not in %s; it is left out of the map", source.path, data_root)
            continue
        kept_out = record["kept_out"].get(name)
        if kept_out:
            photos = photos.select(np.flatnonzero(~is_kept_out(photos, source, kept_out)))
        found[name] = photos, source.align
    if not found:
        raise MissingFileError(f"none of the sets named in {weights}/training.yaml is in {data_root}")
    return found
