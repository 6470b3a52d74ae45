"""The folder of a run: which run it belongs to, and whether it is complete."""

import hashlib
import json
import shutil
from pathlib import Path

from ..data.folder_lock import LOCK
from ..model.atomic_file_tergan import write_whole
from ..model.errors_tergan import InvalidInputError
from .parts import FOLDER
from .photo_source import PhotoSource


RECORD, CARD = "recognition.json", "README.md"
FACES, WITHOUT = "faces", "without_faces"  # folders of the result, and configurations of its card
MEANINGS = {
    "files": "other photos", "splits": "other splits", "image_column": "another column of photos",
    "columns": "other columns", "model": "another model", "blendshapes": "another choice of --blendshapes",
}  # fmt: skip


class OutputError(InvalidInputError):
    """A folder or repository that holds something else. The message says what to do."""


def make_record(source: PhotoSource, model: str, blendshapes: bool, revision: str | None) -> dict:
    """The values that two runs must share if one goes on where the other stopped."""
    return {
        "files": hashlib.sha256("\n".join(source.files).encode()).hexdigest(),
        "splits": {split: stream.num_shards for split, stream in source.streams.items()},
        "image_column": source.image_column,
        "columns": list(source.features),
        "model": model,
        "blendshapes": blendshapes,
        "revision": revision,
    }


def read_record(folder: Path) -> dict | None:
    """The record of the run that a folder belongs to; `None` if there is none.

    Raises:
        OutputError: it is damaged.
    """
    path = folder / RECORD
    if not path.exists():
        return None
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise OutputError(f"{path} is damaged: choose another output, or remove {folder}") from error


def claim(folder: Path, record: dict, overwrite: bool = False):
    """
    Reserve a folder for a run. What the same run wrote before is kept.

    Args:
        overwrite: remove what another run wrote.

    Raises:
        OutputError: the folder holds something else.
        OutputFileError: it cannot be written.
    """
    found = read_record(folder)
    if found is None and any(path.name != LOCK for path in folder.iterdir()):
        raise OutputError(f"{folder} holds something else: choose a folder that is empty or does not exist yet")
    if found is not None and found != record:
        if not overwrite:
            raise OutputError(
                f"{folder} was made from {difference(found, record)}: add --overwrite, or choose another output"
            )
        for name in (FOLDER, FACES, WITHOUT):
            shutil.rmtree(folder / name, ignore_errors=True)
        (folder / CARD).unlink(missing_ok=True)
    (folder / FOLDER).mkdir(exist_ok=True)
    write_whole(folder / RECORD, (json.dumps(record, indent=1) + "\n").encode())
    if (folder / CARD).is_file():  # the result is complete
        shutil.rmtree(folder / FOLDER, ignore_errors=True)


def difference(found: dict, record: dict) -> str:
    """What two records differ in, in words."""
    words = [meaning for key, meaning in MEANINGS.items() if found.get(key) != record[key]]
    return " and ".join(words) or "another version of the source"
