"""Pixels that are decoded once, not once per epoch, and shared by all workers of a process."""

import io
import mmap

import numpy as np
from PIL import Image

from .padded_crops import decode


class DecodedColumn:
    """
    The pixels of one image column by row number, kept in memory that workers share once they are forked off.

    Args:
        photos: a data set whose only column of interest is `column`.
        most_bytes: of memory; what does not fit is decoded each time.
        side: the pixels are kept as squares of this side; default: as they are.
        as_stored: keep a picture's own channels instead of RGB.
    """

    def __init__(self, photos, column: str, most_bytes: int, side: int | None = None, as_stored: bool = False):
        self.as_stored = as_stored
        self.photos, self.column, self.most_bytes = photos.select_columns([column]), column, most_bytes
        self.side = side
        self.shape = self._decode(0).shape
        self._allocate()

    def __getitem__(self, row: int) -> np.ndarray:
        """(H, W, C) uint8; not to be written to."""
        row = int(row)
        if row < len(self._known) and self._known[row]:
            return self._pixels[row]
        pixels = self._decode(row)
        if row < len(self._known) and pixels.shape == self.shape:
            self._pixels[row] = pixels
            self._known[row] = 1  # after the pixels: another worker may look in between
        return pixels

    def _decode(self, row: int) -> np.ndarray:
        if self.as_stored:
            encoded = self.photos[row][self.column]
            with Image.open(encoded["path"] if encoded["bytes"] is None else io.BytesIO(encoded["bytes"])) as stored:
                return np.array(stored)
        image = decode(self.photos[row][self.column])
        if self.side is not None and image.size != (self.side, self.side):
            image = image.resize((self.side, self.side), Image.Resampling.BILINEAR)
        return np.asarray(image)

    def _allocate(self):
        size = int(np.prod(self.shape))
        rows = min(len(self.photos), self.most_bytes // size)
        # Anonymous shared pages: no file, nothing left behind, and taken only when they are written.
        self._pixels = np.frombuffer(mmap.mmap(-1, max(1, rows * size)), np.uint8)[: rows * size]
        self._pixels = self._pixels.reshape(rows, *self.shape)
        self._known = np.frombuffer(mmap.mmap(-1, max(1, rows)), np.uint8)[:rows]

    def __getstate__(self) -> dict:
        # A worker that is started afresh instead of forked decodes for itself.
        return {key: value for key, value in self.__dict__.items() if key not in ("_pixels", "_known")}

    def __setstate__(self, state: dict):
        self.__dict__.update(state)
        self._allocate()
