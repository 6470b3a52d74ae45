"""The network of stage 1: an encoder with the layers that its pre-training needs."""

import numpy as np
import torch
from torch import nn

from ..data.photo_set import PhotoSet
from ..model.encoder_tergan import TerGanEncoder


class EncoderClassifier(nn.Module):
    """
    An encoder with the heads of its pre-training, which are dropped afterwards.

    Args:
        num_classes: of the classification head.
        num_blendshapes: outputs of a head that reads blendshapes; 0 leaves it out.
    """

    def __init__(self, encoder: TerGanEncoder, num_classes: int, num_blendshapes: int = 0):
        super().__init__()
        self.encoder = encoder
        size = encoder.embedding.out_features
        self.head = nn.Linear(size, num_classes)
        self.blendshape_head = nn.Linear(size, num_blendshapes) if num_blendshapes else None

    def forward(self, pixel_values: torch.Tensor, with_blendshapes: bool = False):
        """Crops (B, C, S, S) → logits (B, num_classes). With blendshapes also those, (B, num_blendshapes), or `None`
        without that head."""
        embedding = self.encoder(pixel_values)
        logits = self.head(embedding)
        if not with_blendshapes:
            return logits
        return logits, None if self.blendshape_head is None else self.blendshape_head(embedding)


class BlendshapeTargets:
    """Blendshapes as regression targets: centred and divided by their standard deviation over the training sets.
    Blendshapes that never move are left out."""

    def __init__(self, sets: list[PhotoSet]):
        known = [photos.blendshapes for photos in sets if photos.blendshapes is not None]
        self.moving = np.zeros(0, dtype=int)
        if known:
            values = np.concatenate(known)
            self.moving = np.flatnonzero(values.std(0) > 0.01)
            self.mean = torch.from_numpy(values.mean(0)[self.moving])
            self.std = torch.from_numpy(values.std(0)[self.moving])

    def __len__(self) -> int:
        return len(self.moving)

    def loss(self, predicted: torch.Tensor, batch: dict) -> torch.Tensor:
        """Mean squared error over variance, for the photos whose blendshapes are known."""
        device = predicted.device
        wanted = (batch["blendshapes"][:, self.moving] - self.mean.to(device)) / self.std.to(device)
        known = batch["has_blendshapes"]
        per_photo = (predicted.float() - wanted).square().mean(1)
        return (per_photo * known).sum() / known.sum().clamp(min=1)
