"""Stream the photos of a whole data set: from the Hub, from parquet files, or from a folder of photos."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets import ClassLabel, Features, Image, IterableDataset, LargeList, List, Value, load_dataset_builder
from datasets.exceptions import DatasetNotFoundError, DatasetsError
from datasets.features import Array2D, Array3D, Array4D, Array5D
from datasets.packaged_modules.parquet.parquet import ParquetConfig
from huggingface_hub import HfApi
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError
from pyarrow import ArrowException, parquet

from ..data.building import list_source, require_finished
from ..data.loading import HUB_PREFIX, looks_like_a_pattern, require_no_folder
from ..data.media_files import PHOTO, find_media, text_name
from ..data.photo_folder import encoded_photo, is_hidden, load_parquet_files, split_of_file
from ..model.errors_tergan import InvalidInputError, MissingFileError
from ..publishing.hub_errors import REQUEST_ERROR, one_sentence


IMAGE_NAMES = ("image", "img", "photo", "picture", "jpg", "jpeg", "png", "webp")
# A source of fewer shards is divided further, into the row groups of its files, so that several processes share it.
FEW_SHARDS = 32
PHOTOS_PER_SHARD = 256  # of a folder
ROWS_IN_MEMORY = 16  # of a parquet file
PLAIN = (Value, ClassLabel, Array2D, Array3D, Array4D, Array5D)


class SourceError(InvalidInputError):
    """A data set whose photos cannot be read. The message names it and says what to do."""


@dataclass
class PhotoSource:
    """
    The photos of a data set.

    Args:
        name: as the user writes it.
        streams: split → its rows.
        files: a line for each file, or the commit on the Hub. Runs on the same source have the same.
        photos: split → number of photos, if it is known.
        image_column: column of the photos.
        features: of the columns to keep beside the photo.
    """

    name: str
    streams: dict[str, IterableDataset]
    files: list[str]
    photos: dict[str, int]
    image_column: str = ""
    features: Features = field(default_factory=Features)

    @property
    def shards(self) -> list[tuple[str, int]]:
        """Split and number of each part that can be read alone, in the order of the rows."""
        return [(split, shard) for split, stream in self.streams.items() for shard in range(stream.num_shards)]

    def rows(self, split: str, shard: int, start: int = 0) -> Iterator[tuple[Any, dict]]:
        """
        The photos of a shard from row `start` on, each as it is stored (see `stored_photo`), and its other columns.

        Raises:
            SourceError: the source cannot be read any further.
        """
        stream = self.streams[split]
        stream = stream.shard(stream.num_shards, shard)
        rows = iter(stream.skip(start) if start else stream)
        while True:
            try:
                row = next(rows)
            except StopIteration:
                return
            except (HfHubHTTPError, REQUEST_ERROR, DatasetsError, ArrowException, ValueError, OSError) as error:
                raise SourceError(
                    f"{self.name} cannot be read any further ({_first_line(error)}): repeat the command to go on"
                ) from error
            yield row[self.image_column], {name: row[name] for name in self.features}


def open_source(
    name: str, split: str | None = None, image_column: str | None = None, revision: str | None = None
) -> PhotoSource:
    """
    Open a data set as a stream.

    Args:
        name: `hub://owner/name` or `hub://owner/name/config`, a parquet file, a folder of parquet files, or a folder
            of photos.
        split: the only split to read.
        image_column: column of the photos. Default: the only column of images.
        revision: commit of a data set on the Hub.

    Raises:
        MissingFileError: there is no such data set, folder or file.
        SourceError: there is no such split or column, or nothing can be read. The message says what there is.
    """
    if name.startswith(HUB_PREFIX):
        source = _open_hub(name, revision)
    elif files := list_parquet(Path(name)):
        source = _open_parquet(name, files)
    else:
        source = _open_photos(name)
    if split is not None:
        if split not in source.streams:
            raise SourceError(f"{name} has no split '{split}' (it has: {', '.join(source.streams)})")
        source.streams = {split: source.streams[split]}
    features = next(iter(source.streams.values())).features
    source.image_column = _choose_image_column(name, features, image_column)
    source.features = Features(
        {column: kind for column, kind in features.items() if column != source.image_column and _is_plain(kind)}
    )
    for key, stream in source.streams.items():
        stream = stream.select_columns([source.image_column, *source.features])
        if isinstance(features[source.image_column], Image):
            stream = stream.cast_column(source.image_column, Image(decode=False))
        source.streams[key] = stream
    return source


def split_hub_name(name: str) -> tuple[str, str | None]:
    """
    `hub://owner/name/config` → `owner/name` and the configuration, `None` without one.

    Raises:
        SourceError: it has another form.
    """
    parts = name.removeprefix(HUB_PREFIX).split("/")
    if not 2 <= len(parts) <= 3 or not all(parts):
        raise SourceError(f"{name} is no name of a data set: write {HUB_PREFIX}owner/name")
    return "/".join(parts[:2]), parts[2] if len(parts) == 3 else None


@dataclass(frozen=True)
class Commit:
    """A commit on the Hub, and whether its repository is private."""

    commit: str
    private: bool


def newest_commit(name: str) -> Commit:
    """
    The newest commit of a data set on the Hub.

    Raises:
        MissingFileError: there is no such data set, or it is not ours to read.
        PublishError: the Hub cannot be reached.
    """
    repo_id, _ = split_hub_name(name)
    with one_sentence(repo_id):
        try:
            info = HfApi().dataset_info(repo_id)
        except GatedRepoError as error:
            raise MissingFileError(
                f"{repo_id} is open only to those who accept its conditions: do so on its page, then log in with "
                "`hf auth login`"
            ) from error
        except RepositoryNotFoundError as error:
            raise MissingFileError(
                f"there is no data set {repo_id} on the Hub, or it is private: check the name, or log in with "
                "`hf auth login`"
            ) from error
    return Commit(str(info.sha), bool(info.private))


def list_parquet(path: Path) -> list[Path]:
    """The parquet files that a path names: itself, or those in a folder and its subfolders, in order."""
    if path.suffix == ".parquet" and path.is_file():
        return [path]
    found = path.rglob("*.parquet") if path.is_dir() else ()
    return sorted(file for file in found if not is_hidden(file, path))


def _open_hub(name: str, revision: str | None) -> PhotoSource:
    repo_id, config = split_hub_name(name)
    require_no_folder(name, repo_id)
    try:
        builder = load_dataset_builder(repo_id, config, revision=revision)
        streams = _stream(builder)
    except DatasetNotFoundError as error:
        raise MissingFileError(f"{name}: {_first_line(error)}") from error
    except (HfHubHTTPError, REQUEST_ERROR, DatasetsError, ArrowException, ValueError, OSError) as error:
        raise SourceError(f"{name} cannot be read: {_first_line(error)}") from error
    known = builder.info.splits or {}
    photos = {split: known[split].num_examples for split in streams if split in known and known[split].num_examples}
    return PhotoSource(name, streams, [f"{repo_id} {config or ''} {revision}"], photos)


def _open_parquet(name: str, files: list[Path]) -> PhotoSource:
    root = Path(name) if Path(name).is_dir() else Path(name).parent
    require_finished(root, name)
    by_split: dict[str, list[Path]] = {}
    for file in files:
        by_split.setdefault(split_of_file(file.relative_to(root)) or "train", []).append(file.absolute())
    try:
        photos = {split: sum(parquet.read_metadata(file).num_rows for file in own) for split, own in by_split.items()}
        if any(looks_like_a_pattern(str(file.absolute())) for file in files):
            streams = {split: load_parquet_files(own, streaming=True) for split, own in by_split.items()}
        else:
            data_files = {split: [str(file) for file in own] for split, own in by_split.items()}
            streams = _stream(load_dataset_builder("parquet", data_files=data_files))
    except (DatasetsError, ArrowException, ValueError, OSError) as error:
        raise SourceError(f"{name} cannot be read: {_first_line(error)}") from error
    return PhotoSource(name, streams, list_source(root, files), photos)


def _open_photos(name: str) -> PhotoSource:
    """A folder of photos. Their only other column is `file_name`, the path in the folder."""
    root = Path(name)
    if not root.is_dir():
        raise MissingFileError(f"there is no {name} (write {HUB_PREFIX}owner/name for a data set on the Hub)")
    files = list(find_media(root, [PHOTO]).files)
    if not files:
        raise MissingFileError(f"{name} holds neither parquet files nor photos")
    paths = [str(file) for file in files]
    shards = [paths[start : start + PHOTOS_PER_SHARD] for start in range(0, len(paths), PHOTOS_PER_SHARD)]
    stream = IterableDataset.from_generator(
        _read_files, gen_kwargs={"root": name, "shards": shards},
        features=Features({"file_name": Value("string"), "image": Image(decode=False)}),
    )  # fmt: skip
    return PhotoSource(name, {"train": stream}, list_source(root, files), {"train": len(files)})


def _read_files(root: str, shards: list[list[str]]) -> Iterator[dict]:
    for paths in shards:
        for path in paths:
            name = text_name(Path(path).relative_to(root).as_posix())
            yield {"file_name": name, "image": encoded_photo(Path(path))}


def _stream(builder) -> dict[str, IterableDataset]:
    if isinstance(builder.config, ParquetConfig):
        # Its default is a row group, which may be larger than memory.
        builder.config.batch_size = ROWS_IN_MEMORY
    streams = {}
    for split, stream in builder.as_streaming_dataset().items():
        if stream.features is None:
            stream = stream._resolve_features()
        streams[str(split)] = stream.reshard() if stream.num_shards < FEW_SHARDS else stream
    return streams


def _choose_image_column(name: str, features: Features, wanted: str | None) -> str:
    columns = ", ".join(features)
    if wanted is not None:
        if wanted not in features:
            raise SourceError(f"{name} has no column '{wanted}' (it has: {columns})")
        if not _may_hold_photos(features[wanted]):
            raise SourceError(f"{name}: the column '{wanted}' holds no photos, but {features[wanted]}")
        return wanted
    images = [column for column, kind in features.items() if isinstance(kind, Image)]
    found = images or [column for column, kind in features.items() if _may_hold_photos(kind)]
    named = [column for column in found if column.lower() in IMAGE_NAMES]
    if len(found) == 1:
        return found[0]
    if len(named) == 1 or "image" in named:
        return "image" if "image" in named else named[0]
    if found:
        raise SourceError(f"{name} has several columns of photos ({', '.join(found)}): choose one with --image-column")
    raise SourceError(f"{name} has no column of photos (it has: {columns})")


def _may_hold_photos(kind) -> bool:
    """Whether the cells of a column can be image files: an image, `{"bytes", "path"}`, or bytes."""
    if isinstance(kind, dict):
        return set(kind) == {"bytes", "path"}
    return isinstance(kind, Image) or (isinstance(kind, Value) and kind.dtype in ("binary", "large_binary"))


def _is_plain(kind) -> bool:
    """Whether a column is neither media nor bytes."""
    if isinstance(kind, dict):
        return all(_is_plain(own) for own in kind.values())
    if isinstance(kind, (List, LargeList)):
        return _is_plain(kind.feature)
    return isinstance(kind, PLAIN) and getattr(kind, "dtype", "") not in ("binary", "large_binary")


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    if lines[0].startswith("Config name is missing"):  # the next lines list them
        return f"{' '.join(lines[:2])} Name one as {HUB_PREFIX}OWNER/NAME/CONFIG"
    return lines[0].rstrip(".:")
