"""Load labelled photos from folders, parquet files and the Hub, all with the same columns."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from datasets import ClassLabel, Dataset, Image, IterableDataset, Value, load_dataset
from datasets.exceptions import DatasetsError
from datasets.fingerprint import Hasher
from huggingface_hub import HfApi
from huggingface_hub.errors import OfflineModeIsEnabled

from ..model.errors_tergan import InvalidInputError, MissingFileError
from ..model.model_loading_tergan import REQUEST_ERROR
from .building import require_finished
from .media_files import is_utf8
from .photo_folder import load_parquet_files, load_photo_folder


HUB_PREFIX = "hub://"
NO_IDENTITY = ""  # of a photo of an unknown person
NO_EXPRESSION_ID = -1  # of a photo that does not show an exactly repeatable blendshape pose
NEUTRAL_ID = 0  # the `expression_id` of a neutral photo
STREAM_ROW = "stream_row"  # number of a photo in its stream, where photos without a face are left out later
TEXT_LABELS = ("expression", "original_expression", "identity")  # columns that `load_photos` gives as text
# Older data sets have these columns under other names.
OLD_COLUMNS = {"sitting": "session", "recipe": "expression_id", "activations": "blendshapes", "motion": "flow"}


@dataclass
class DataSource:
    """
    One set of labelled photos.

    Args:
        name: distinguishes the sets in logs. Identities of different sets are different people.
        path: a folder (of parquet files, or in `imagefolder` layout with `metadata.csv`), a parquet file, or
            `hub://owner/name` on the Hub.
        split: the split to read.
        align: find and align the face. `False` takes each image as an aligned face crop.
        group_column: rows with the same value here stay on one side of the split. It is `identity`, or a column with
            several groups joined by `group_separator`. `file_name` keeps single photos out, of any set.
        group_separator: separator of the groups in `group_column`.
        validation_fraction: share of the groups to keep out of training.
        validation_groups: names of the groups to keep out of training, instead of a fraction, or the path of a text
            file with a name on each line.
        validation_path: a set to validate on, instead of a fraction. If it equals `path`, its split `validation`.
        weight: how often stage 1 of G_es draws from this set, relative to the others; with `class_balance` 1 only
            within each label. Stage 1 of G_et draws every person equally often, except of a set of weight 0.
        pair_weight: how often stage 2 draws its target from this set, relative to the others.
        folds, fold: for cross-validation, instead of a fraction: keep part `fold` of `folds` parts of the groups out.
        streaming: read the photos as a stream and keep only their padded crops, for sets larger than memory or disk.
        extra: further keyword arguments for `datasets.load_dataset`.
    """

    name: str
    path: str
    split: str = "train"
    align: bool = True
    group_column: str = "identity"
    group_separator: str | None = None
    validation_fraction: float = 0.2
    validation_groups: list[str] | str = field(default_factory=list)
    validation_path: str | None = None
    weight: float = 1.0
    pair_weight: float = 1.0
    folds: int = 0
    fold: int = 0
    streaming: bool = False
    extra: dict = field(default_factory=dict)

    @property
    def validation_split(self) -> str:
        """The split of `validation_path` to read."""
        return "validation" if self.validation_path == self.path else "train"


def source_path(path: str, data_root: str | PathLike) -> str:
    """The path of a source: below `data_root`, unless it is absolute or on the Hub."""
    return path if path.startswith(HUB_PREFIX) else str(Path(data_root) / path)


def require_no_folder(path: str, name: str):
    """
    Check that a path on the Hub means only one place.

    Args:
        name: `owner/name` of the data set.

    Raises:
        InvalidInputError: there is a folder of this name.
    """
    if Path(name).exists():
        raise InvalidInputError(
            f"{path}: there is also a folder {name} here, which `datasets` would read instead; rename it, or work in "
            "another folder"
        )


def load_photos(path: str, split: str = "train", streaming: bool = False, **extra) -> Dataset | IterableDataset:
    """
    Load labelled photos.

    Args:
        path: a folder of parquet files (`train.parquet` or `train-00000-of-00002.parquet` …) or in `imagefolder`
            layout with `metadata.csv`, a `.parquet` file, or `hub://owner/name`.
        split: the split to read.
        streaming: return an `IterableDataset`, which reads the photos one by one.
        extra: further keyword arguments for `datasets.load_dataset`. Of a folder with `metadata.csv`, and where a path
            holds one of `*?[]:{}`, only `cache_dir` is used.

    Returns:
        A data set with the columns `image` (not decoded), `expression` (label), `identity` and `expression_id`
        (`NO_IDENTITY`, `NO_EXPRESSION_ID` for unknown ones), and all other columns of the source. `session`,
        `landmarks`, `flow`, `uncovered` and `blendshapes` have the meaning that `python -m tergan_hf.data avatars`
        gives them.

    Raises:
        MissingFileError: the path does not exist, or holds no data.
        InvalidInputError: a required column is missing, the data cannot be read, or the set is unfinished.
    """
    location = Path(path)
    require_finished(location, path)
    if location.suffix == ".parquet":
        if not location.is_file():
            raise MissingFileError(f"no such parquet file: {path}")
        photos = _load_parquet([location], split, streaming, extra)
    elif files := parquet_files(location, split):
        photos = _load_parquet([Path(file) for file in files], split, streaming, extra)
    elif location.is_dir():
        photos = load_photo_folder(location.absolute(), split, streaming, **extra)
    elif path.startswith(HUB_PREFIX):
        name = path.removeprefix(HUB_PREFIX)
        require_no_folder(path, name)
        photos = _load_dataset(path, name, split=split, streaming=streaming, **extra)
    else:
        raise MissingFileError(f"no such folder: {path} (write {HUB_PREFIX}owner/name for a data set on the Hub)")
    if streaming and photos.features is None:
        photos = photos._resolve_features()
    for old, new in OLD_COLUMNS.items():
        if old in photos.column_names and new not in photos.column_names:
            photos = photos.rename_column(old, new)
    for column in ("image", "expression"):
        if column not in photos.column_names:
            raise InvalidInputError(f"{path} has no column '{column}' (it has: {', '.join(photos.column_names)})")
    if streaming:
        return _complete_stream(photos, [path, split, sorted(extra.items()), _version_of(path, location, extra)])
    if "identity" not in photos.column_names:
        photos = photos.add_column("identity", [NO_IDENTITY] * len(photos))
    if "expression_id" not in photos.column_names:
        photos = photos.add_column("expression_id", [NO_EXPRESSION_ID] * len(photos))
    photos = photos.cast_column("image", Image(decode=False))
    if "flow" in photos.column_names:
        photos = photos.cast_column("flow", Image(decode=False))
    for column in TEXT_LABELS:  # in an order that does not change: it is part of the cache's fingerprint
        if column in photos.column_names:
            photos = _with_labels_as_text(photos, column)
    return _with_all_expression_ids(photos)


def _load_parquet(files: list[Path], split: str, streaming: bool, extra: dict) -> Dataset | IterableDataset:
    files = [file.absolute() for file in files]
    if any(looks_like_a_pattern(str(file)) for file in files):
        return load_parquet_files(files, streaming, **extra)
    path = str(files[0].parent if len(files) > 1 else files[0])
    data_files = {split: [str(file) for file in files]}
    return _load_dataset(path, "parquet", data_files=data_files, split=split, streaming=streaming, **extra)


def looks_like_a_pattern(path: str) -> bool:
    """Whether `datasets` would take a path for a pattern or an address, or could not encode it."""
    below = os.path.splitdrive(path)[1]
    return bool(re.search(r"[*?\[\]:{}]", below)) or not is_utf8(path)


def _load_dataset(path: str, *arguments, **options) -> Dataset | IterableDataset:
    """`datasets.load_dataset`, with errors that name the path."""
    try:
        return load_dataset(*arguments, **options)
    except FileNotFoundError as error:
        raise MissingFileError(f"{path}: {error}") from error
    except (ValueError, DatasetsError) as error:
        raise InvalidInputError(f"{path}: {error}") from error
    except (ConnectionError, OSError) as error:
        raise InvalidInputError(f"{path} cannot be reached or read: {str(error).splitlines()[0]}") from error


def parquet_files(folder: str | PathLike, split: str) -> list[str]:
    """The parquet files of a split, one file or several shards, in order."""
    return sorted(str(path) for name in (f"{split}.parquet", f"{split}-*.parquet") for path in Path(folder).glob(name))


def _complete_stream(photos: IterableDataset, origin: list) -> IterableDataset:
    """Give a stream the columns that `load_photos` promises, and a fingerprint of its origin."""
    features = photos.features.copy()
    text_of = {column: _label_texts(features[column]) for column in TEXT_LABELS if column in features}
    features |= {"identity": Value("string"), "expression_id": Value("int32"), STREAM_ROW: Value("int64")}
    features |= {column: Value("string") for column in text_of if isinstance(features[column], ClassLabel)}
    for column in {"image", "flow"} & set(features):
        features[column] = Image(decode=False)

    def complete(row: dict, number: int) -> dict:
        expression_id, texts = row.get("expression_id"), {column: of(row[column]) for column, of in text_of.items()}
        return {
            "identity": NO_IDENTITY,
            **texts,
            STREAM_ROW: number,
            "expression_id": NO_EXPRESSION_ID if expression_id is None else int(expression_id),
        }

    for column in {"image", "flow"} & set(features):
        photos = photos.cast_column(column, Image(decode=False))
    photos = photos.map(complete, with_indices=True, features=features)
    photos._fingerprint = Hasher.hash(origin)
    return photos


def _version_of(path: str, location: Path, extra: dict) -> list:
    """Path, size and time of each local file, or the commit on the Hub, for the fingerprint. Empty offline."""
    if path.startswith(HUB_PREFIX):
        name, revision = path.removeprefix(HUB_PREFIX), extra.get("revision")
        try:
            return [HfApi().dataset_info(name, revision=revision, token=extra.get("token")).sha]
        except (REQUEST_ERROR, OfflineModeIsEnabled, OSError):
            return []
    files = sorted(location.rglob("*")) if location.is_dir() else [location] if location.is_file() else []
    return [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]


def _label_texts(feature) -> Callable[[Any], str]:
    """A function from a cell to its text: the name of a class, and "" for none."""
    if isinstance(feature, ClassLabel):
        return lambda number: "" if number is None or number < 0 else feature.int2str(number)
    return lambda label: "" if label is None else str(label)


def _with_labels_as_text(photos: Dataset, column: str) -> Dataset:
    """Replace numbers of classes by their names, other numbers by their digits, and missing cells by ""."""
    feature, values = photos.features[column], list(photos[column])
    if all(isinstance(value, str) for value in values):
        return photos if feature == Value("string") else photos.cast_column(column, Value("string"))
    texts = [*map(_label_texts(feature), values)]
    return photos.remove_columns(column).add_column(column, texts)


def _with_all_expression_ids(photos: Dataset) -> Dataset:
    """Fill the empty cells of `expression_id` (null in Arrow) and cast it."""
    column, values = "expression_id", list(photos["expression_id"])
    if None in values:
        filled = [NO_EXPRESSION_ID if value is None else value for value in values]
        photos = photos.remove_columns(column).add_column(column, filled)
    try:
        return photos.cast_column(column, Value("int32"))
    except (ValueError, TypeError) as error:
        raise InvalidInputError(f"column '{column}' must hold int32 values: {error}") from error
