"""Put the parts of a run together: tables in the order of the source, with row numbers of the whole split."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
from datasets import Features
from pyarrow import compute, parquet

from ..data.parquet_files import open_parquet
from ..model.atomic_file_tergan import AtomicFile
from .annotating import ROW
from .face_reader import NO_FACE
from .parts import REASON, PartNote, part_path
from .run_folder import FACES, WITHOUT


ROWS_PER_FILE, ROWS_PER_GROUP = 100_000, 10_000


@dataclass
class Summary:
    """
    Counts of a finished run.

    Args:
        photos: all of them. faces: rows of faces. without: photos without a face, by the reason.
        expressions: faces by their expression.
        splits: split → rows of faces. splits_without: the splits with photos without a face.
    """

    photos: int = 0
    faces: int = 0
    without: Counter = field(default_factory=Counter)
    expressions: Counter = field(default_factory=Counter)
    splits: dict[str, int] = field(default_factory=dict)
    splits_without: list[str] = field(default_factory=list)

    @property
    def unreadable(self) -> int:
        """Photos that could not be read."""
        return sum(count for reason, count in self.without.items() if reason != NO_FACE)


def assemble(folder: Path, shards: list[tuple[str, int]], notes: list[list[PartNote]], features: Features) -> Summary:
    """
    Write the tables of faces and of photos without one.

    Args:
        folder: of the run, with all parts.
        shards: split and number of each shard of the source.
        notes: of the parts of each shard.
        features: of the parts.

    Raises:
        OutputFileError: a table cannot be written.
    """
    summary = Summary()
    faces = Features({name: kind for name, kind in features.items() if name != REASON})
    # The columns of a photo come before those of a face.
    kept = list(features)[: list(features).index("face")]
    without = Features({name: features[name] for name in [*kept, REASON]})
    for split in dict(shards):
        own = [shard for shard, (name, _) in enumerate(shards) if name == split]
        found = sum(note.faces for shard in own for note in notes[shard])
        missed = sum(note.without for shard in own for note in notes[shard])
        summary.splits[split] = found
        summary.splits_without += [split] if missed else []
        with ExitStack() as stack:
            table_of_faces = stack.enter_context(_Table(folder / FACES, split, found, faces, always=True))
            table_without = stack.enter_context(_Table(folder / WITHOUT, split, missed, without))
            for part in _parts(folder, own, notes):
                seen = part.filter(compute.is_null(part[REASON]))
                unseen = part.filter(compute.is_valid(part[REASON]))
                table_of_faces.add(seen)
                table_without.add(unseen)
                summary.expressions.update(seen["expression"].to_pylist())
                summary.without.update(unseen[REASON].to_pylist())
        summary.photos += sum(note.photos for shard in own for note in notes[shard])
        summary.faces += found
    return summary


def _parts(folder: Path, shards: list[int], notes: list[list[PartNote]]) -> Iterator[pa.Table]:
    """The parts of a split, with row numbers of the split instead of those of a shard."""
    offset = 0
    for shard in shards:
        for number in range(len(notes[shard])):
            with open_parquet(part_path(folder, shard, number)) as file:
                part = parquet.read_table(file)
            yield part.set_column(
                part.schema.get_field_index(ROW), ROW, compute.add(part[ROW], pa.scalar(offset, pa.int64()))
            )
        offset += sum(note.photos for note in notes[shard])


class _Table:
    """
    A table of a known number of rows in files of up to `ROWS_PER_FILE`.

    Args:
        always: write a file even without rows.
    """

    def __init__(self, folder: Path, split: str, rows: int, features: Features, always: bool = False):
        self.schema = features.arrow_schema
        self.files = max(int(always), -(-rows // ROWS_PER_FILE))
        self.folder, self.split, self.number, self.written = folder, split, 0, 0
        self.waiting: list[pa.Table] = []
        self._open: tuple[AtomicFile, parquet.ParquetWriter] | None = None
        if self.files:
            folder.mkdir(exist_ok=True)

    def __enter__(self):
        return self

    def add(self, rows: pa.Table):
        """Add rows; columns that the table does not have are left out."""
        while len(rows):
            room = ROWS_PER_FILE - self.written - sum(map(len, self.waiting))
            self.waiting.append(rows.slice(0, room))
            rows = rows.slice(room)
            waiting = sum(map(len, self.waiting))
            if self.written + waiting == ROWS_PER_FILE:
                self._finish()
            elif waiting >= ROWS_PER_GROUP:
                self._write()

    def __exit__(self, kind, *_):
        if kind is None and self.number < self.files:
            self._finish()
        elif self._open is not None:
            self._open[0].__exit__()

    def _write(self):
        if self._open is None:
            path = self.folder / f"{self.split}-{self.number:05d}-of-{self.files:05d}.parquet"
            file = AtomicFile(path)
            self._open = file, parquet.ParquetWriter(file.stream, self.schema)
        for rows in self.waiting:
            self.written += len(rows)
        if self.waiting:
            joined = pa.concat_tables(self.waiting).combine_chunks()
            columns = [joined[name] for name in self.schema.names]
            self._open[1].write_table(pa.Table.from_arrays(columns, schema=self.schema))
        self.waiting = []

    def _finish(self):
        self._write()
        assert self._open is not None
        file, writer = self._open
        with file:
            writer.close()
            file.commit()
        self._open, self.number, self.written = None, self.number + 1, 0
