"""The network of stage 1: an encoder with the layers that its pre-training needs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ..data.photo_set import PhotoSet
from ..expressions.blendshapes import COLUMN_NAMES, LEAST_DEVIATION, column_units, moments
from ..expressions.side_components import from_side_components, to_side_components
from ..model.encoder_tergan import TerGanEncoder


@dataclass
class Readings:
    """
    What the heads of an `EncoderClassifier` read.

    Args:
        logits: (B, num_classes).
        original_logits: (B, num_classes) for the second label of a photo, or `None`.
        blendshapes: (B, num_blendshapes), standardised as `BlendshapeTargets` are, or `None`.
    """

    logits: torch.Tensor
    original_logits: torch.Tensor | None
    blendshapes: torch.Tensor | None


class EncoderClassifier(nn.Module):
    """
    An encoder with the heads of its pre-training.

    Args:
        num_classes: of the classification head.
        targets: the blendshapes that a head reads; without any it is left out.
        with_original: add a head for a second label of each photo.
    """

    def __init__(
        self, encoder: TerGanEncoder, num_classes: int, targets: "BlendshapeTargets | None" = None,
        with_original: bool = False,
    ):  # fmt: skip
        super().__init__()
        self.encoder, self.targets = encoder, targets
        size = encoder.embedding.out_features
        self.head = nn.Linear(size, num_classes)
        self.original_head = nn.Linear(size, num_classes) if with_original else None
        self.blendshape_head = nn.Linear(size, len(targets)) if targets else None

    def forward(self, pixel_values: torch.Tensor) -> Readings:
        """Crops (B, C, S, S) → the readings of all heads."""
        embedding = self.encoder(pixel_values)
        original, blendshapes = (
            None if head is None else head(embedding) for head in (self.original_head, self.blendshape_head)
        )
        return Readings(self.head(embedding), original, blendshapes)

    def blendshape_regressor(self, names: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor] | None:
        """
        Weight (names, D) and bias (names,) of a layer that reads the blendshapes `names` from embeddings, in the units
        of `TerGanModel.read_blendshapes`. A name that never moves in training gives 0. `None` without that head.
        """
        head, targets = self.blendshape_head, self.targets
        if head is None or targets is None:
            return None
        weight, bias = head.weight.new_zeros(len(names), head.in_features), head.bias.new_zeros(len(names))
        with torch.no_grad():
            # Each row of `columns` is linear in an embedding: the first is for an embedding of zeros.
            probes = torch.cat([torch.zeros(1, head.in_features), torch.eye(head.in_features)]).to(head.weight)
            columns = targets.to_columns(head(probes))
            for number, (name, unit) in enumerate(zip(names, column_units(names))):
                if name in COLUMN_NAMES and targets.moves[column := COLUMN_NAMES.index(name)]:
                    bias[number] = columns[0, column] * unit
                    weight[number] = (columns[1:, column] - columns[0, column]) * unit
        return weight, bias


class BlendshapeTargets:
    """
    Blendshapes as regression targets: their `side_components`, centred and divided by their standard deviation over
    the training sets. Those that never move are left out.

    Attributes:
        moving: (K,) numbers of the components that move.
        moves: (53,) bool, the blendshapes of `COLUMN_NAMES` that move.
        mean, std: (53,) of the components.
    """

    def __init__(self, sets: Sequence[PhotoSet]):
        known = [photos.blendshapes for photos in sets if photos.blendshapes is not None]
        self.moving = np.zeros(0, dtype=int)
        if known:
            values = np.concatenate(known)
            self.moves = moments(values)[1] > LEAST_DEVIATION
            mean, std = moments(to_side_components(values))
            self.moving = np.flatnonzero(std > LEAST_DEVIATION)
            self.mean, self.std = torch.from_numpy(mean).float(), torch.from_numpy(std).float()

    def __len__(self) -> int:
        return len(self.moving)

    def to_columns(self, predicted: torch.Tensor) -> torch.Tensor:
        """(B, K) standardised components → (B, 53) blendshapes in the order and units of `COLUMN_NAMES`. A component
        that never moves has its mean."""
        components = self.mean.to(predicted).expand(len(predicted), -1).clone()
        components[:, self.moving] += predicted * self.std[self.moving].to(predicted)
        return from_side_components(components)

    def loss(self, predicted: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """
        Mean squared error over variance, of the values that are known.

        Args:
            predicted: (B, K) standardised. wanted: (B, 53) in the order of `COLUMN_NAMES`, NaN where unknown.
        """
        mean, std = (moment[self.moving].to(predicted.device) for moment in (self.mean, self.std))
        standardised = (to_side_components(wanted)[:, self.moving] - mean) / std
        known = standardised.isfinite()
        missed = (predicted.float() - standardised.nan_to_num()).square() * known
        return missed.sum() / known.sum().clamp(min=1)
