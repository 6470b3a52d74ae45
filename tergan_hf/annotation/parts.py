"""
The parts of a run: files with the rows of up to `PHOTOS_PER_PART` photos each.

A part appears when it is complete, so that a killed run goes on after its last part. Its name tells the shard of the
source and its number in it; a note in the file, how many photos it covers and whether it is the shard's last.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
from datasets import Dataset, Features
from pyarrow import parquet

from ..data.parquet_files import open_parquet
from ..model.atomic_file_tergan import AtomicFile
from ..model.errors_tergan import InvalidInputError


PHOTOS_PER_PART = 256
NOTE = b"tergan"
FOLDER = "parts"
REASON = "reason"  # column: why a photo has no face; null for a face


@dataclass(frozen=True)
class PartNote:
    """
    Args:
        photos: number of photos of the source that the part covers. faces: rows of faces. without: rows of photos
            without one. last: whether no photos of the shard follow.
    """

    photos: int
    faces: int
    without: int
    last: bool


def part_path(folder: Path, shard: int, number: int) -> Path:
    """The file of part `number` of shard `shard`."""
    return folder / FOLDER / f"{shard:06d}-{number:06d}.parquet"


def write_part(path: Path, features: Features, rows: list[dict], photos: int, last: bool):
    """
    Write a part.

    Args:
        rows: of faces, and of photos without one, whose `REASON` says why.
        photos: number of photos. last: whether no photos of the shard follow.

    Raises:
        OutputFileError: it cannot be written.
    """
    without = sum(row.get(REASON) is not None for row in rows)
    note = PartNote(photos, len(rows) - without, without, last)
    columns = {name: [row.get(name) for row in rows] for name in features}
    table: pa.Table = Dataset.from_dict(columns, features=features).data.table
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), NOTE: json.dumps(asdict(note))})
    with AtomicFile(path) as file:
        parquet.write_table(table, file.stream)
        file.commit()


def read_note(path: Path) -> PartNote | None:
    """The note of a part; `None` if it is not written yet.

    Raises:
        InvalidInputError: the file is damaged.
    """
    if not path.exists():
        return None
    try:
        with open_parquet(path) as file:
            return PartNote(**json.loads(parquet.read_schema(file).metadata[NOTE]))
    except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise InvalidInputError(f"{path} is damaged: remove it, and repeat the command") from error


class Progress:
    """
    The notes of all parts in a folder.

    Args:
        folder: of the run. shards: number of shards of the source.

    Attributes:
        notes: of the parts of each shard, without a gap before them.
    """

    def __init__(self, folder: Path, shards: int):
        self.folder = folder
        self.notes: list[list[PartNote]] = [[] for _ in range(shards)]

    def update(self) -> int:
        """Read the notes of new parts. Returns `photos`."""
        for shard, notes in enumerate(self.notes):
            while not (notes and notes[-1].last):
                note = read_note(part_path(self.folder, shard, len(notes)))
                if note is None:
                    break
                notes.append(note)
        return self.photos

    @property
    def photos(self) -> int:
        """Number of photos that were done at the last `update`."""
        return sum(note.photos for notes in self.notes for note in notes)

    @property
    def complete(self) -> bool:
        """Whether all shards were done at the last `update`."""
        return all(notes and notes[-1].last for notes in self.notes)
