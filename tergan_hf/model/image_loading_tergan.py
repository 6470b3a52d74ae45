"""Load a user's image as upright RGB, or raise an error that names the input."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from .errors_tergan import ImageInputError, MissingFileError


ImageLike = Image.Image | str | Path | np.ndarray | io.BytesIO


def read_image(image: ImageLike, name: str) -> Image.Image:
    """
    Load an image.

    Args:
        image: a PIL image of any mode, a path, an open binary buffer, or an (H, W, 3) uint8 array.
        name: of the input, for messages.

    Returns:
        RGB image with its EXIF rotation applied. Transparency becomes white. An animation gives its first frame.

    Raises:
        MissingFileError: there is no such file.
        ImageInputError: it cannot be read for another reason.
    """
    if isinstance(image, np.ndarray):
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
            raise ImageInputError(
                f"{name}: an array must be H×W×3 uint8 (RGB, 0 to 255), got shape {image.shape}, {image.dtype}"
            )
        return Image.fromarray(image)
    name = full_name(name, image)
    if isinstance(image, (str, Path)) and not is_file(image):
        raise MissingFileError(f"{name}: no such file")
    if isinstance(image, (str, Path, io.BytesIO)):
        try:
            with Image.open(image) as opened:
                return _upright_rgb(opened)
        except UnidentifiedImageError as error:
            raise ImageInputError(f"{name}: not an image file this software can read; use JPEG or PNG") from error
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise ImageInputError(f"{name}: the file cannot be read as an image ({error})") from error
    if isinstance(image, Image.Image):
        try:
            return _upright_rgb(image)
        except (OSError, SyntaxError, ValueError) as error:
            raise ImageInputError(f"{name}: the image cannot be read ({error})") from error
    raise ImageInputError(f"{name}: expected a PIL image, a path or an H×W×3 uint8 array, got {type(image).__name__}")


def full_name(name: str, image: ImageLike) -> str:
    """The name of an input for messages, with its path if it has one."""
    return f"{name} ({image})" if isinstance(image, (str, Path)) else name


def is_file(path: str | Path) -> bool:
    """Whether a path leads to a file. `False` also if the system refuses to look, for example at a name that is too
    long."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False


def _upright_rgb(image: Image.Image) -> Image.Image:
    image.load()
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I;16") or upright.mode in ("I", "F"):
        values = np.asarray(upright, dtype=np.float64)
        # 16-bit files open as I;16 or I, and a direct conversion would clip at 255.
        brightest = 65535 if values.max() > 255 else 255
        return Image.fromarray(np.uint8(np.clip(values / brightest, 0, 1) * 255)).convert("RGB")
    if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
        layered = upright.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered).convert("RGB")
    return upright.convert("RGB")
