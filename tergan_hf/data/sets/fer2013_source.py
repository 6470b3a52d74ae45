"""Read FER2013: Kaggle's table of pixels, or folders of image files."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image as PILImage

from ..building import BuildError
from ..media_files import text_name
from ..tables import read_csv
from .photographs import known_expression, photo_files, read_source


LAYOUT = (
    "fer2013.csv (or icml_face_data.csv, train.csv) with the columns emotion, pixels and Usage, or the folders "
    "train/angry/*.jpg and test/angry/*.jpg"
)
# In the order of the numbers in the table.
CLASSES = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
SPLITS = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
FOLDERS = {"train": "train", "test": "test", "validation": "validation", "val": "validation"}
SIDE = 48


@dataclass(frozen=True)
class FerPhoto:
    """
    One photo of FER2013.

    Args:
        name: name of the row or file.
        expression: the label.
        content: the grey levels of a row of the table, or the path of an image file.
        row: number of the row in the table, from 0; -1 for a file.
        extra: further columns.
    """

    name: str
    expression: str
    content: bytes | Path
    row: int = -1
    extra: dict = field(default_factory=dict)

    def image(self) -> PILImage.Image:
        """The photo in grey levels.

        Raises:
            BuildError: the file is not a readable image.
        """
        if isinstance(self.content, Path):
            return read_source(self.content).convert("L")
        return PILImage.fromarray(np.frombuffer(self.content, np.uint8).reshape(SIDE, SIDE))


def read_table(table: Path) -> dict[str, list[FerPhoto]]:
    """Read a table. Returns split → photos.

    Raises:
        BuildError: the table is not that of FER2013, or damaged.
    """
    splits: dict[str, list[FerPhoto]] = {}
    for number, (line, row) in enumerate(read_csv(table, ("emotion", "pixels"), ("Usage",))):
        emotion, usage = row["emotion"], row.get("Usage", "Training")
        where = f"{table}, line {line}"
        pixels = _pixels(row["pixels"], where)
        if not emotion.isdecimal() or int(emotion) >= len(CLASSES) or usage not in SPLITS:
            raise BuildError(
                f"{where}: emotion '{emotion}' and usage '{usage}'; expected 0 to {len(CLASSES) - 1} and one of "
                f"{', '.join(SPLITS)}"
            )
        photo = FerPhoto(f"row{number:05d}", CLASSES[int(emotion)], pixels, number)
        splits.setdefault(SPLITS[usage], []).append(photo)
    if not splits:
        raise BuildError(f"{table} has no rows: expected {LAYOUT}")
    return splits


def _pixels(cell: str, where: str) -> bytes:
    """The grey levels in a cell of the table."""
    values = cell.split()
    if len(values) != SIDE * SIDE:
        raise BuildError(
            f"{where}: {len(values)} of {SIDE * SIDE} pixels; the file is cut off or damaged, copy it again"
        )
    if not all(value.isdecimal() and int(value) < 256 for value in set(values)):
        raise BuildError(f"{where}: pixels must be whole numbers from 0 to 255")
    return bytes(map(int, values))


def list_folders(source: Path) -> dict[str, list[FerPhoto]]:
    """List the image files. Returns split → photos.

    Raises:
        BuildError: there is no photo to train on, or a folder is not named after an expression.
    """
    splits: dict[str, list[FerPhoto]] = {}
    for name, split in FOLDERS.items():
        if not (source / name).is_dir():
            continue
        for folder in sorted(path for path in (source / name).iterdir() if path.is_dir()):
            files = photo_files(folder)
            expression = known_expression(folder.name)
            if expression is None and files:
                raise BuildError(f"{folder}: '{folder.name}' is not an expression of FER2013")
            splits.setdefault(split, []).extend(
                FerPhoto(text_name(path.relative_to(source).as_posix()), str(expression), path) for path in files
            )
    splits = {split: photos for split, photos in splits.items() if photos}
    if "train" not in splits:
        raise BuildError(f"{source} does not hold FER2013: expected {LAYOUT}")
    return splits
