"""The photos a model was not trained on, by the `training.yaml` saved beside its weights."""

from dataclasses import fields
from pathlib import Path

import yaml
from datasets import Dataset

from ..data.loading import DataSource, load_photos
from ..data.splits import split_by_group


def held_out_photos(weights: str | Path, data_root: str | Path) -> dict[str, tuple[Dataset, DataSource, list[str]]]:
    """
    Repeat the run's split.

    Args:
        weights: folder with `training.yaml`.
        data_root: folder the run's relative data paths start from.

    Returns:
        name → (validation photos, source, names of the groups kept out of training).

    Raises:
        FileNotFoundError: the record, or a data set, is not there.
    """
    record = Path(weights) / "training.yaml"
    if not record.is_file():
        raise FileNotFoundError(f"{record} is missing: without it nobody knows which people were trained on")
    arguments = yaml.safe_load(record.read_text())
    names = {item.name for item in fields(DataSource)}
    held_out = {}
    for values in arguments["sources"]:
        source = DataSource(**{key: value for key, value in values.items() if key in names})
        if source.validation_path is not None:
            held_out[source.name] = (load_photos(str(Path(data_root) / source.validation_path)), source, [])
        elif source.validation_fraction:
            photos = load_photos(str(Path(data_root) / source.path), source.split, **source.extra)
            _, validation, groups = split_by_group(
                photos,
                source.group_column,
                source.validation_fraction,
                source.group_separator,
                arguments["split_seed"],
            )
            held_out[source.name] = (validation, source, groups)
    return held_out
