"""Stage 1's network: an encoder with the layers that name classes and read muscles."""

import numpy as np
import torch
from torch import nn

from ..data.sampling import Chips
from ..modeling_tergan import TerGanEncoder


class EncoderClassifier(nn.Module):
    """An encoder with the layers of its pre-training, which are dropped afterwards: one names the class, one, where
    `num_activations` is not 0, reads the muscles' activations. With `keeps_statistics` the encoder's batch norms stay
    in evaluation mode."""

    def __init__(
        self, encoder: TerGanEncoder, num_classes: int, num_activations: int = 0, keeps_statistics: bool = False
    ):
        super().__init__()
        self.keeps_statistics = keeps_statistics
        self.encoder = encoder
        self.head = nn.Linear(encoder.embedding.out_features, num_classes)
        self.activation_head = nn.Linear(encoder.embedding.out_features, num_activations) if num_activations else None

    def train(self, mode: bool = True):
        super().train(mode)
        if self.keeps_statistics:
            self.encoder.eval()
        return self

    def forward(self, pixel_values: torch.Tensor, in_full: bool = False):
        """(B, C, S, S) → (B, num_classes) logits; in full these, the activations (B, num_activations) or `None`, and
        the embedding."""
        embedding = self.encoder(pixel_values)
        logits = self.head(embedding)
        if not in_full:
            return logits
        return logits, None if self.activation_head is None else self.activation_head(embedding), embedding


class ActivationTargets:
    """The muscles' activations as numbers to predict: centred, divided by their deviation over the training sets.
    Muscles that never move are left out."""

    def __init__(self, sets: list[Chips]):
        known = [chips.activations for chips in sets if chips.activations is not None]
        self.moving = np.zeros(0, dtype=int)
        if known:
            values = np.concatenate(known)
            self.moving = np.flatnonzero(values.std(0) > 0.01)
            self.mean = torch.from_numpy(values.mean(0)[self.moving])
            self.std = torch.from_numpy(values.std(0)[self.moving])

    def __len__(self) -> int:
        return len(self.moving)

    def loss(self, predicted: torch.Tensor, batch: dict) -> torch.Tensor:
        """Mean squared error over variance, over the photos whose activations are known."""
        device = predicted.device
        wanted = (batch["activations"][:, self.moving] - self.mean.to(device)) / self.std.to(device)
        known = batch["has_activations"]
        per_photo = (predicted.float() - wanted).square().mean(1)
        return (per_photo * known).sum() / known.sum().clamp(min=1)
