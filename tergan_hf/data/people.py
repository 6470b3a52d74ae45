"""Which people and which photos two sets share."""

import hashlib
from collections.abc import Callable

import numpy as np
from datasets import Dataset
from tqdm.auto import tqdm

from .image_cells import decode
from .loading import NO_IDENTITY


def shared_people(
    photos: Dataset, training: Dataset, in_one_folder: bool, digests: Callable[[Dataset], list[bytes]]
) -> set[str]:
    """
    The names of the people in both sets.

    Sets that are made alike name their people alike: `avatar_0000` of one is not that of the other. So names tell
    within one folder only. Elsewhere a person is the same if a photo is, too.

    Args:
        in_one_folder: whether names tell.
        digests: `pixel_digests`, or `file_digests` if equal photos are equal files.
    """
    shared = (set(photos["identity"]) & set(training["identity"])) - {NO_IDENTITY}
    if in_one_folder or not shared:
        return shared
    ours, theirs = (
        side.select(np.flatnonzero(np.isin(np.array(side["identity"]), list(shared)))) for side in (photos, training)
    )
    trained_on = set(zip(theirs["identity"], digests(theirs)))
    return {pair[0] for pair in zip(ours["identity"], digests(ours)) if pair in trained_on}


def file_digests(photos: Dataset) -> list[bytes]:
    """A digest of the encoded file of each photo, whose bytes the set holds. Nothing is decoded."""
    return [hashlib.sha256(encoded["bytes"]).digest() for encoded in photos["image"]]


def pixel_digests(photos: Dataset, name: str = "photos") -> list[bytes]:
    """A digest of the size and decoded pixels of each photo. The file format does not matter."""
    digests = []
    for row, encoded in enumerate(
        tqdm(photos["image"], desc=f"{name}: duplicates", dynamic_ncols=True, leave=False, mininterval=1)
    ):
        image = decode(encoded, f"{name}[{row}]")
        digests.append(hashlib.sha256(f"{image.size} ".encode() + image.tobytes()).digest())
    return digests
