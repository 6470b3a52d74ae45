"""FER2013: 35,887 grey crops of 48 pixels with noisy labels and no identities."""

from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path

import numpy as np
from datasets import Features, Image, Value
from PIL import Image as PILImage

from ..building import BuildError, Plan, in_shards, list_source
from ..dataset_card import SetDescription
from ..media_files import text_name
from ..tables import read_csv
from .photographs import encode, known_expression, photo_files, read_source


DESCRIPTION = SetDescription(
    name="fer2013",
    title="FER2013",
    home="https://www.kaggle.com/competitions/challenges-in-representation-learning-facial-expression-recognition-challenge",
    licence="As Kaggle distributes it (Database Contents License 1.0). The photos were found by an image search.",
    licence_id="other",
    attribution="Collected by Pierre-Luc Carrier and Aaron Courville.",
    citation=(
        "@inproceedings{goodfellow2013challenges,\n"
        "  title = {Challenges in representation learning: A report on three machine learning contests},\n"
        "  author = {Goodfellow, Ian J. and Erhan, Dumitru and Carrier, Pierre Luc and Courville, Aaron and others},\n"
        "  booktitle = {International Conference on Neural Information Processing},\n  pages = {117--124},\n"
        "  year = {2013}\n}"
    ),
    layout=(
        "fer2013.csv (or icml_face_data.csv, train.csv) with the columns emotion, pixels and Usage, or the folders "
        "train/angry/*.jpg and test/angry/*.jpg"
    ),
)
CLASSES = (
    "anger",
    "disgust",
    "fear",
    "happiness",
    "sadness",
    "surprise",
    "neutral",
)  # in the order of the numbers in the table
SPLITS = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
FOLDERS = {"train": "train", "test": "test", "validation": "validation", "val": "validation"}
TABLES = ("fer2013.csv", "icml_face_data.csv", "train.csv")
FULL_SIZES = {"train": 28_709, "validation": 3_589, "test": 3_589}
SIDE = 48
ROWS_PER_SHARD = 4000


def add_options(parser: ArgumentParser):
    """Add the size. There is no alignment: the photos are close crops of 48 pixels."""
    parser.add_argument("--size", type=int, default=SIDE, help="side of the crops in pixels (%(default)s)")


def plan(source: Path, options: dict) -> Plan:
    """Plan the set from a table or from folders. `source` may also be the table itself.

    Raises:
        BuildError: the source is broken or not FER2013.
    """
    seed, size = options["seed"], options["size"]
    tables = [source] if source.is_file() else [p for name in TABLES for p in sorted(source.rglob(name))][:1]
    root = source.parent if source.is_file() else source
    if size < 8:
        raise BuildError(f"--size must be at least 8 pixels, not {size}")
    entries: dict[str, list]
    make_rows: Callable[..., list[dict]]
    if tables:
        entries, files, make_rows = _read_table(tables[0]), tables, rows_of_pixels
    else:
        entries, make_rows = _list_folders(source), rows_of_files
        files = [path for split in entries.values() for path, _, _ in split]
    shards = []
    for split, listed in entries.items():
        order = np.random.default_rng(seed).permutation(len(listed))
        listed = [listed[number] for number in order]
        shards += in_shards(split, listed, ROWS_PER_SHARD, size)
    return Plan(
        description=DESCRIPTION,
        features=Features(image=Image(), file_name=Value("string"), expression=Value("string")),
        shards=shards,
        make_rows=make_rows,
        settings={"seed": seed, "size": size},
        source=list_source(root, files),
        missing=_missing(entries),
        expected=[name for split in entries.values() for _, name, _ in split],
    )


def rows_of_pixels(job: tuple[list[tuple[str, str, str]], int]) -> list[dict]:
    """Make rows of the set from (pixels, name, expression) of the table."""
    listed, size = job
    rows = []
    for pixels, name, expression in listed:
        values = np.array(pixels.split(), np.uint8).reshape(SIDE, SIDE)
        rows.append(_row(PILImage.fromarray(values), name, expression, size))
    return rows


def rows_of_files(job: tuple[list[tuple[Path, str, str]], int]) -> list[dict]:
    """Make rows of the set from (path, name, expression) of image files."""
    listed, size = job
    return [_row(read_source(path).convert("L"), name, expression, size) for path, name, expression in listed]


def _row(image: PILImage.Image, name: str, expression: str, size: int) -> dict:
    if image.size != (size, size):
        image = image.resize((size, size), PILImage.Resampling.BICUBIC)
    return {"image": {"bytes": encode(image, "PNG"), "path": None}, "file_name": name, "expression": expression}


def _missing(entries: dict[str, list]) -> list[str]:
    """One sentence for each split with fewer photos than the whole set has."""
    sizes = dict(FULL_SIZES)
    if len(entries.get("test", ())) > sizes["test"]:  # the test folder holds both test splits
        sizes["test"] += sizes.pop("validation")
    return [
        f"{split}: {size - len(entries.get(split, ()))} of {size} photos"
        for split, size in sizes.items()
        if len(entries.get(split, ())) < size
    ]


def _read_table(table: Path) -> dict[str, list[tuple[str, str, str]]]:
    """Read a table: split → list of (pixels, name, expression)."""
    splits: dict[str, list] = {}
    for number, (line, row) in enumerate(read_csv(table, ("emotion", "pixels"), ("Usage",))):
        pixels, emotion, usage = row["pixels"], row["emotion"], row.get("Usage", "Training")
        where = f"{table}, line {line}"
        if len(values := pixels.split()) != SIDE * SIDE:
            raise BuildError(
                f"{where}: {len(values)} of {SIDE * SIDE} pixels; the file is cut off or damaged, copy it again"
            )
        if not all(value.isdigit() and int(value) < 256 for value in set(values)):
            raise BuildError(f"{where}: pixels must be whole numbers from 0 to 255")
        if not emotion.isdigit() or int(emotion) >= len(CLASSES) or usage not in SPLITS:
            raise BuildError(
                f"{where}: emotion '{emotion}' and usage '{usage}'; expected 0 to {len(CLASSES) - 1} and one of "
                f"{', '.join(SPLITS)}"
            )
        splits.setdefault(SPLITS[usage], []).append((pixels, f"row{number:05d}", CLASSES[int(emotion)]))
    if not splits:
        raise BuildError(f"{table} has no rows: expected {DESCRIPTION.layout}")
    return splits


def _list_folders(source: Path) -> dict[str, list[tuple[Path, str, str]]]:
    """List the image files: split → list of (path, name, expression)."""
    splits: dict[str, list] = {}
    for name, split in FOLDERS.items():
        if not (source / name).is_dir():
            continue
        for folder in sorted(path for path in (source / name).iterdir() if path.is_dir()):
            files = photo_files(folder)
            expression = known_expression(folder.name)
            if expression is None and files:
                raise BuildError(f"{folder}: '{folder.name}' is not an expression of FER2013")
            splits.setdefault(split, []).extend(
                (path, text_name(path.relative_to(source).as_posix()), expression) for path in files
            )
    splits = {split: listed for split, listed in splits.items() if listed}
    if "train" not in splits:
        raise BuildError(f"{source} does not hold FER2013: expected {DESCRIPTION.layout}")
    return splits
