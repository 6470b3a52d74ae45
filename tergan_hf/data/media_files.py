"""Find the photos and clips of a folder by what they contain."""

import codecs
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from ..model.errors_tergan import MissingPackageError, VideoInputError
from ..model.image_loading_tergan import open_unlimited
from ..model.video_tergan import clip_seconds


PHOTO, CLIP = "photo", "clip"
HEAD_BYTES = 4096
# Names that promise a photo or clip. If its content is damaged, the error names the file.
PHOTO_SUFFIXES = {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif", ".jp2", ".heic",
    ".heif", ".ppm", ".pgm",
}  # fmt: skip
CLIP_SUFFIXES = {
    ".mp4", ".m4v", ".mov", ".3gp", ".webm", ".mkv", ".avi", ".wmv", ".flv", ".mpg", ".mpeg", ".mts", ".m2ts",
}  # fmt: skip
AMBIGUOUS_SUFFIXES = {".ts", ".vob", ".ogv", ".mxf", ".dv"}
# Pillow knows these by their first bytes and cannot decode them.
NOT_DECODED = {"MPEG", "EPS", "WMF", "EMF", "BUFR", "GRIB", "HDF5"}
# Some demuxers take these pictures for clips.
PICTURE_HEADS = (
    b"\xff\xd8",
    b"\x89PNG",
    b"GIF8",
    b"BM",
    b"II*\0",
    b"MM\0*",
    b"8BPS",
)
HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis"}
NAMES_SHOWN = 10


@dataclass
class FoundMedia:
    """
    The files of a folder.

    Args:
        files: kind (`PHOTO` or `CLIP`) of each file to work on, in the order of their paths.
        skipped: files that are neither, relative to the folder.
    """

    files: dict[Path, str] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    def skipped_sentence(self, kinds: str = "photos or clips") -> str:
        """Name the skipped files in one sentence; empty if there are none."""
        if not self.skipped:
            return ""
        names = ", ".join(self.skipped[:NAMES_SHOWN])
        more = len(self.skipped) - NAMES_SHOWN
        return f"skipped, because they are no {kinds}: {names}" + (f" and {more} more" if more > 0 else "")


def find_media(folder: Path, kinds: Iterable[str] = (PHOTO, CLIP), without: Path | None = None) -> FoundMedia:
    """
    Find the photos and clips in a folder and its subfolders.

    Hidden files and folders are left out without a word: macOS and cameras write them beside photos.

    Args:
        kinds: of the files to find.
        without: a file or folder to leave out, such as that of earlier results.
    """
    found = FoundMedia()
    left_out = os.path.realpath(without) if without is not None else None
    for parent, folders, names in os.walk(folder, onerror=lambda error: found.skipped.append(str(error.filename))):
        folders[:], names = (
            [
                name
                for name in some
                if not name.startswith(".")
                and (left_out is None or os.path.realpath(os.path.join(parent, name)) != left_out)
            ]
            for some in (folders, names)
        )
        for name in names:
            path = Path(parent, name)
            kind = media_kind(path)
            if kind is not None and kind in kinds:
                found.files[path] = kind
            else:
                found.skipped.append(str(path.relative_to(folder)))
    return FoundMedia(dict(sorted(found.files.items())), sorted(found.skipped))


def media_kind(path: Path) -> str | None:
    """
    Whether a file is a photo or a clip, by its content.

    Returns:
        `PHOTO`, `CLIP` or `None`. A damaged file counts as what its name promises.
    """
    if not path.is_file():
        return None
    if is_photo(path):
        return PHOTO
    suffix = path.suffix.lower()
    if _is_clip(path):
        return CLIP
    return PHOTO if suffix in PHOTO_SUFFIXES else CLIP if suffix in CLIP_SUFFIXES else None


def is_photo(path: Path) -> bool:
    """Whether a file is a photo, by its content. Some kinds, such as HEIC, count although not everybody can read
    them."""
    try:
        with open_unlimited(path) as image:
            # The head of a TGA has no mark of its own, so that other files can look like one.
            return image.format not in NOT_DECODED and (image.format != "TGA" or path.suffix.lower() == ".tga")
    except Exception:  # Pillow's plugins raise errors of any class for damaged heads
        head = _head(path)
        return head[4:8] == b"ftyp" and head[8:12] in HEIF_BRANDS


def _is_clip(path: Path) -> bool:
    head = _head(path)
    if not head or head.startswith(PICTURE_HEADS) or _is_text(head):
        return False
    try:
        clip_seconds(path)
    except MissingPackageError:
        return path.suffix.lower() in CLIP_SUFFIXES | AMBIGUOUS_SUFFIXES
    except (VideoInputError, OSError):
        return False
    return True


def _head(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(HEAD_BYTES)
    except OSError:
        return b""


def _is_text(head: bytes) -> bool:
    """Whether a file begins like text, for example a playlist or a program in TypeScript, whose name also ends in
    `.ts`."""
    if b"\0" in head:
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # its last character may be cut
    except UnicodeDecodeError:
        return False
    return True


def without_media_suffix(name: str) -> str:
    """A file's name without its ending, if that is the ending of a photo or clip. In "12.05.2024" it is not."""
    stem, dot, suffix = name.rpartition(".")
    known = PHOTO_SUFFIXES | CLIP_SUFFIXES | AMBIGUOUS_SUFFIXES | set(Image.registered_extensions())
    return stem if dot and stem and f".{suffix.lower()}" in known else name


def is_utf8(name: str) -> bool:
    """Whether a file's name can be encoded."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def text_name(path: str | Path) -> str:
    """A path as text. Bytes that are not UTF-8 become escape sequences."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
