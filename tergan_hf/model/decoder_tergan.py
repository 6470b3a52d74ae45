"""The decoders G_de: the paper's, and one that moves and repaints the target's own pixels."""

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from .configuration_tergan import TerGanConfig
from .encoder_tergan import LEAKY_RELU_SLOPE, ConvolutionBlock
from .outputs_tergan import warp
from .quantization_tergan import pool


DECODER_REFINED_SIZE = 64  # positions: feature maps of the photo decoder up to this width are refined
SMALLEST_DIRECTION = 1e-3  # of the largest one, in the inverse of a change of f(i) or f(e)
SHADED_SIZE = 32  # positions, at most, of the feature map that gives the shading


class TerGanDecoder(nn.Module):
    """`G_de` (section 4.1): FC to the encoder's last map, then blocks that upsample to the encoder's mirrored sizes
    (so the output is exactly the input's size), 3×3 stride-1 convolutions, tanh last."""

    def __init__(self, config: TerGanConfig):
        super().__init__()
        self.sizes = tuple(reversed(config.feature_map_sizes))
        self.start_channels = (config.identity_encoder_channels or config.encoder_channels)[-1]
        embedding_size = config.expression_embedding_size + config.identity_embedding_size
        self.projection = nn.Linear(embedding_size, self.start_channels * self.sizes[0] ** 2)
        channels = [self.start_channels, *config.decoder_channels]
        self.convolutions = nn.ModuleList(
            ConvolutionBlock(before, after) for before, after in zip(channels[:-2], channels[1:-1])
        )
        self.to_image = nn.Conv2d(channels[-2], channels[-1], kernel_size=3, padding=1)
        if config.predict_residual:
            # A small first change: training starts from the target itself, not from noise on top of it.
            self.to_image.initial_std = 0.01

    def forward(self, fused: torch.Tensor) -> torch.Tensor:
        """f(x) = [f(e), f(i)] (B, 80) → image (B, C, S, S) in [-1, 1]."""
        hidden = self.projection(fused).unflatten(1, (self.start_channels, self.sizes[0], self.sizes[0]))
        for size, block in zip(self.sizes[1:], [*self.convolutions, self.to_image]):
            hidden = block(F.interpolate(hidden, size=(size, size), mode="nearest"))
        return torch.tanh(hidden)


def convolve_enlarged(maps: torch.Tensor, weight: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """
    Enlarge maps by nearest neighbour, then convolve: (B, C, h, w), (D, C, 3, 3) → (B, D, *size).

    To twice the size it is one transposed convolution, which takes less than half of the multiplications: of the three
    taps along an axis, two fall on the same position.
    """
    if (2 * maps.shape[-2], 2 * maps.shape[-1]) != tuple(size):
        return F.conv2d(F.interpolate(maps, size=tuple(size), mode="nearest"), weight, padding=1)
    for axis in (2, 3):
        first, middle, last = weight.unbind(axis)
        weight = torch.stack([last, middle + last, first + middle, first], dim=axis)
    return F.conv_transpose2d(maps, weight.transpose(0, 1), stride=2, padding=1)


class ModulatedBlock(nn.Module):
    """3×3 convolution, group norm, FiLM (Perez et al. 2018: a scale and a shift per channel, read from the condition),
    LeakyReLU.

    Args:
        zero_init: start the norm's scale at 0, so that a residual branch starts as nothing.
    """

    def __init__(self, before: int, after: int, condition_size: int, zero_init: bool = False):
        super().__init__()
        self.convolution = nn.Conv2d(before, after, kernel_size=3, padding=1, bias=False)
        self.norm = nn.GroupNorm(math.gcd(8, after), after)
        if zero_init:
            self.norm.initial_std = 0.0
        self.modulation = nn.Linear(condition_size, 2 * after)
        self.modulation.initial_std = 0.0
        self.activation = nn.LeakyReLU(LEAKY_RELU_SLOPE)

    def forward(
        self, hidden: torch.Tensor, condition: torch.Tensor, convolved_skip: torch.Tensor | None = None
    ) -> torch.Tensor:
        """
        (B, before, h, w), (B, condition_size) → (B, after, h, w).

        Args:
            convolved_skip: (B, after, h', w'), the result of `convolve_last` on the last input channels. `hidden` then
                holds only the channels before them, and is enlarged to h'×w'.
        """
        scale, shift = self.modulation(condition)[:, :, None, None].chunk(2, dim=1)
        if convolved_skip is None:
            convolved = self.convolution(hidden)
        else:
            weight = self.convolution.weight[:, : hidden.shape[1]]
            convolved = convolved_skip + convolve_enlarged(hidden, weight, convolved_skip.shape[-2:])
        return self.activation(self.norm(convolved) * (1 + scale) + shift)

    def convolve_last(self, maps: torch.Tensor) -> torch.Tensor:
        """Convolve the last C input channels alone: (B, C, h, w) → (B, after, h, w)."""
        return F.conv2d(maps, self.convolution.weight[:, -maps.shape[1] :], padding=1)


class ConditionMapping(nn.Module):
    """A residual hidden layer before the modulations, (B, size) → (B, size), so that they need not be linear in f(e)
    and f(i). It starts as the identity. A small mapping network (Karras et al. 2019)."""

    def __init__(self, size: int, hidden_size: int):
        super().__init__()
        self.hidden = nn.Linear(size, hidden_size)
        self.activation = nn.LeakyReLU(LEAKY_RELU_SLOPE)
        self.output = nn.Linear(hidden_size, size)
        self.output.initial_std = 0.0

    def forward(self, condition: torch.Tensor) -> torch.Tensor:
        return condition + self.output(self.activation(self.hidden(condition)))


class PaintingDetail(nn.Module):
    """
    Refine painted pixels beside the moved ones, both at the crop's own resolution. It starts as the identity.

    Args:
        num_channels: of an image. hidden_channels: between the two 3×3 convolutions.
    """

    def __init__(self, num_channels: int, hidden_channels: int):
        super().__init__()
        painted = 1 + num_channels
        self.hidden = nn.Conv2d(painted + num_channels, hidden_channels, kernel_size=3, padding=1)
        self.activation = nn.LeakyReLU(LEAKY_RELU_SLOPE)
        self.output = nn.Conv2d(hidden_channels, painted, kernel_size=3, padding=1)
        self.output.initial_std = 0.0

    def forward(self, painted: torch.Tensor, moved: torch.Tensor) -> torch.Tensor:
        """Mask and colours before their activations (B, 1 + C, S, S), and the warped target (B, C, S, S) → refined
        mask and colours (B, 1 + C, S, S)."""
        pixels = torch.cat([painted, moved], dim=1).to(self.hidden.weight.dtype)
        return painted + self.output(self.activation(self.hidden(pixels))).float()


class TerGanPhotoDecoder(nn.Module):
    """
    G_de for strangers' photos.

    It starts from the last feature map of G_et and receives the others as skip connections. Every block is modulated
    by the wanted f(e), the target's own f(e) and f(i). The output is a flow, a mask m, colours and a coarse shading s.
    With w = warp(x_t, g · flow), x̄ = w + g · ((1 − m) · (colour − w) + s · (w + 1)). The gate is
    g = tanh(d / √expression_gate), with d the root mean square difference of the two f(e). It is 0 for the target's
    own expression.
    """

    def __init__(self, config: TerGanConfig):
        super().__init__()
        self.sizes = tuple(reversed(config.feature_map_sizes))
        self.expression_size = config.expression_embedding_size
        condition_size = 2 * self.expression_size + config.identity_embedding_size
        hidden_size = config.decoder_mapping_size
        self.mapping = ConditionMapping(condition_size, hidden_size) if hidden_size else nn.Identity()
        skips = tuple(reversed(config.identity_encoder_channels or config.encoder_channels))
        channels = [skips[0], *config.decoder_channels]
        self.blocks = nn.ModuleList(
            ModulatedBlock(before + skip, after, condition_size)
            for before, skip, after in zip(channels[:-1], skips, channels[1:])
        )
        self.refinements = nn.ModuleList(
            nn.ModuleList(
                ModulatedBlock(after, after, condition_size, zero_init=True)
                for _ in range(config.decoder_refinements if size <= DECODER_REFINED_SIZE else 0)
            )
            for size, after in zip(self.sizes[1:], config.decoder_channels)
        )
        self.patch_size, self.num_channels = config.patch_size, config.num_channels
        self.gate, self.max_flow = config.expression_gate, config.max_flow
        painted = (1 + config.num_channels) * config.patch_size**2
        self.to_change = nn.Conv2d(channels[-1], 2 + painted, kernel_size=3, padding=1)
        self.to_change.initial_std = 0.0
        detail_channels = config.decoder_detail_channels
        self.detail = PaintingDetail(config.num_channels, detail_channels) if detail_channels else None
        small = [block for block, size in enumerate(self.sizes[1:]) if size <= SHADED_SIZE]
        self.shaded_block = max(small, default=0)
        self.to_shading = nn.Conv2d(
            config.decoder_channels[self.shaded_block], config.num_channels, kernel_size=3, padding=1
        )
        self.to_shading.initial_std = 0.0

    @torch.no_grad()
    def read_identity_from(self, weight: torch.Tensor, bias: torch.Tensor):
        """
        Let the decoder work as before on another f(i): its own is `weight @ new + bias`. Exact for an invertible
        weight, apart from rounding.

        Args:
            weight: (identity_embedding_size, identity_embedding_size). bias: (identity_embedding_size,).
        """
        self._read_from(slice(2 * self.expression_size, None), weight, bias)

    @torch.no_grad()
    def read_expression_from(self, weight: torch.Tensor, bias: torch.Tensor):
        """
        As `read_identity_from`, for another f(e) of source and target. The gate still sees the distance of the new
        f(e).

        Args:
            weight: (expression_embedding_size, expression_embedding_size). bias: (expression_embedding_size,).
        """
        size = self.expression_size
        for place in (slice(0, size), slice(size, 2 * size)):
            self._read_from(place, weight, bias)

    def _read_from(self, place: slice, weight: torch.Tensor, bias: torch.Tensor):
        weight, bias = weight.to(self.to_change.weight), bias.to(self.to_change.weight)

        def compose(layer: nn.Linear):
            read = layer.weight[:, place].clone()
            layer.bias += read @ bias
            layer.weight[:, place] = read @ weight

        for module in self.modules():
            if isinstance(module, ModulatedBlock):
                compose(module.modulation)
        if isinstance(self.mapping, ConditionMapping):
            compose(self.mapping.hidden)
            # What the mapping adds to the condition is added to the new one.
            output = self.mapping.output
            inverse = torch.linalg.pinv(weight, rtol=SMALLEST_DIRECTION)
            output.weight[place] = inverse @ output.weight[place]
            output.bias[place] = inverse @ output.bias[place]

    def skip_maps(self, feature_maps: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """Convolve the feature maps of G_et (full size first) once for many expressions: it saves a sixth of the
        decoder's work."""
        return tuple(block.convolve_last(maps) for block, maps in zip(self.blocks, reversed(feature_maps)))

    def forward(
        self,
        wanted: torch.Tensor,
        own: torch.Tensor,
        identity: torch.Tensor,
        feature_maps: Sequence[torch.Tensor],
        target: torch.Tensor,
        skip_maps: Sequence[torch.Tensor] | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """
        Args:
            wanted: f(e) to show, (B, expression_embedding_size).
            own: f(e) of the target, the same shape.
            identity: f(i) of the target, (B, identity_embedding_size).
            feature_maps: of G_et, full size first.
            target: x_t, (B, C, S, S) in [-1, 1].
            skip_maps: result of `skip_maps`, if it was computed before. Then only the last feature map is read.

        Returns:
            x̄ in [-1, 1], flow and residual as in `TerGanChange`.
        """
        condition = self.mapping(torch.cat([wanted, own, identity], dim=1))
        hidden = pool(feature_maps[-1])
        maps = []
        skip_maps = skip_maps or self.skip_maps(feature_maps)
        for convolved_skip, block, refinements in zip(skip_maps, self.blocks, self.refinements):
            hidden = block(hidden, condition, convolved_skip)
            for refinement in refinements:
                hidden = hidden + refinement(hidden, condition)
            maps.append(hidden)
        change = self.to_change(hidden).float()
        # A flow is smooth and may be enlarged; painted colours get their own value in every pixel of a patch.
        flow = F.interpolate(change[:, :2], scale_factor=float(self.patch_size), mode="bilinear")
        painted = F.pixel_shuffle(change[:, 2:], self.patch_size)
        shading = F.interpolate(
            self.to_shading(maps[self.shaded_block]).float(), size=target.shape[-2:], mode="bilinear"
        )
        # Exactly 0 for the target's own expression, and in proportion to a small difference.
        distance = torch.linalg.vector_norm((wanted - own).float(), dim=1) / math.sqrt(wanted.shape[1])
        gate = torch.tanh(distance / math.sqrt(self.gate))[:, None, None, None]
        flow = self.max_flow * gate * torch.tanh(flow)
        moved = warp(target, flow)
        if self.detail is not None:
            painted = self.detail(painted, moved)
        mask, colour = painted.split([1, self.num_channels], dim=1)
        # The mask starts near 1: what the flow can do is done by moving the photo's own pixels.
        painting = torch.sigmoid(mask - 2) * (torch.tanh(colour) - moved)
        residual = gate * (painting + shading * (moved + 1))
        return moved + residual, flow, residual


__all__ = ["ConditionMapping", "ModulatedBlock", "PaintingDetail", "TerGanDecoder", "TerGanPhotoDecoder"]
