"""Digests of pixels, to find photos that two splits share."""

import hashlib

from tqdm.auto import tqdm

from ..data.padded_crops import decode


def pixel_digests(photos, name: str = "photos") -> list[bytes]:
    """A digest of the size and decoded pixels of each photo. The file format does not matter."""
    digests = []
    for row, encoded in enumerate(
        tqdm(photos["image"], desc=f"{name}: duplicates", dynamic_ncols=True, leave=False, mininterval=1)
    ):
        image = decode(encoded, f"{name}[{row}]")
        digests.append(hashlib.sha256(f"{image.size} ".encode() + image.tobytes()).digest())
    return digests
