"""Pictures as cells of an image column."""

import io

import numpy as np
from PIL import Image

from ..model.image_loading_tergan import read_image


def image_cell(image: Image.Image | np.ndarray, kind: str, **options) -> dict:
    """
    Encode a picture as a cell of a `datasets.Image` column.

    Args:
        image: or its pixels, (H, W) or (H, W, C) uint8. kind: a format that Pillow writes.
        options: of `PIL.Image.Image.save`.
    """
    buffer = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(buffer, kind, **options)
    return {"bytes": buffer.getvalue(), "path": None}


def cell_file(encoded: dict) -> str | io.BytesIO:
    """The encoded file of a cell (`bytes` or `path`), to open."""
    return encoded["path"] if encoded["bytes"] is None else io.BytesIO(encoded["bytes"])


def decode(encoded: dict, name: str = "image") -> Image.Image:
    """Decode a cell to upright RGB, with the code that also loads users' photos.

    Raises:
        ImageInputError: the image cannot be read. The message contains `name`.
    """
    return read_image(cell_file(encoded), name)
