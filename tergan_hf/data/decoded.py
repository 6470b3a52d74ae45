"""Decoded pixels in memory that all workers of a process share: each image is decoded once, not once per epoch."""

import mmap

import numpy as np
from PIL import Image

from .image_cells import cell_file, decode


class DecodedColumn:
    """
    The decoded images of one column, kept by row number in memory that forked workers share.

    Args:
        photos: a data set.
        column: its column of images.
        max_bytes: memory to use. Images that do not fit are decoded at each access.
        side: resize the images to squares of this side. Default: keep their size.
        as_stored: keep the channels of the images instead of converting them to RGB.
    """

    def __init__(self, photos, column: str, max_bytes: int, side: int | None = None, as_stored: bool = False):
        self.as_stored = as_stored
        self.photos, self.column, self.max_bytes = photos.select_columns([column]), column, max_bytes
        self.side = side
        self.shape = self._decode(0).shape
        self._allocate()

    def __getitem__(self, row: int) -> np.ndarray:
        """(H, W, C) uint8. Do not write to it: it may be the shared memory."""
        row = int(row)
        if row < len(self._known) and self._known[row]:
            return self._pixels[row]
        pixels = self._decode(row)
        if row < len(self._known) and pixels.shape == self.shape:
            self._pixels[row] = pixels
            self._known[row] = 1  # after the pixels: another worker may read in between
        return pixels

    def _decode(self, row: int) -> np.ndarray:
        if self.as_stored:
            with Image.open(cell_file(self.photos[row][self.column])) as stored:
                return np.array(stored)
        image = decode(self.photos[row][self.column])
        if self.side is not None and image.size != (self.side, self.side):
            image = image.resize((self.side, self.side), Image.Resampling.BILINEAR)
        return np.asarray(image)

    def _allocate(self):
        size = int(np.prod(self.shape))
        rows = min(len(self.photos), self.max_bytes // size)
        # Anonymous shared pages need no file, leave nothing behind and take memory only when written.
        self._pixels = np.frombuffer(mmap.mmap(-1, max(1, rows * size)), np.uint8)[: rows * size]
        self._pixels = self._pixels.reshape(rows, *self.shape)
        self._known = np.frombuffer(mmap.mmap(-1, max(1, rows)), np.uint8)[:rows]

    def __getstate__(self) -> dict:
        # A spawned worker shares no memory with this process and decodes for itself.
        return {key: value for key, value in self.__dict__.items() if key not in ("_pixels", "_known")}

    def __setstate__(self, state: dict):
        self.__dict__.update(state)
        self._allocate()
