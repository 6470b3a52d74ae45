"""Lay out a built data set as the Hub's viewer reads it best: shards of a few hundred MB with small row groups."""

import re
import shutil
from collections.abc import Iterator
from math import ceil
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import Features, List, SplitDict, SplitInfo, Value
from datasets.info import DatasetInfo, DatasetInfosDict
from datasets.table import table_cast
from huggingface_hub import DatasetCard
from pyarrow import parquet

from ..data.building import is_unfinished
from ..data.dataset_card import CARD, EVAL, count_rows, expression_section, identity_section, size_category
from ..data.known_sets import NOT_TO_BE_SHOWN
from ..data.loading import parquet_files
from ..expressions.blendshapes import COLUMN_NAMES
from .hub_errors import PublishError


SHARD_BYTES = 250_000_000
ROW_GROUP = 100  # rows; the viewer reads whole row groups of at most 286 MiB
# Licences, as the Hub writes them, that let a set be passed on.
OPEN_LICENCES = {
    "apache-2.0", "mit", "cc0-1.0", "cc-by-2.0", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0",
    "odc-by", "pddl", "cdla-permissive-2.0",
}  # fmt: skip
TAGS = ["synthetic", "blendshapes"]
LOADING = 'and read by `datasets.load_dataset("FOLDER")`.'


def write_dataset_repository(
    folder: str | Path, repository: str | Path, repo_id: str, without: tuple[str, ...] = (), public: bool = False
) -> Path:
    """
    Lay out the repository of a data set that `python -m tergan_hf.data` or `python -m tergan_hf.benchmark` built.

    Columns stay as they are, so that the loader of the trainer reads the repository too. Flow maps are small PNG
    images, which the viewer shows; `blendshapes` gets a fixed length.

    Args:
        folder: the built set.
        repository: the folder to write.
        repo_id: `owner/name`, for the card.
        without: leave out people whose names begin with one of these.
        public: whether everybody will see it.

    Returns:
        `repository`.

    Raises:
        PublishError: there is no complete set, its licence does not let it be passed on, or it would show people who
            must not be shown.
    """
    folder, repository = Path(folder), Path(repository)
    if is_unfinished(folder) or not (folder / CARD).is_file():
        raise PublishError(f"{folder} holds no complete data set: build it with python -m tergan_hf.data")
    card = DatasetCard.load(folder / CARD)
    if not (folder / EVAL).is_file() and not getattr(card.data, "configs", None):
        raise PublishError(f"{folder} holds no data set of python -m tergan_hf.data; to publish weights, use push")
    _check_licence(folder, card)
    repository.mkdir(parents=True, exist_ok=True)
    for name in ("LICENSE", EVAL):
        if (folder / name).is_file():
            shutil.copy(folder / name, repository / name)
    if (folder / EVAL).is_file():
        for path in folder.glob("*/*.parquet"):
            (repository / path.parent.name).mkdir(exist_ok=True)
            shutil.copy(path, repository / path.parent.name / path.name)
        text = card.content.replace("OWNER/NAME", repo_id)
    else:
        splits = [entry["split"] for entry in card.data.configs[0]["data_files"]]
        infos = {split: _write_split(folder, split, repository / "data", without, public) for split in splits}
        _copy_clips(folder, repository)
        text = _card_text(card, repository, repo_id, infos, without)
    (repository / CARD).write_text(text, encoding="utf-8")
    return repository


def _check_licence(folder: Path, card: DatasetCard):
    named = card.data.get("license")
    licences = named if isinstance(named, list) else [named]
    closed = [str(licence) for licence in licences if licence not in OPEN_LICENCES]
    if closed:
        reason = re.search(r"## Licence\n\n(.+)", card.text)
        said = f" Its card says: {reason[1]}" if reason else ""
        raise PublishError(
            f"{folder} is not published: its licence ({', '.join(closed)}) does not let it be passed on. If the set "
            f"is your own, write the licence that you give it into the header of {folder / CARD}.{said}"
        )


def _write_split(folder: Path, split: str, output: Path, without: tuple[str, ...], public: bool) -> SplitInfo:
    """Write the shards of a split, `data/SPLIT-00000-of-00003.parquet`. The same set gives the same bytes."""
    files = parquet_files(folder, split)
    schema = _features(files[0]).arrow_schema
    kept, everybody = 0, 0
    for file in files:
        names = parquet.read_table(file, columns=["identity"])["identity"].to_pylist()
        shown = [name for name in names if not _starts(name, without)]
        kept, everybody = kept + len(shown), everybody + len(names)
        hidden = [name for name in shown if name and NOT_TO_BE_SHOWN.fullmatch(name)]
        if public and hidden:
            raise PublishError(
                f"{folder} shows members of Congress in expressions that nobody saw on them ({hidden[0]}): they serve "
                f"for training and may not be shown. Leave them out (--without {hidden[0].rpartition('_')[0]}_), or "
                "leave out --public"
            )
    if not kept:
        raise PublishError(f"--without leaves nobody in the split {split} of {folder}")
    size = sum(Path(file).stat().st_size for file in files) * kept / everybody
    shards = max(1, ceil(size / SHARD_BYTES))
    rows_per_shard = ceil(kept / shards / ROW_GROUP) * ROW_GROUP
    shards = ceil(kept / rows_per_shard)
    output.mkdir(parents=True, exist_ok=True)
    groups, total = _row_groups(files, schema, without), 0
    for number in range(shards):
        path = output / f"{split}-{number:05d}-of-{shards:05d}.parquet"
        with parquet.ParquetWriter(path, schema, write_page_index=True, use_content_defined_chunking=True) as writer:
            for _ in range(rows_per_shard // ROW_GROUP):
                if (table := next(groups, None)) is None:
                    break
                writer.write_table(table)
                total += table.nbytes
    return SplitInfo(split, num_bytes=total, num_examples=kept)


def _copy_clips(folder: Path, repository: Path):
    """Copy the files that the column `clip` of the written shards names."""
    for shard in (repository / "data").glob("*.parquet"):
        if "clip" in parquet.read_schema(shard).names:
            for name in set(parquet.read_table(shard, columns=["clip"])["clip"].to_pylist()):
                (repository / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(folder / name, repository / name)


def _starts(name: str | None, beginnings: tuple[str, ...]) -> bool:
    return bool(name) and str(name).startswith(beginnings)


def _features(file: str) -> Features:
    """The columns of a built set, `blendshapes` with its fixed length."""
    features = Features.from_arrow_schema(parquet.read_schema(file))
    if "blendshapes" in features:
        features["blendshapes"] = List(Value("float32"), length=len(COLUMN_NAMES))
    return features


def _row_groups(files: list[str], schema: pa.Schema, without: tuple[str, ...]) -> Iterator[pa.Table]:
    """Tables of `ROW_GROUP` rows; only the last one may have fewer."""
    waiting: list[pa.Table] = []
    for file in files:
        for batch in parquet.ParquetFile(file).iter_batches(ROW_GROUP):
            table = pa.Table.from_batches([batch])
            if without:
                names = table["identity"].to_pylist()
                table = table.filter(pa.array([not _starts(name, without) for name in names]))
            if not len(table):
                continue
            waiting.append(table_cast(table, schema))
            joined = pa.concat_tables(waiting)
            while len(joined) >= ROW_GROUP:
                yield joined.slice(0, ROW_GROUP).combine_chunks()
                joined = joined.slice(ROW_GROUP)
            waiting = [joined] if len(joined) else []
    if waiting:
        yield pa.concat_tables(waiting).combine_chunks()


def _card_text(
    card: DatasetCard, repository: Path, repo_id: str, infos: dict[str, SplitInfo], without: tuple[str, ...]
) -> str:
    """The card of the set, with the Hub's name, the features, and the counts of what is there."""
    data: Any = card.data  # huggingface_hub types it as the base class
    data.configs = [
        {
            "config_name": "default",
            "data_files": [{"split": split, "path": f"data/{split}-*.parquet"} for split in infos],
        }
    ]
    rows = sum(info.num_examples for info in infos.values())
    data.size_categories = [size_category(rows)]
    data.tags = [*dict.fromkeys([*(data.tags or []), *TAGS])]
    data.annotations_creators = ["machine-generated"]
    shards = list((repository / "data").glob("*.parquet"))
    info = DatasetInfo(
        features=Features.from_arrow_schema(parquet.read_schema(shards[0])),
        splits=SplitDict(infos),
        download_size=sum(path.stat().st_size for path in shards),
        dataset_size=sum(split.num_bytes for split in infos.values()),
    )
    DatasetInfosDict({"default": info}).to_dataset_card_data(data)
    text = card.text.replace(LOADING, f'and read by `datasets.load_dataset("{repo_id}")`.')
    if without:
        counts = count_rows(repository / "data", list(infos))
        unit = match[1].lower() if (match := re.search(r"^## (\w+)s per expression$", text, re.MULTILINE)) else "photo"
        text = re.sub(r"\n\d+ (\w+) from ", rf"\n{rows} \1 from ", text, count=1)
        for section in (expression_section(counts, unit), identity_section(counts, unit)):
            text = _replace_section(text, section)
        left_out = ", ".join(f"`{beginning}…`" for beginning in without)
        text = text.replace("\n## Licence\n", f"\nPeople named {left_out} are left out here.\n\n## Licence\n", 1)
    return f"---\n{data.to_yaml()}\n---\n{text}"


def _replace_section(text: str, section: str) -> str:
    """Replace the section of a card that has the same title."""
    title = re.escape(section.splitlines()[0])
    found = re.search(rf"^{title}\n.*?(?=\n## |\Z)", text, re.DOTALL | re.MULTILINE)
    return text if found is None else text[: found.start()] + section + text[found.end() :]
