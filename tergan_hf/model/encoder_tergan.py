"""The encoders G_es and G_et (section 4.1 of arXiv:2002.07050)."""

from collections.abc import Iterable, Sequence

import torch
from torch import nn
from torch.nn import functional as F

from .configuration_tergan import TerGanConfig
from .quantization_tergan import (
    Int8Cache,
    ScaledConv2d,
    count_ranges,
    fold_batch_norm,
    is_supported,
    measure_ranges,
    pool,
)


LEAKY_RELU_SLOPE = 0.2  # decided; the paper names no activation
EXPRESSION_REFINED_SIZE = 16  # positions: feature maps of G_es up to this width are refined
IDENTITY_REFINED_SIZE = 32  # the same for G_et


class ConvolutionBlock(nn.Sequential):
    """3×3 stride-1 convolution, batch norm, LeakyReLU: (B, before, h, w) → (B, after, h, w).

    Args:
        zero_init: start the batch norm's scale at 0, so that a residual branch starts as nothing (Goyal et al. 2017).
        scaled: use a `ScaledConv2d`, whose weight can be stored as 8-bit integers.
    """

    def __init__(self, before: int, after: int, zero_init: bool = False, scaled: bool = False):
        norm = nn.BatchNorm2d(after)
        if zero_init:
            norm.initial_std = 0.0
        convolution = (ScaledConv2d if scaled else nn.Conv2d)(before, after, kernel_size=3, padding=1, bias=False)
        super().__init__(convolution, norm, nn.LeakyReLU(LEAKY_RELU_SLOPE))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        convolution, _, activation = self
        # An exported graph takes any batch size, and its runtime folds batch norm itself.
        if self.training or torch.compiler.is_compiling() or hidden.numel() < convolution.weight.numel():
            return super().forward(hidden)
        # In evaluation batch norm is one factor and one shift per channel. Folding them into the convolution saves a
        # third of the time where there are more positions than weights.
        hidden = F.conv2d(hidden, *fold_batch_norm(self), padding=1)
        return F.leaky_relu_(hidden, activation.negative_slope)


class TerGanEncoder(nn.Module):
    """
    `G_es` or `G_et` (section 4.1): blocks of 3×3 stride-1 convolution, batch norm, LeakyReLU and 2×2 max-pool, then
    one FC layer. Decided: the pool; the paper only says "downsampling block".

    Larger images are first reduced to the encoder's own size. A feature map of one position is not pooled further.

    Args:
        channels: of the blocks. image_size: side in pixels of the image after this reduction. embedding_size: of the
            output.
        patch_size: each patch of this many pixels squared becomes one position.
        refinements: residual convolutions on each feature map that is at most `refined_size` positions wide.
        pooled: pool the last feature map before the FC layer.
        scaled: see `ConvolutionBlock`. int8: reserve room for activation ranges.
    """

    def __init__(
        self,
        config: TerGanConfig,
        channels: Sequence[int],
        image_size: int,
        embedding_size: int,
        patch_size: int = 1,
        refinements: int = 0,
        refined_size: int = 0,
        pooled: bool = True,
        scaled: bool = False,
        int8: bool = False,
    ):
        super().__init__()
        self.image_size, self.patch_size, self.pooled = image_size, patch_size, pooled
        channels = [config.num_channels * patch_size**2, *channels]
        sizes = [image_size // patch_size // 2**block for block in range(len(channels))]
        self.convolutions = nn.ModuleList(
            ConvolutionBlock(before, after, scaled=scaled) for before, after in zip(channels[:-1], channels[1:])
        )
        self.refinements = nn.ModuleList(
            nn.ModuleList(
                ConvolutionBlock(after, after, zero_init=True, scaled=scaled)
                for _ in range(refinements if size <= refined_size else 0)
            )
            for size, after in zip(sizes, channels[1:])
        )
        self.embedding = nn.Linear(channels[-1] * max(1, sizes[-1 if pooled else -2]) ** 2, embedding_size)
        # All zero until `quantize` measures them.
        self.register_buffer("activation_ranges", self._no_ranges() if int8 else None)
        self._int8 = Int8Cache()

    @classmethod
    def of_expression(cls, config: TerGanConfig) -> "TerGanEncoder":
        """G_es."""
        return cls(
            config, config.encoder_channels, config.expression_image_size or config.image_size,
            config.expression_embedding_size, config.expression_patch_size,
            refinements=config.expression_refinements, refined_size=EXPRESSION_REFINED_SIZE,
            pooled=config.expression_pooled, scaled=True, int8=config.expression_int8,
        )  # fmt: skip

    @classmethod
    def of_identity(cls, config: TerGanConfig) -> "TerGanEncoder":
        """G_et."""
        return cls(
            config, config.identity_encoder_channels or config.encoder_channels, config.image_size,
            config.identity_embedding_size, config.patch_size, config.identity_refinements, IDENTITY_REFINED_SIZE,
        )  # fmt: skip

    def prepare(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Crops (B, C, S, S) of any size → input of the first convolution (B, C · patch_size², s, s)."""
        hidden = pixel_values
        if hidden.shape[-1] != self.image_size:
            side = (self.image_size, self.image_size)
            # PyTorch reduces with antialiasing on a CPU in single and double precision only.
            wide = hidden if hidden.dtype in (torch.float32, torch.float64) else hidden.float()
            hidden = F.interpolate(wide, size=side, mode="bilinear", antialias=True).to(hidden.dtype)
        if self.patch_size > 1:
            hidden = F.pixel_unshuffle(hidden, self.patch_size)
        # Convolutions on CPUs are a third faster in this layout.
        return hidden.contiguous(memory_format=torch.channels_last)

    def feature_maps(self, pixel_values: torch.Tensor) -> list[torch.Tensor]:
        """
        h_l of equations 8 and 9: the activation of each block before its pool, full size first.

        Raises:
            RuntimeError: in training mode, if the weights are quantised.
        """
        if self.training and self.is_quantized:
            raise RuntimeError(
                "these weights are quantised to 8-bit integers and cannot be trained: call model.dequantize() first, "
                "and model.quantize(...) after training"
            )
        return self.feature_maps_from(self.convolutions[0](self.prepare(pixel_values)))

    def feature_maps_from(self, hidden: torch.Tensor) -> list[torch.Tensor]:
        """As `feature_maps`, from the output of the first block's convolution."""
        features: list[torch.Tensor] = []
        for convolution, refinements in zip(self.convolutions, self.refinements):
            if features:
                hidden = convolution(pool(hidden))
            for refinement in refinements:
                hidden = hidden + refinement(hidden)
            features.append(hidden)
        return features

    def embed(self, feature_maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """The embedding (B, embedding_size) that belongs to these feature maps."""
        return self.embedding(self.features(feature_maps))

    def features(self, feature_maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """What the last layer reads the embedding from, (B, features)."""
        last = feature_maps[-1]
        return (pool(last) if self.pooled else last).flatten(1)

    @property
    def is_quantized(self) -> bool:
        """Whether weights are stored as integers or activation ranges are set."""
        has_ranges = self.activation_ranges is not None and bool(self.activation_ranges.any())
        return has_ranges or any(bool((layer.scale != 1).any()) for layer in self._scaled_layers())

    def quantize(self, *kinds: torch.Tensor | Iterable[torch.Tensor]):
        """
        Round the weights to 8-bit integers and measure the ranges of the activations, in place.

        From then on the encoder multiplies integers on an x86 CPU in evaluation mode without gradients, and computes
        in floats from the rounded weights elsewhere.

        Args:
            kinds: for each kind of photos, a batch of crops (B, C, S, S) in [-1, 1], or several batches. The widest
                range among the kinds counts.

        Raises:
            ValueError: no crops, or crops of another shape.
        """
        found = [[crops] if isinstance(crops, torch.Tensor) else list(crops) for crops in kinds]
        batches = [batch for own in found for batch in own]
        if not found or not all(found) or any(batch.ndim != 4 or not len(batch) for batch in batches):
            raise ValueError("quantize needs batches of crops (B, C, S, S) to measure the ranges of the activations")
        was_training = self.training
        self.eval()
        for layer in self._scaled_layers():
            layer.round_weight()
        lowest, highest = torch.stack([measure_ranges(self, own) for own in found]).unbind(2)
        ranges = torch.stack([lowest.amin(0), highest.amax(0)], dim=1)
        self.activation_ranges = ranges.half().float()  # as a file stores them
        self.train(was_training)

    @torch.no_grad()
    def dequantize(self):
        """Restore float weights and clear the activation ranges, in place. The rounding of the weights stays."""
        if self.activation_ranges is not None:
            self.activation_ranges.zero_()
        for layer in self._scaled_layers():
            layer.absorb_scale()

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """(B, C, S, S) in [-1, 1] → (B, embedding_size)."""
        if self._computes_in_int8(pixel_values):
            with torch.autocast("cpu", enabled=False):
                return self._int8.of(self)(pixel_values)
        return self.embed(self.feature_maps(pixel_values))

    def _computes_in_int8(self, pixel_values: torch.Tensor) -> bool:
        ranges = self.activation_ranges
        wants_float = (
            ranges is None or self.training or torch.is_grad_enabled() or torch.compiler.is_compiling()
            or torch.jit.is_tracing()
            or not pixel_values.device.type == ranges.device.type == "cpu"
            or not pixel_values.dtype == self.embedding.weight.dtype == torch.float32
        )  # fmt: skip
        return not wants_float and is_supported() and bool(ranges.any())

    def _scaled_layers(self) -> list[ScaledConv2d]:
        return [layer for layer in self.modules() if isinstance(layer, ScaledConv2d)]

    def _no_ranges(self) -> torch.Tensor:
        return torch.zeros(count_ranges([len(blocks) for blocks in self.refinements]), 2)


__all__ = ["LEAKY_RELU_SLOPE", "ConvolutionBlock", "TerGanEncoder"]
