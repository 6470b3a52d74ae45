"""Shared code of the importers of photographs: entries, labels, aligned crops and the order of people."""

from argparse import ArgumentParser
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from datasets import Array2D, Features, Image, Value
from PIL import Image as PILImage

from ...model.configuration_tergan import EXPRESSIONS_WITH_NEUTRAL
from ...model.face_alignment_tergan import crop_face, fit_crop_transform, zoom_out
from ...model.face_detection_tergan import FaceDetector
from ...model.image_loading_tergan import ImageInputError, read_image
from ..building import BuildError, Plan, in_shards, list_source
from ..dataset_card import SetDescription
from ..image_cells import image_cell
from ..media_files import PHOTO_SUFFIXES, is_photo
from ..padded_crops import PADDED_CROP_MARGIN, padded_crop_size


ROWS_PER_SHARD = 300
JPEG_QUALITY = 95
HEIF_SUFFIXES = (".heic", ".heif")  # of photos that Pillow does not read
MESH_SUFFIX = ".wrl"  # of the large files beside BU-4DFE's photos
PAPER_SIZE, PAPER_CROP = 85, 75  # section 4.1: five 75-pixel crops of an aligned face of 85 pixels
PAPER_MARGIN = PAPER_SIZE / PAPER_CROP
SYNONYMS = {
    "angry": "anger", "disgusted": "disgust", "fearful": "fear", "afraid": "fear", "happy": "happiness",
    "smiling": "happiness", "sad": "sadness", "surprised": "surprise",
}  # fmt: skip


@dataclass(frozen=True)
class Cropping:
    """
    How to crop photos.

    Args:
        size: side of the written crop in pixels.
        margin: side of the written crop / side of the aligned face in its middle, which a network sees.
        align: `False` keeps the photos whole, as their files are.
    """

    size: int = padded_crop_size(192)
    margin: float = PADDED_CROP_MARGIN
    align: bool = True

    def __post_init__(self):
        if self.size < 8 or not 1 <= self.margin <= 4:
            raise BuildError(f"--size must be 8 or more and --margin 1 to 4, not {self.size} and {self.margin}")


@dataclass(frozen=True)
class PhotoEntry:
    """One photo to read: its path, its name in the source, its labels and further columns."""

    path: Path
    file_name: str
    identity: str
    expression: str
    extra: dict = field(default_factory=dict)


def add_cropping_options(parser: ArgumentParser):
    """Add `--size`, `--margin`, `--paper` and `--whole`."""
    default = Cropping()
    parser.add_argument("--size", type=int, default=default.size, help="side of the crops in pixels (%(default)s)")
    parser.add_argument(
        "--margin", type=float, default=default.margin,
        help="side of the crops relative to the aligned face (%(default)s): room for shifts and rotations",
    )  # fmt: skip
    parser.add_argument(
        "--paper", action="store_true",
        help=f"the paper's crops: {PAPER_SIZE} pixels, {PAPER_CROP} in training; overrides --size and --margin",
    )  # fmt: skip
    parser.add_argument(
        "--whole", action="store_true", help="keep the photos whole, with their metadata; training finds the faces"
    )


def add_exclude_option(parser: ArgumentParser):
    """Add `--exclude`."""
    parser.add_argument(
        "--exclude", nargs="*", default=[], metavar="PERSON", help="people to leave out, for validation, by name"
    )


def exclude_people(entries: list[PhotoEntry], names: list[str]) -> list[PhotoEntry]:
    """Leave out all photos of some people.

    Raises:
        BuildError: a name is unknown, or nobody is left.
    """
    people = sorted({entry.identity for entry in entries})
    unknown = sorted(set(names) - set(people))
    if unknown:
        raise BuildError(
            f"--exclude names people who are not in the source: {', '.join(unknown)}; people are named like "
            f"{', '.join(people[:3])}"
        )
    kept = [entry for entry in entries if entry.identity not in names]
    if not kept:
        raise BuildError("--exclude leaves nobody")
    return kept


def cropping_of(options: dict) -> Cropping:
    """Remove the options of `add_cropping_options` from all options and convert them."""
    size, margin, paper, whole = (options.pop(name) for name in ("size", "margin", "paper", "whole"))
    if paper:
        size, margin = PAPER_SIZE, PAPER_MARGIN
    return Cropping(size, margin, not whole)


def cropping_settings(cropping: Cropping) -> dict:
    """The options of this cropping, to record."""
    if not cropping.align:
        return {"whole": True}
    if cropping == Cropping(PAPER_SIZE, PAPER_MARGIN):
        return {"paper": True}
    return {name: value for name, value in asdict(cropping).items() if name != "align"}


def photo_features(cropping: Cropping, **extra: str) -> Features:
    """The columns of a set of photos. `extra`: name → type of further ones."""
    columns = {
        "image": Image(), "file_name": Value("string"), "identity": Value("string"), "expression": Value("string"),
    }  # fmt: skip
    columns |= {name: Value(kind) for name, kind in extra.items()}
    if cropping.align:
        columns["landmarks"] = Array2D((5, 2), "float32")
    return Features(columns)


def plan_photos(
    description: SetDescription, root: Path, entries: list[PhotoEntry], cropping: Cropping, settings: dict,
    missing: list[str], split: str = "train", **extra: str,
) -> Plan:  # fmt: skip
    """Plan a set of photos. `extra`: name → type of further columns; the other arguments are as in `Plan`."""
    return Plan(
        description=description,
        features=photo_features(cropping, **extra),
        shards=in_shards(split, entries, ROWS_PER_SHARD, cropping),
        make_rows=crop_photos,
        settings={**settings, **cropping_settings(cropping)},
        source=[
            *list_source(root, [entry.path for entry in entries]),
            *(f"{entry.file_name}: {entry.identity}, {entry.expression}, {entry.extra}" for entry in entries),
        ],
        missing=missing,
        expected=[entry.file_name for entry in entries],
    )


def plan_people(
    description: SetDescription, root: Path, entries: list[PhotoEntry], options: dict, missing: list[str], **extra: str
) -> Plan:
    """Plan a set of photos of people with the options of `add_cropping_options` and `add_exclude_option`.

    Raises:
        BuildError: `--exclude` names an unknown person, or nobody is left.
    """
    cropping = cropping_of(options)
    people = people_in_order(exclude_people(entries, options["exclude"]), options["seed"])
    settings = {"seed": options["seed"], "exclude": options["exclude"]}
    return plan_photos(description, root, people, cropping, settings, missing, **extra)


def crop_photos(job: tuple[list[PhotoEntry], Cropping]) -> list[dict]:
    """
    Crop photos and make their rows. Photos without a detected face are left out.

    Raises:
        BuildError: a file is not a readable image. The message names it.
    """
    entries, cropping = job
    rows = []
    for entry in entries:
        image = read_source(entry.path)
        row = {
            "file_name": entry.file_name, "identity": entry.identity, "expression": entry.expression, **entry.extra,
        }  # fmt: skip
        if not cropping.align:
            rows.append({**row, "image": {"bytes": entry.path.read_bytes(), "path": None}})
        elif faces := _detector().detect(image):
            rows.append({**row, **align_face(image, faces[0].landmarks, cropping)})
    return rows


def read_source(path: Path) -> PILImage.Image:
    """Load a photo of a source as upright RGB.

    Raises:
        BuildError: the file is not a readable image. The message names it.
    """
    try:
        return read_image(path, "source")
    except (ImageInputError, FileNotFoundError) as error:
        advice = "convert it to JPEG" if path.suffix.lower() in HEIF_SUFFIXES else "copy the source again"
        raise BuildError(f"{error}: expected a photo; {advice}, then repeat the command") from error


def align_face(image: PILImage.Image, landmarks: np.ndarray, cropping: Cropping) -> dict:
    """Crop a face. Returns the columns `image` and `landmarks`, in pixels of the crop."""
    crop_transform = zoom_out(fit_crop_transform(landmarks), cropping.margin)
    crop = crop_face(image, crop_transform, cropping.size)
    moved = (landmarks @ crop_transform[:, :2].T + crop_transform[:, 2]) * cropping.size
    return {"image": image_cell(crop, "JPEG", quality=JPEG_QUALITY), "landmarks": moved.astype(np.float32)}


@lru_cache(maxsize=1)
def _detector() -> FaceDetector:
    return FaceDetector()


def people_in_order(entries: list[PhotoEntry], seed: int) -> list[PhotoEntry]:
    """Shuffle people, so that a stream of the set soon shows many. The photos of each person stay together. Photos of
    unknown people are shuffled one by one."""
    groups: dict[str, list[PhotoEntry]] = {}
    for entry in entries:
        groups.setdefault(entry.identity or f"#{entry.file_name}", []).append(entry)
    names = sorted(groups)
    order = np.random.default_rng(seed).permutation(len(names))
    return [entry for number in order for entry in groups[names[number]]]


def normalize_expression(name: str) -> str:
    """The label for a name in the source: lower case, and the same for synonyms such as "happy" and "smiling"."""
    label = name.strip().lower()
    return SYNONYMS.get(label, label)


def known_expression(name: str) -> str | None:
    """The label for a name, or `None` if it is neither neutral nor one of the six basic expressions."""
    label = normalize_expression(name)
    return label if label in EXPRESSIONS_WITH_NEUTRAL else None


def photo_files(folder: Path) -> list[Path]:
    """The photos of a folder by their content, in the order of their names; names that are numbers in the order of the
    numbers. Hidden files are left out."""
    files = [
        path
        for path in folder.iterdir()
        if not path.name.startswith(".")
        and path.is_file()
        # A damaged photo counts: reading it names it.
        and (path.suffix.lower() in PHOTO_SUFFIXES or (path.suffix.lower() != MESH_SUFFIX and is_photo(path)))
    ]
    return sorted(files, key=lambda path: (len(path.stem) if path.stem.isdigit() else 0, path.name))
