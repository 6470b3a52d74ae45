"""What the encoders say of the photos of a set."""

from collections.abc import Callable

import numpy as np
import torch
from tqdm.auto import tqdm

from ..data.photo_set import PhotoSet, aligned_crops
from ..model.encoder_tergan import TerGanEncoder


MOST_PHOTOS = 6000  # of a set; the layers fitted on f(e) have a few thousand parameters


def choose_rows(rows: np.ndarray, most: int = MOST_PHOTOS) -> np.ndarray:
    """All of some row numbers, or a fixed random choice of `most`."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, most, replace=False))


def spread_rows(rows: np.ndarray, most: int) -> np.ndarray:
    """At most `most` of the rows, evenly spaced."""
    return rows[np.unique(np.linspace(0, len(rows) - 1, most).round().astype(int))]


@torch.no_grad()
def embed_expressions(
    encoder: TerGanEncoder, photos: PhotoSet, rows: np.ndarray, mirrored: bool = False
) -> torch.Tensor:
    """Compute f(e) of some photos of a set, (rows, expression_embedding_size). With `mirrored`, each photo is followed
    by its mirror image. Puts the encoder into evaluation mode."""

    def embed(crops: torch.Tensor) -> torch.Tensor:
        views = [crops, crops.flip(3)] if mirrored else [crops]
        return torch.stack([encoder(view) for view in views], dim=1).flatten(0, 1)

    return _over_crops(encoder, embed, photos, rows, 256, "f(e)")


@torch.no_grad()
def identity_features(encoder: TerGanEncoder, photos: PhotoSet, rows: np.ndarray) -> torch.Tensor:
    """Compute what the last layer of G_et reads f(i) from, (rows, features), for some photos of a set. Puts the
    encoder into evaluation mode."""

    def features(crops: torch.Tensor) -> torch.Tensor:
        return encoder.features(encoder.feature_maps(crops))

    return _over_crops(encoder, features, photos, rows, 128, "f(i)")


def _over_crops(
    encoder: TerGanEncoder, compute: Callable[[torch.Tensor], torch.Tensor], photos: PhotoSet, rows: np.ndarray,
    batch_size: int, name: str,
) -> torch.Tensor:  # fmt: skip
    encoder.eval()
    device = encoder.embedding.weight.device
    computed = []
    for start in tqdm(
        range(0, len(rows), batch_size), desc=f"{name} of {photos.name}", dynamic_ncols=True, mininterval=5
    ):
        crops = aligned_crops(photos, rows[start : start + batch_size], encoder.image_size, device)
        computed.append(compute(crops))
    return torch.cat(computed).float()
