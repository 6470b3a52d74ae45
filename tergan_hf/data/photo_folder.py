"""Load a folder of photos with `metadata.csv`, `.jsonl` or `.parquet`: imagefolder layout, but no name is a pattern.

`datasets` takes folders' names for patterns and addresses: `faces [v2]` finds nothing, `faces*` finds other folders,
too, and `x::y` is an address.
"""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
from datasets import Dataset, Features, Image, IterableDataset
from datasets.fingerprint import Hasher
from pyarrow import parquet

from ..model.errors_tergan import InvalidInputError, MissingFileError
from .media_files import is_utf8
from .parquet_files import open_parquet
from .tables import NamedFiles, read_csv, read_jsonl


TABLES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
FILE_NAME = "file_name"
TEXT_COLUMNS = ("expression", "identity")  # "007" is a name, not a number
SPLIT_KEYWORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}  # as `datasets` knows them
_BETWEEN = r"[-._ 0-9]"
_OF_FOLDER, _OF_FILE = rf"(.*{_BETWEEN})?KEYWORD({_BETWEEN}.*)?", rf"(.*{_BETWEEN})?KEYWORD{_BETWEEN}.*"
_WHOLE_NUMBER, _NUMBER = re.compile(r"-?(0|[1-9]\d*)"), re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?")


def load_photo_folder(folder: Path, split: str, streaming: bool, **extra) -> Dataset | IterableDataset:
    """
    Load the photos that the tables in a folder name.

    Args:
        extra: `cache_dir` is passed on.

    Returns:
        The columns of the tables, with `image` instead of `file_name`.

    Raises:
        MissingFileError: there is no table, or no file that a row names.
        InvalidInputError: a table cannot be read, or has no row of this split. The message names the table and the
            line.
    """
    tables = [path for name in TABLES for path in sorted(folder.rglob(name)) if not is_hidden(path, folder)]
    if not tables:
        raise MissingFileError(
            f"{folder} holds no data: expected {split}.parquet, {split}-*.parquet, or photos with a metadata.csv"
        )
    rows = _rows_of_all(tables)
    by_split = _split_rows(folder, rows)
    if split not in by_split:
        known = ", ".join(f'"{name}"' for name in by_split)
        raise InvalidInputError(f'{folder}: there is no split "{split}" (it has: {known or "no rows"})')
    columns = _arrow_table(folder, by_split[split])
    features = _features(columns.schema)
    files = [path for row in by_split[split] for path in row.values() if isinstance(path, Path)]
    states = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return from_rows(columns.to_pylist, features, [columns.to_pylist(), str(features), states], streaming, **extra)


def load_parquet_files(files: list[Path], streaming: bool, **extra) -> Dataset | IterableDataset:
    """
    Load parquet files whose paths `datasets` would take for patterns or addresses.

    Args:
        extra: `cache_dir` is passed on.

    Raises:
        InvalidInputError: a file is damaged.
    """
    try:
        with open_parquet(files[0]) as file:
            features = Features.from_arrow_schema(parquet.read_schema(file))
    except (pa.ArrowException, OSError) as error:
        raise InvalidInputError(f"{files[0]} cannot be read ({error})") from error
    states = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return from_rows(_ParquetRows(files), features, states, streaming, **extra)


def from_rows(make_rows, features: Features, origin: list, streaming: bool, cache_dir=None, **_):
    """A data set of generated rows. One that is not a stream is cached on disk under a fingerprint of its origin."""
    if streaming:
        return IterableDataset.from_generator(make_rows, features=features)
    return Dataset.from_generator(make_rows, features=features, fingerprint=Hasher.hash(origin), cache_dir=cache_dir)


class _ParquetRows:
    def __init__(self, files: list[Path]):
        self.files = files

    def __call__(self) -> Iterator[dict]:
        for path in self.files:
            with open_parquet(path) as file:
                for batch in parquet.ParquetFile(file).iter_batches(batch_size=64):
                    yield from batch.to_pylist()


def is_hidden(path: Path, folder: Path) -> bool:
    """Whether a file, or a folder on the way to it, is hidden."""
    return any(name.startswith(".") for name in path.relative_to(folder).parts)


def _rows_of_all(tables: list[Path]) -> list[dict]:
    table_of: dict[Path, Path] = {}
    rows = []
    for table in tables:
        for row in _table_rows(table):
            if table_of.setdefault(row["image"], table) != table:
                raise InvalidInputError(f"{table} and {table_of[row['image']]} both name {row['image']}")
            rows.append(row)
    return rows


def _table_rows(table: Path) -> list[dict]:
    """The rows of a table. `NAME_file_name` becomes the column NAME with the path, `file_name` the column `image`."""
    files: dict[str, NamedFiles] = {}
    rows = []
    for line, row in _numbered_rows(table):
        if not isinstance(row.get(FILE_NAME, 0), str | None):
            raise InvalidInputError(f"{table}, line {line}: there is no {FILE_NAME}")
        found = {}
        for name, value in row.items():
            if name == FILE_NAME or name.endswith(f"_{FILE_NAME}"):
                column = name.removesuffix(f"_{FILE_NAME}") if name != FILE_NAME else "image"
                found[column] = files.setdefault(name, NamedFiles(table)).find(line, value) if value else None
            else:
                found[name] = value
        for column, meaning in (("image", "file name"), ("expression", "expression")):
            if column in found and found[column] in (None, ""):
                raise InvalidInputError(f"{table}, line {line}: the {meaning} is empty")
        rows.append(found)
    return rows


def _numbered_rows(table: Path) -> Iterator[tuple[int, dict]]:
    if table.suffix == ".jsonl":
        yield from read_jsonl(table)
    elif table.suffix == ".csv":
        rows = list(read_csv(table, (FILE_NAME,), TEXT_COLUMNS))
        kinds = {name: _kind(name, [row[name] for _, row in rows]) for name in (rows[0][1] if rows else ())}
        for line, row in rows:
            try:
                yield line, {name: kinds[name](cell) if cell else None for name, cell in row.items()}
            except json.JSONDecodeError as error:
                raise InvalidInputError(f"{table}, line {line}: a list cannot be read ({error})") from error
    else:
        try:
            yield from enumerate(parquet.ParquetFile(table).read().to_pylist(), start=1)
        except (pa.ArrowException, OSError) as error:
            raise InvalidInputError(f"{table} cannot be read ({error})") from error


def _kind(name: str, cells: list[str]) -> Callable:
    """What reads the cells of a column of a CSV: numbers, lists in brackets such as `landmarks`, or text."""
    if name in TEXT_COLUMNS or name.endswith(FILE_NAME):
        return str
    filled = [cell for cell in cells if cell]
    if filled and all(cell.startswith("[") for cell in filled):
        return json.loads
    if all(_WHOLE_NUMBER.fullmatch(cell) for cell in filled):
        return int
    return float if all(_NUMBER.fullmatch(cell) for cell in filled) else str


def _split_rows(folder: Path, rows: list[dict]) -> dict[str, list[dict]]:
    """
    The rows of each split, which the folders' names tell, else the files' names. Without any, all are `train`.

    Raises:
        InvalidInputError: some photos are in a split and others in none.
    """
    paths = [row["image"].relative_to(folder) if row["image"].is_relative_to(folder) else row["image"] for row in rows]
    by_folder = [_split_of(path.parts[:-1], _OF_FOLDER) for path in paths]
    by_name = [_split_of(path.parts[-1:], _OF_FILE) for path in paths]
    if any(by_folder):
        splits = by_folder
    elif "train" in by_name or None not in by_name:
        splits = by_name
    else:
        splits = ["train"] * len(rows)
    found: dict[str, list[dict]] = {}
    for row, path, split in zip(rows, paths, splits):
        if split is None:
            named = next(path for path, split in zip(paths, splits) if split is not None)
            raise InvalidInputError(f"{folder}: {named} belongs to a split by its name, {path} to none: rename one")
        found.setdefault(split, []).append(row)
    return found


def split_of_file(path: Path) -> str | None:
    """The split that the folders of a relative path tell, else the file's name, in any case. `None` if neither
    does."""
    return _split_of(path.parts[:-1], _OF_FOLDER) or _split_of(path.parts[-1:], _OF_FILE)


def _split_of(names: tuple[str, ...], pattern: str) -> str | None:
    for split, keywords in SPLIT_KEYWORDS.items():
        whole = re.compile(pattern.replace("KEYWORD", f"({'|'.join(keywords)})"), re.DOTALL | re.IGNORECASE)
        if any(whole.fullmatch(name) for name in names):
            return split
    return None


def _arrow_table(folder: Path, rows: list[dict]) -> pa.Table:
    columns: dict[str, list] = {name: [] for row in rows for name in row}
    for row in rows:
        for name, values in columns.items():
            value = row.get(name)
            values.append(encoded_photo(value) if isinstance(value, Path) else value)
    arrays = {}
    for name, values in columns.items():
        try:
            arrays[name] = pa.array(values)
        except (pa.ArrowException, OverflowError) as error:
            raise InvalidInputError(
                f"{folder}: the values of the column '{name}' do not fit together ({error})"
            ) from error
    return pa.table(arrays)


def encoded_photo(path: Path) -> dict:
    """A photo as `datasets` keeps it: its path, or its bytes if the path is not UTF-8."""
    name = str(path)
    if is_utf8(name):
        return {"bytes": None, "path": name}
    return {"bytes": path.read_bytes(), "path": None}


def _features(schema: pa.Schema) -> Features:
    features = Features.from_arrow_schema(schema)
    for name, kind in features.items():
        if isinstance(kind, dict) and set(kind) == {"bytes", "path"}:
            features[name] = Image(decode=False)
    return features
