"""Realistic mouths: a second discriminator, which looks only at what the target hides."""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from ..data.ground_truth import cut_mouths
from . import losses
from .batches import PairBatch


class MouthPatches(NamedTuple):
    """
    Mouths of x̄ and of its truth.

    Args:
        generated, real: (B, C, h, w) in [-1, 1].
        uncovered: (B, 1, h, w), 1 where the truth shows what the target hides, such as teeth, and 0 elsewhere.
    """

    generated: torch.Tensor
    real: torch.Tensor
    uncovered: torch.Tensor

    @classmethod
    def of(cls, generated: torch.Tensor, batch: PairBatch) -> "MouthPatches":
        """Cut them out of x̄ (B, C, S, S) and of a batch of pairs. Nothing is uncovered in pairs without flow maps."""
        assert batch.target_transform is not None
        known = torch.zeros_like(generated[:, :1])
        if batch.uncovered is not None:
            uncovered = batch.uncovered & batch.has_truth[:, None, None, None]
            known = F.interpolate(uncovered.float(), size=generated.shape[-2:], mode="nearest")
        cut, real, known = (cut_mouths(images, batch.target_transform) for images in (generated, batch.truth, known))
        return cls(cut, real, known * _ellipse(known))

    def weights(self, shape: torch.Size) -> torch.Tensor:
        """How much each place of a map (B, C, *shape) counts, (B, 1, *shape): its uncovered share, or its neighbour's
        if that is larger, so that the edges of lips and teeth count."""
        return F.max_pool2d(F.adaptive_avg_pool2d(self.uncovered, shape[-2:]), 3, stride=1, padding=1)


def _ellipse(windows: torch.Tensor) -> torch.Tensor:
    """1 in the ellipse that touches the edges of windows (B, 1, h, w), 0 in their corners: a jaw that moves uncovers
    places as well."""
    down, across = (torch.linspace(-1, 1, size, device=windows.device) for size in windows.shape[-2:])
    return (down[:, None].square() + across.square() < 1).to(windows.dtype)


def generator_terms(discriminator: nn.Module, patches: MouthPatches) -> dict[str, torch.Tensor]:
    """
    `mouth_adversarial`, the generator's hinge loss −D(x̄), and `mouth_features`, the L1 between D's features of x̄ and
    of the truth (feature matching, Wang et al. 2018), at the uncovered places.

    Args:
        discriminator: a `MouthDiscriminator` whose parameters need no gradient.
    """
    logits, features = discriminator(patches.generated)
    with torch.no_grad():
        _, real_features = discriminator(patches.real)
    distances = [
        losses.weighted_mean((own.float() - real.float()).abs(), patches.weights(own.shape))
        for own, real in zip(features, real_features, strict=True)
    ]
    return {
        "mouth_adversarial": -losses.weighted_mean(logits.float(), patches.weights(logits.shape)),
        "mouth_features": torch.stack(distances).mean(),
    }


def discriminator_loss(discriminator: nn.Module, patches: MouthPatches) -> torch.Tensor:
    """The discriminator's hinge loss (Lim & Ye 2017): max(0, 1 + D(x̄)) + max(0, 1 − D(truth)) at the uncovered
    places."""
    logits, _ = discriminator(torch.cat([patches.generated, patches.real]))
    generated, real = logits.float().chunk(2)
    return losses.weighted_mean(F.relu(1 + generated) + F.relu(1 - real), patches.weights(real.shape))
