"""FER2013: 35,887 grey crops of 48 pixels with noisy labels and no identities, and FER+'s votes on them."""

from argparse import ArgumentParser
from pathlib import Path

import numpy as np
from datasets import Features, Image, Value
from PIL import Image as PILImage

from ..building import BuildError, Plan, in_shards, list_source
from ..dataset_card import SetDescription
from ..image_cells import image_cell
from . import ferplus
from .fer2013_pixels import measure_pixels, without_test_photos
from .fer2013_source import LAYOUT, SIDE, FerPhoto, list_folders, read_table


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
    layout=LAYOUT,
)
TABLES = ("fer2013.csv", "icml_face_data.csv", "train.csv")
FULL_SIZES = {"train": 28_709, "validation": 3_589, "test": 3_589}
ROWS_PER_SHARD = 4000


def add_options(parser: ArgumentParser):
    """Add the size, the votes and the check of the contrast. There is no alignment: the photos are close crops."""
    parser.add_argument("--size", type=int, default=SIDE, help="side of the crops in pixels (%(default)s)")
    parser.add_argument(
        "--votes", metavar="TABLE",
        help="fer2013new.csv of FER+: label the photos by ten people's votes, and leave out those without a face",
    )  # fmt: skip
    parser.add_argument(
        "--allow-equalized",
        action="store_true",
        help="accept a copy of equalised contrast, which is refused otherwise",
    )


def plan(source: Path, options: dict) -> Plan:
    """Plan the set from a table or from folders. `source` may also be the table itself.

    Raises:
        BuildError: the source is broken, not FER2013 or a copy of equalised contrast, or the votes belong to others.
    """
    seed, size, allow_equalized = options["seed"], options["size"], options["allow_equalized"]
    votes = Path(options["votes"]) if options["votes"] else None
    if size < 8:
        raise BuildError(f"--size must be at least 8 pixels, not {size}")
    splits, files, root = _read(source)
    missing, notes = _missing(splits), []
    statistics = measure_pixels(splits)
    if statistics.are_equalized:
        wrong = statistics.describe_equalized()
        if not allow_equalized:
            raise BuildError(
                f"{source} {wrong}; use Kaggle's fer2013.csv, or add --allow-equalized to take it as it is"
            )
        notes.append(f"The source {wrong}.")
    tested = {statistics.digests[photo.name] for name, photos in splits.items() if name != "train" for photo in photos}
    if votes:
        splits = ferplus.label_photos(splits, votes)
        splits, faceless = _without(splits, ferplus.NO_FACE)
        notes.append(f"{faceless} photos are left out because most votes say that there is no face.")
    splits, doubles = without_test_photos(splits, statistics.digests, tested)
    notes.append(f"{doubles} photos of train are left out because a test split has exactly the same pixels.")
    if votes:
        splits, contempt = _without(splits, "contempt")
        splits, unknown = _without(splits, "unknown")
        notes.append(
            f"{contempt} photos are left out because most votes say contempt, and {unknown} because most say unknown."
        )
        notes += ferplus.TREATMENT
    if not splits.get("train"):
        raise BuildError(f"{source} leaves no photo for train: {' '.join(notes)}")
    shards = []
    for split, photos in splits.items():
        order = np.random.default_rng(seed).permutation(len(photos))
        shards += in_shards(split, [photos[number] for number in order], ROWS_PER_SHARD, size)
    return Plan(
        description=ferplus.describe_votes(DESCRIPTION) if votes else DESCRIPTION,
        features=Features(
            image=Image(), file_name=Value("string"), expression=Value("string"), **(ferplus.COLUMNS if votes else {})
        ),
        shards=shards,
        make_rows=make_rows,
        settings={
            "seed": seed, "size": size, "votes": votes and votes.name, "allow_equalized": allow_equalized,
        },
        source=list_source(root, files) + (list_source(votes.parent, [votes]) if votes else []),
        missing=missing,
        notes=notes,
        expected=[photo.name for photos in splits.values() for photo in photos],
    )  # fmt: skip


def make_rows(job: tuple[list[FerPhoto], int]) -> list[dict]:
    """Make rows of the set from photos."""
    photos, size = job
    rows = []
    for photo in photos:
        image = photo.image()
        if image.size != (size, size):
            image = image.resize((size, size), PILImage.Resampling.BICUBIC)
        rows.append({
            "image": image_cell(image, "PNG"), "file_name": photo.name,
            "expression": photo.expression, **photo.extra,
        })  # fmt: skip
    return rows


def _read(source: Path) -> tuple[dict[str, list[FerPhoto]], list[Path], Path]:
    """Read the source. Returns split → photos, the files read, the folder that they are in."""
    if source.is_file():
        return read_table(source), [source], source.parent
    tables = [path for name in TABLES for path in sorted(source.rglob(name))][:1]
    if tables:
        return read_table(tables[0]), tables, source
    splits = list_folders(source)
    return (
        splits,
        [photo.content for photos in splits.values() for photo in photos if isinstance(photo.content, Path)],
        source,
    )


def _without(splits: dict[str, list[FerPhoto]], label: str) -> tuple[dict[str, list[FerPhoto]], int]:
    """Leave out the photos with a label. Returns the splits, the number of photos left out."""
    kept = {split: [photo for photo in photos if photo.expression != label] for split, photos in splits.items()}
    return kept, sum(len(photos) - len(kept[split]) for split, photos in splits.items())


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
