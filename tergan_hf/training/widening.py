"""Wider networks that begin as narrower ones (Chen et al. 2016, Net2Net): every channel several times, and whoever
reads them shares its weights out among the copies."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..configuration_tergan import TerGanConfig
from ..modeling_tergan import TerGanModel, norm_groups


UNEVENNESS = 0.5  # of the shares between copies; equal ones would stay equal in training


def widened_tensors(saved: TerGanModel, model: TerGanModel) -> dict[str, torch.Tensor]:
    """
    `saved`'s tensors in the shapes of a wider model that gives what `saved` gives, up to rounding, if it also looks at
    the same size and has as many refinements or, beside one or more, further ones.

    Returns:
        by name: those of G_es and of the photo decoder, each only where `model`'s has whole multiples of `saved`'s
        channels and is wider somewhere.
    """
    former, config = saved.config, model.config
    generator = torch.Generator().manual_seed(0)
    found = {}
    if former.expression_embedding_size != config.expression_embedding_size:
        return found
    if _are_multiples(former.encoder_channels, config.encoder_channels) and _alike(
        former, config, "num_channels", "expression_patch_size"
    ):
        wider = _widen_encoder(
            saved.expression_encoder.state_dict(), former.encoder_channels, config.encoder_channels, generator
        )
        found |= {f"expression_encoder.{name}": value for name, value in wider.items()}
    if (
        former.decoder_type == config.decoder_type == "photo"
        and _are_multiples(former.decoder_channels, config.decoder_channels)
        and list(former.identity_encoder_channels) == list(config.identity_encoder_channels)
        and _alike(former, config, "num_channels", "patch_size", "image_size", "identity_embedding_size")
    ):
        wider = _widen_decoder(saved.decoder.state_dict(), former, config, model.decoder.shaded_block, generator)
        found |= {f"decoder.{name}": value for name, value in wider.items()}
    return found


@dataclass
class ChannelCopies:
    """Which former channel each channel of a wider map is a copy of, `(channels,)`."""

    former: torch.Tensor

    @classmethod
    def spread(cls, former: int, wider: int) -> "ChannelCopies":
        """Each channel equally often, and so that every group of the wider map's group norm sees what a group of the
        former's saw, which leaves mean and variance as they were."""
        groups = torch.arange(former).view(norm_groups(former), -1)
        return cls(groups.repeat(1, wider // former).flatten())

    def rows(self, values: torch.Tensor) -> torch.Tensor:
        """Values per output channel, copied."""
        return values[self.former]

    def columns(self, weight: torch.Tensor, generator: torch.Generator, untouched: int = 0) -> torch.Tensor:
        """A weight (out, in, …) for copied inputs: each former one is shared out among the copies.

        Args:
            untouched: inputs after the copied ones that are as before.
        """
        former = torch.cat([self.former, self.former.max() + 1 + torch.arange(untouched)])
        shares = 1 + UNEVENNESS * (2 * torch.rand(len(weight), len(former), generator=generator) - 1)
        totals = torch.zeros(weight.shape[:2]).index_add_(1, former, shares)
        shares = (shares / totals[:, former]).view(*shares.shape, *(1 for _ in weight.shape[2:]))
        return weight[:, former] * shares


def _are_multiples(former: Sequence[int], wider: Sequence[int]) -> bool:
    return (
        len(former) == len(wider)
        and list(former) != list(wider)
        and all(more % count == 0 for count, more in zip(former, wider))
    )


def _alike(former: TerGanConfig, config: TerGanConfig, *names: str) -> bool:
    return all(getattr(former, name) == getattr(config, name) for name in names)


def _widen_encoder(encoder: dict, former: Sequence[int], wider: Sequence[int], generator: torch.Generator) -> dict:
    copies = [ChannelCopies.spread(*pair) for pair in zip(former, wider)]
    found = {}
    for name, value in encoder.items():
        part, *rest = name.split(".")
        if part == "activation_ranges":
            continue  # of other sums than before
        if part == "embedding":
            if rest == ["weight"]:  # of maps, flattened
                value = copies[-1].columns(value.unflatten(1, (former[-1], -1)), generator).flatten(1)
            found[name] = value
            continue
        block = int(rest[0])
        if rest[-1] == "num_batches_tracked":
            found[name] = value
        elif rest[-1] == "weight" and rest[-2] == "0":
            value = copies[block].rows(value)
            if part == "refinements" or block > 0:
                value = copies[block if part == "refinements" else block - 1].columns(value, generator)
            found[name] = value
        else:
            found[name] = copies[block].rows(value)
    return found


def _widen_decoder(
    decoder: dict, former: TerGanConfig, config: TerGanConfig, shaded_block: int, generator: torch.Generator
) -> dict:
    skips = tuple(reversed(config.identity_encoder_channels))
    start = ChannelCopies(torch.arange(skips[0]))
    copies = [ChannelCopies.spread(*pair) for pair in zip(former.decoder_channels, config.decoder_channels)]
    found = {}
    for name, value in decoder.items():
        part, *rest = name.split(".")
        if part == "mapping":
            found[name] = value
            continue
        if part in ("to_change", "to_shading"):
            read = copies[-1] if part == "to_change" else copies[shaded_block]
            found[name] = read.columns(value, generator) if rest == ["weight"] else value
            continue
        block = int(rest[0])
        own = copies[block]
        if rest[-2] == "modulation":
            found[name] = torch.cat([own.rows(half) for half in value.chunk(2)])
        elif rest[-2] == "convolution":
            before, untouched = (own, 0) if part == "refinements" else ([start, *copies][block], skips[block])
            found[name] = before.columns(own.rows(value), generator, untouched)
        else:
            found[name] = own.rows(value)
    return found
