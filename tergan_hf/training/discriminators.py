"""The networks that exist only in training: D, and D_es / D_et (section 4.1). Never part of the saved model."""

import torch
from torch import nn

from ..configuration_tergan import TerGanConfig
from .gradient_reversal import reverse_gradient


class Discriminator(nn.Module):
    """D: shared 3×3 stride-2 convolutions and FC, then the branches D^e (N_e + 1 logits, the last one "fake") and
    D^i (N_i logits)."""

    def __init__(self, config: TerGanConfig):
        super().__init__()
        layers, before, side = [], config.num_channels, config.image_size
        for channels in config.discriminator_channels:
            layers += [nn.Conv2d(before, channels, 3, stride=2, padding=1), nn.LeakyReLU(config.leaky_relu_slope)]
            before, side = channels, (side + 1) // 2
        hidden = config.discriminator_hidden_size
        layers += [nn.Flatten(), nn.Linear(before * side * side, hidden), nn.LeakyReLU(config.leaky_relu_slope)]
        self.shared = nn.Sequential(*layers)
        sizes = [hidden, *config.discriminator_branch_sizes]
        self.expression_branch = fully_connected([*sizes, config.num_labels + 1], config.leaky_relu_slope)
        self.identity_branch = fully_connected([*sizes, config.num_identities], config.leaky_relu_slope)

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, C, S, S) → D^e's (B, N_e + 1) and D^i's (B, N_i) logits."""
        hidden = self.shared(pixel_values)
        return self.expression_branch(hidden), self.identity_branch(hidden)


class EmbeddingDiscriminator(nn.Module):
    """D_es or D_et: FC 32-16-1 behind a gradient reversal layer; the logit says "from a real image"."""

    def __init__(self, config: TerGanConfig, embedding_size: int):
        super().__init__()
        sizes = [embedding_size, *config.embedding_discriminator_sizes, 1]
        self.layers = fully_connected(sizes, config.leaky_relu_slope)

    def forward(self, embedding: torch.Tensor, reversal: float = 1.0) -> torch.Tensor:
        """(B, embedding_size) → (B,) logits; the gradient reaches the encoder times `-reversal`."""
        return self.layers(reverse_gradient(embedding, reversal)).squeeze(1)


def fully_connected(sizes: list[int], slope: float) -> nn.Sequential:
    """Linear layers of these sizes, LeakyReLU between them."""
    layers = []
    for before, after in zip(sizes[:-1], sizes[1:]):
        layers += [nn.Linear(before, after), nn.LeakyReLU(slope)]
    return nn.Sequential(*layers[:-1])
