"""Pictures as the bytes of a file, and how alike two are."""

import io

import numpy as np
from PIL import Image

from tergan_hf.data.image_cells import image_cell
from tergan_hf.evaluation.metrics import psnr


def encoded(picture: Image.Image | np.ndarray, kind: str = "PNG", **settings) -> bytes:
    """The file of a picture, or of an array of 8-bit numbers."""
    return cell(picture, kind, **settings)["bytes"]


def open_file(picture: Image.Image, kind: str, **settings) -> io.BytesIO:
    """The same as an open file."""
    return io.BytesIO(encoded(picture, kind, **settings))


def cell(picture: Image.Image | np.ndarray, kind: str = "PNG", **settings) -> dict:
    """The same as a value of an image column."""
    return image_cell(picture, kind, **settings)


def decibels(one: Image.Image | np.ndarray, other: Image.Image | np.ndarray) -> float:
    """Peak signal-to-noise ratio of two pictures."""
    return float(psnr(np.asarray(one)[None], np.asarray(other)[None]))
