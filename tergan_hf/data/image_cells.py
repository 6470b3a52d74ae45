"""Pictures as cells of an image column."""

import io

import numpy as np
from PIL import Image


def image_cell(pixels: np.ndarray, kind: str, **options) -> dict:
    """
    Encode pixels as a cell of a `datasets.Image` column.

    Args:
        pixels: (H, W) or (H, W, C) uint8. kind: a format that Pillow writes. options: of `PIL.Image.Image.save`.
    """
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return {"bytes": buffer.getvalue(), "path": None}
