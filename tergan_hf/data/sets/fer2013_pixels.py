"""Checks on the pixels of FER2013: equalised contrast, and photos that are in a test split as well."""

import hashlib
from dataclasses import dataclass

import numpy as np

from .fer2013_source import FerPhoto


WHITE = 250  # grey level
MUCH_WHITE = 0.2  # share of white pixels in a photo
# Kaggle's pixels have a mean contrast of 54 and much white in 1.8 % of the photos; the equalised copies 77 and 18 %.
# The limits are half way.
EQUALIZED_CONTRAST, EQUALIZED_WHITE = 66, 0.1
MANY_PHOTOS = 100  # enough for the contrast to decide alone; samples of 100 photos have at most 60


@dataclass(frozen=True)
class PixelStatistics:
    """
    Statistics of all photos of a source.

    Args:
        photos: number of photos.
        contrast: mean over the photos of the standard deviation of the grey levels, 0 to 127.5.
        white: share of the photos with more than a fifth of white pixels.
        digests: name of each photo → digest of its size and pixels.
    """

    photos: int
    contrast: float
    white: float
    digests: dict[str, bytes]

    @property
    def are_equalized(self) -> bool:
        """Whether the contrast was equalised."""
        if self.contrast < EQUALIZED_CONTRAST:
            return False
        return self.white >= EQUALIZED_WHITE or self.photos >= MANY_PHOTOS

    def describe_equalized(self) -> str:
        """What is wrong with a source of equalised contrast, as one sentence without a subject."""
        return (
            f"has equalised contrast (mean {self.contrast:.0f}, and {self.white:.1%} of the photos have more than a "
            f"fifth of white pixels; Kaggle's originals have 54 and 1.8 %): its light and dark areas are clipped, so "
            "a model trained on it recognises ordinary photos less well"
        )


def measure_pixels(splits: dict[str, list[FerPhoto]]) -> PixelStatistics:
    """Read all photos once and measure them.

    Raises:
        BuildError: a file is not a readable image.
    """
    contrast, white, digests = [], [], {}
    for photo in (photo for photos in splits.values() for photo in photos):
        levels = np.asarray(photo.image())
        contrast.append(float(levels.std()))
        white.append(float((levels >= WHITE).mean()) > MUCH_WHITE)
        digests[photo.name] = hashlib.sha256(f"{levels.shape} ".encode() + levels.tobytes()).digest()
    return PixelStatistics(len(digests), float(np.mean(contrast)), float(np.mean(white)), digests)


def without_test_photos(
    splits: dict[str, list[FerPhoto]], digests: dict[str, bytes], tested: set[bytes]
) -> tuple[dict[str, list[FerPhoto]], int]:
    """
    Leave photos out of the split `train` whose pixels are in a test split as well.

    Args:
        splits: split → photos.
        digests: name of each photo → digest of its pixels.
        tested: digests of all photos of the test splits.

    Returns:
        the splits, the number of photos left out.
    """
    before = splits.get("train", [])
    kept = [photo for photo in before if digests[photo.name] not in tested]
    return {**splits, "train": kept} if "train" in splits else splits, len(before) - len(kept)
