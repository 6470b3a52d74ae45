"""The networks that exist only in training: D, and D_es / D_et (section 4.1). Never part of the saved model."""

from collections.abc import Sequence

import torch
from torch import nn

from ..model.configuration_tergan import TerGanConfig
from ..model.encoder_tergan import LEAKY_RELU_SLOPE
from ..model.initialization_tergan import initialize_layer
from .arguments import DiscriminatorArguments
from .gradient_reversal import reverse_gradient


HALVED = 2  # convolutions of MouthDiscriminator with stride 2


class Discriminator(nn.Module):
    """D: shared 3×3 stride-2 convolutions and FC, then the branches D^e (N_e + 1 logits, the last one "fake") and
    D^i (N_i logits).

    Args:
        num_identities: N_i.
    """

    def __init__(self, config: TerGanConfig, sizes: DiscriminatorArguments, num_identities: int):
        super().__init__()
        layers, before, side = [], config.num_channels, config.image_size
        for channels in sizes.channels:
            layers += [nn.Conv2d(before, channels, 3, stride=2, padding=1), nn.LeakyReLU(LEAKY_RELU_SLOPE)]
            before, side = channels, (side + 1) // 2
        layers += [nn.Flatten(), nn.Linear(before * side * side, sizes.hidden_size), nn.LeakyReLU(LEAKY_RELU_SLOPE)]
        self.shared = nn.Sequential(*layers)
        branch = [sizes.hidden_size, *sizes.branch_sizes]
        self.expression_branch = fully_connected([*branch, config.num_labels + 1])
        self.identity_branch = fully_connected([*branch, num_identities])
        # PyTorch's own initial weights lose the image on the way: after eight layers without a norm, logits differ by
        # 0.0003 between photos, and D learns nothing for a thousand steps.
        self.apply(initialize_layer)

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, C, S, S) → D^e's (B, N_e + 1) and D^i's (B, N_i) logits."""
        hidden = self.shared(pixel_values)
        return self.expression_branch(hidden), self.identity_branch(hidden)


class EmbeddingDiscriminator(nn.Module):
    """D_es or D_et: FC 32-16-1 behind a gradient reversal layer; the logit says "from a real image"."""

    def __init__(self, embedding_size: int, sizes: DiscriminatorArguments):
        super().__init__()
        self.layers = fully_connected([embedding_size, *sizes.embedding_sizes, 1])

    def forward(self, embedding: torch.Tensor, reversal: float = 1.0) -> torch.Tensor:
        """(B, embedding_size) → (B,) logits; the gradient reaches the encoder times `-reversal`."""
        return self.layers(reverse_gradient(embedding, reversal)).squeeze(1)


class MouthDiscriminator(nn.Module):
    """
    Tell painted mouths from true ones, place by place (PatchGAN, Isola et al. 2017).

    Args:
        num_channels: of an image. channels: of the convolutions, multiples of 8; the first two halve the size.
    """

    def __init__(self, num_channels: int, channels: Sequence[int]):
        super().__init__()
        layers = []
        for number, (before, after) in enumerate(zip([num_channels, *channels], channels)):
            convolution = (
                nn.Conv2d(before, after, 4, stride=2, padding=1)
                if number < HALVED
                else nn.Conv2d(before, after, 3, padding=1)
            )
            # Colours and light are in the first layer's features, which a norm would take away.
            norm = nn.GroupNorm(8, after) if number else nn.Identity()
            layers.append(nn.Sequential(convolution, norm, nn.LeakyReLU(LEAKY_RELU_SLOPE)))
        self.layers = nn.ModuleList(layers)
        self.to_logits = nn.Conv2d(channels[-1], 1, 3, padding=1)
        nn.init.normal_(self.to_logits.weight, std=0.01)

    def forward(self, mouths: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """(B, C, h, w) in [-1, 1] → logits (B, 1, h/4, w/4), and the features of each convolution."""
        features, hidden = [], mouths
        for layer in self.layers:
            hidden = layer(hidden)
            features.append(hidden)
        return self.to_logits(hidden), features


def fully_connected(sizes: Sequence[int]) -> nn.Sequential:
    """Linear layers of these sizes, LeakyReLU between them."""
    layers: list[nn.Module] = []
    for before, after in zip(sizes[:-1], sizes[1:]):
        layers += [nn.Linear(before, after), nn.LeakyReLU(LEAKY_RELU_SLOPE)]
    return nn.Sequential(*layers[:-1])
