"""Load a user's image as upright RGB, or raise an error that names the input."""

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError

from .errors_tergan import ImageInputError, MissingFileError


ImageLike = Image.Image | str | Path | np.ndarray | BinaryIO

# Formats that run a program (Ghostscript) or are drawings.
REFUSED_FORMATS = frozenset({"EPS", "WMF"})

# Orientation of EXIF → what makes the photo upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip

_LIMIT = threading.Lock()


def read_image(image: ImageLike, name: str) -> Image.Image:
    """
    Load an image of any size: how large a photo may be is for the application to decide.

    Args:
        image: a PIL image of any mode, a path, an open binary file, or an (H, W, 3) uint8 array.
        name: of the input, for messages.

    Returns:
        RGB image with its EXIF rotation applied. Transparency becomes white. An animation gives its first frame. The
        pixels of an RGB photo and its colour profile (Display P3, for example) are kept; grey, CMYK and LAB images are
        converted to sRGB by their profile. Comments and other metadata are dropped.

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
    try:
        if isinstance(image, Image.Image):
            if 0 in image.size:
                raise ValueError("it has no pixels")
            return _upright_rgb(image)
        if isinstance(image, (str, Path)) or hasattr(image, "read"):
            with open_unlimited(image) as opened:
                return _upright_rgb(opened)
    except UnidentifiedImageError as error:
        raise ImageInputError(f"{name}: not an image file this software can read; use JPEG or PNG") from error
    except MemoryError as error:
        raise ImageInputError(f"{name}: the photo is too large for this machine's memory") from error
    except Exception as error:  # each decoder has its own
        raise ImageInputError(f"{name}: the file cannot be read as an image ({error})") from error
    raise ImageInputError(f"{name}: expected a PIL image, a path or an H×W×3 uint8 array, got {type(image).__name__}")


def open_unlimited(image: str | Path | BinaryIO) -> Image.Image:
    """Open an image file without Pillow's limit on pixels, which a phone's 200-megapixel photo exceeds. Only the head
    of the file is read."""
    Image.init()
    with without_pixel_limit():
        return Image.open(image, formats=[kind for kind in Image.ID if kind not in REFUSED_FORMATS])


@contextmanager
def without_pixel_limit() -> Iterator[None]:
    """Lift Pillow's limit on pixels. It is one for all threads, so they take turns."""
    with _LIMIT, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def to_srgb(image: Image.Image) -> Image.Image:
    """Convert an RGB image by its colour profile to sRGB, for where no profile can be stored. A profile that cannot be
    used is dropped."""
    converted = _convert_by_profile(image, image.info.get("icc_profile"))
    plain = image.copy() if converted is None else converted
    plain.info = {}
    return plain


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
    with without_pixel_limit() if image.format == "TIFF" else nullcontext():  # Pillow looks again at these
        image.load()
    profile = image.info.get("icc_profile")
    turn = _TURNS.get(_orientation(image))
    upright = image if turn is None else image.transpose(turn)
    rgb = _to_rgb(upright, profile)
    # A profile describes the pixels it came with.
    keeps_profile = (
        profile is not None and upright.mode in ("RGB", "RGBA", "P", "PA") and _colour_space(profile) == "RGB"
    )
    rgb.info = {"icc_profile": profile} if keeps_profile else {}
    return rgb


def _orientation(image: Image.Image) -> int:
    """The orientation in EXIF, 1 if there is none or EXIF is damaged."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # each damage has its own
        return 1


def _to_rgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if image.mode in ("RGBa", "La"):  # with colours that are multiplied by alpha
        image = image.convert(image.mode.upper())
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return _from_deep_grey(np.asarray(image)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layered = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered).convert("RGB")
    if image.mode in ("L", "CMYK", "LAB"):
        converted = _convert_by_profile(image, profile)
        if converted is not None:
            return converted
    if image.mode == "LAB":
        # Pillow has no conversion of its own for it.
        transform = ImageCms.buildTransform(
            ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB"
        )
        return transform.apply(image)
    return image.convert("RGB")


def _from_deep_grey(pixels: np.ndarray) -> Image.Image:
    """8-bit grey levels of (H, W) integers, or of floats up to 1, 255 or 65535. It works in strips, since it needs
    eight bytes per pixel."""
    rows = max(1, 2**20 // pixels.shape[1])
    strips = [slice(top, top + rows) for top in range(0, len(pixels), rows)]
    # 16-bit files open as I;16 or I, and a direct conversion would clip at 255.
    most = max(_finite(pixels[strip]).max() for strip in strips)
    brightest = 1 if most <= 1 and pixels.dtype.kind == "f" else 255 if most <= 255 else 65535
    levels = np.empty(pixels.shape, np.uint8)
    for strip in strips:
        levels[strip] = np.clip(_finite(pixels[strip]) / brightest, 0, 1) * 255
    return Image.fromarray(levels)


def _finite(pixels: np.ndarray) -> np.ndarray:
    return np.nan_to_num(pixels.astype(np.float64))


def _convert_by_profile(image: Image.Image, profile: bytes | None) -> Image.Image | None:
    """The image in sRGB, or `None` if the profile is missing, damaged or of another colour space."""
    if not profile:
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _colour_space(profile: bytes) -> str | None:
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space.strip()
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None


__all__ = ["ImageLike", "full_name", "is_file", "open_unlimited", "read_image", "to_srgb", "without_pixel_limit"]
