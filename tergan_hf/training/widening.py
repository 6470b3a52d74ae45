"""A wider photo decoder that begins as a narrower one (Chen et al. 2016, Net2Net)."""

import math
from dataclasses import dataclass

import torch

from ..configuration_tergan import TerGanConfig


UNEVENNESS = 0.5  # of the shares between copies; equal ones would stay equal in training


@dataclass
class ChannelCopies:
    """Which former channel each channel of a wider map is a copy of, `(channels,)`."""

    former: torch.Tensor

    @classmethod
    def spread(cls, former: int, wider: int) -> "ChannelCopies":
        """Each channel equally often, and so that every group of the wider map's group norm sees what a group of the
        former's saw, which leaves mean and variance as they were."""
        groups = torch.arange(former).view(math.gcd(8, former), -1)
        return cls(groups.repeat(1, wider // former).flatten())

    def rows(self, values: torch.Tensor) -> torch.Tensor:
        """Values per output channel, copied."""
        return values[self.former]

    def columns(self, kernel: torch.Tensor, untouched: int, generator: torch.Generator) -> torch.Tensor:
        """A kernel (out, in, …) for copied inputs: each former weight is shared out among the copies.

        Args:
            untouched: inputs after the copied ones that are as before.
        """
        former = torch.cat([self.former, self.former.max() + 1 + torch.arange(untouched)])
        shares = 1 + UNEVENNESS * (2 * torch.rand(len(kernel), len(former), generator=generator) - 1)
        totals = torch.zeros(kernel.shape[:2]).index_add_(1, former, shares)
        return kernel[:, former] * (shares / totals[:, former])[:, :, None, None]


def can_widen(former: TerGanConfig, config: TerGanConfig) -> bool:
    """Whether `config`'s photo decoder is `former`'s with whole multiples of its channels, and wider somewhere."""
    same = (
        "decoder_type", "patch_size", "image_size", "num_channels", "expression_embedding_size",
        "identity_embedding_size",
    )  # fmt: skip
    pairs = list(zip(former.decoder_channels, config.decoder_channels))
    return (
        config.decoder_type == "photo"
        and all(getattr(former, name) == getattr(config, name) for name in same)
        and list(former.identity_encoder_channels) == list(config.identity_encoder_channels)
        and len(former.decoder_channels) == len(config.decoder_channels)
        and all(wider % narrow == 0 for narrow, wider in pairs)
        and any(wider != narrow for narrow, wider in pairs)
    )


def widen_decoder(
    decoder: dict[str, torch.Tensor], former: TerGanConfig, config: TerGanConfig, shaded_block: int
) -> dict[str, torch.Tensor]:
    """
    Tensors of a photo decoder with more channels that gives what the former one gives, up to rounding.

    Args:
        decoder: `state_dict` of the former `TerGanPhotoDecoder`.
        former, config: see `can_widen`.
        shaded_block: the block whose map `to_shading` reads.

    Returns:
        as many tensors, under the same names.
    """
    generator = torch.Generator().manual_seed(0)
    skips = tuple(reversed(config.identity_encoder_channels))
    start = ChannelCopies(torch.arange(skips[0]))
    copies = [ChannelCopies.spread(*pair) for pair in zip(former.decoder_channels, config.decoder_channels)]
    wider = {}
    for name, value in decoder.items():
        part, *rest = name.split(".")
        if part == "to_change" or part == "to_shading":
            read = copies[-1] if part == "to_change" else copies[shaded_block]
            wider[name] = read.columns(value, 0, generator) if rest == ["weight"] else value
            continue
        block = int(rest[0])
        own = copies[block]
        if rest[-2] == "modulation":
            wider[name] = torch.cat([own.rows(half) for half in value.chunk(2)])
        elif rest[-2] == "convolution":
            before, untouched = (own, 0) if part == "refinements" else ([start, *copies][block], skips[block])
            wider[name] = before.columns(own.rows(value), untouched, generator)
        else:
            wider[name] = own.rows(value)
    return wider
