"""The photos a model was not trained on, by the `training.yaml` saved beside its weights."""

from dataclasses import fields
from pathlib import Path

import yaml
from datasets import Dataset

from ..data.loading import DataSource, load_photos
from ..data.splits import row_groups


def held_out_photos(weights: str | Path, data_root: str | Path) -> dict[str, tuple[Dataset, DataSource, list[str]]]:
    """
    The other side of the run's split.

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
        elif kept_out := arguments["kept_out"].get(source.name):
            photos = load_photos(str(Path(data_root) / source.path), source.split, **source.extra)
            held_out[source.name] = (select_groups(photos, source, kept_out), source, kept_out)
    return held_out


def select_groups(photos: Dataset, source: DataSource, groups: list[str]) -> Dataset:
    """The photos that belong to at least one of these groups."""
    names = row_groups(photos, source.group_column, source.group_separator)
    return photos.select([row for row, found in enumerate(names) if found & set(groups)])
