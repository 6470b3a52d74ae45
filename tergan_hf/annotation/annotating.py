"""Recognise the faces of a process's share of a source, part by part."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from datasets import Features, Value

from ..model.pipeline_tergan import TerGanPipeline
from .face_reader import face_features, read_photos
from .parts import PHOTOS_PER_PART, REASON, part_path, read_note, write_part
from .photo_source import PhotoSource
from .sharing import Share


ROW = "row"
SOURCE_PREFIX = "source_"


def output_features(source: PhotoSource, pipe: TerGanPipeline, blendshapes: bool) -> Features:
    """The columns of a part. Columns of the source whose names are taken begin with `SOURCE_PREFIX`."""
    faces = face_features(pipe.labels, pipe.blendshape_names if blendshapes else [])
    kept = {new: source.features[old] for old, new in kept_names(source, faces).items()}
    return Features({ROW: Value("int64"), **kept, **faces, REASON: Value("string")})


def kept_names(source: PhotoSource, faces: Features) -> dict[str, str]:
    """The columns of the source that are kept, and their names in the result."""
    taken = {ROW, REASON, *faces, "blendshapes", *source.features}
    names = {}
    for column in source.features:
        name = column
        if column in {ROW, REASON, "blendshapes", *faces}:
            name = SOURCE_PREFIX + column
            while name in taken:
                name = SOURCE_PREFIX + name
            taken.add(name)
        names[column] = name
    return names


class Annotator:
    """
    Writes the parts of a run.

    Args:
        folder: of the run.
        blendshapes: also read the blendshapes.
        advance: called after each photo with the number of photos of the unfinished part.
    """

    def __init__(
        self, source: PhotoSource, pipe: TerGanPipeline, folder: Path, blendshapes: bool,
        advance: Callable[[int], Any] = lambda photos: None,
    ):  # fmt: skip
        self.source, self.pipe, self.folder = source, pipe, folder
        self.blendshapes, self.advance = blendshapes, advance
        self.features = output_features(source, pipe, blendshapes)
        self.names = kept_names(source, face_features(pipe.labels, []))

    def run(self, share: Share):
        """
        Write the missing parts of a share.

        Raises:
            SourceError: the source cannot be read any further.
            OutputFileError: a part cannot be written.
        """
        number = share.first
        while (note := read_note(part_path(self.folder, share.shard, number))) is not None:
            if note.last:
                return
            number += share.step
        split, own = self.source.shards[share.shard]
        rows = self.source.rows(split, own, number * PHOTOS_PER_PART)
        while True:
            first = number * PHOTOS_PER_PART
            path = part_path(self.folder, share.shard, number)
            part = _Counted(islice(rows, PHOTOS_PER_PART))
            mine = number % share.step == share.first
            if mine and not path.exists():
                found = self._rows(first, part)
                write_part(path, self.features, found, part.count, part.count < PHOTOS_PER_PART)
            else:
                for _ in part:
                    pass
            if part.count < PHOTOS_PER_PART:
                return
            number += 1

    def _rows(self, first: int, part: Iterator[tuple[Any, dict]]) -> list[dict]:
        others: list[dict] = []

        def photos() -> Iterator[Any]:
            for photo, other in part:
                others.append({self.names[name]: value for name, value in other.items()})
                yield photo

        found: list[dict] = []
        for number, reading in enumerate(read_photos(self.pipe, photos(), self.blendshapes)):
            kept = {ROW: first + number, **others[number]}
            found += [{**kept, **face} for face in reading.faces] or [{**kept, REASON: reading.reason}]
            self.advance(number + 1)
        return found


class _Counted:
    """An iterator that counts what it gave."""

    def __init__(self, iterator: Iterator):
        self.iterator, self.count = iterator, 0

    def __iter__(self):
        return self

    def __next__(self):
        item = next(self.iterator)
        self.count += 1
        return item
