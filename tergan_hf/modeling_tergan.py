"""TER-GAN model: two encoders, one decoder, a shallow expression classifier (Ali & Hughes 2020, arXiv:2002.07050)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import ImageClassifierOutput
from transformers.utils import ModelOutput

from .configuration_tergan import TerGanConfig
from .quantization_tergan import Int8Cache, ScaledConv2d, count_ranges, fold_batch_norm, is_supported, pool


@dataclass
class TerGanOutput(ModelOutput):
    """
    Output of `TerGanModel`.

    Args:
        pixel_values (`torch.FloatTensor` of shape `(batch, channels, image_size, image_size)`):
            x̄, the target's face with the source's expression, in [-1, 1].
        expression_embedding (`torch.FloatTensor` of shape `(batch, expression_embedding_size)`):
            f(e) of the source.
        identity_embedding (`torch.FloatTensor` of shape `(batch, identity_embedding_size)`):
            f(i) of the target.
    """

    pixel_values: torch.FloatTensor | None = None
    expression_embedding: torch.FloatTensor | None = None
    identity_embedding: torch.FloatTensor | None = None


@dataclass
class TerGanChange(ModelOutput):
    """
    How a target's face changes, as parts that can be enlarged to a photo's own resolution.

    Args:
        pixel_values (`torch.FloatTensor` of shape `(batch, channels, image_size, image_size)`):
            x̄ at the network's resolution, in [-1, 1]; `None` after `mirror` or `zoom_out`.
        flow (`torch.FloatTensor` of shape `(batch, 2, image_size, image_size)`):
            where each pixel of x̄ looks in x_t, as (x, y) offsets in the coordinates of `grid_sample` (the crop spans
            [-1, 1]). `None` for the bottleneck decoder.
        residual (`torch.FloatTensor` of shape `(batch, channels, image_size, image_size)`):
            what is added to the moved x_t. `None` where x̄ replaces x_t (the paper's model).
        identity_embedding (`torch.FloatTensor` of shape `(batch, identity_embedding_size)`):
            f(i) of the target.
    """

    pixel_values: torch.FloatTensor | None = None
    flow: torch.FloatTensor | None = None
    residual: torch.FloatTensor | None = None
    identity_embedding: torch.FloatTensor | None = None

    def mirror(self) -> "TerGanChange":
        """
        The same change of the mirrored target: flow and residual, without x̄.

        Raises:
            ValueError: the change has no residual (the paper's model).
        """
        flow = None
        if self.flow is not None:
            flow = self.flow.flip(3) * self.flow.new_tensor([-1, 1]).view(1, 2, 1, 1)
        return TerGanChange(None, flow, self._known_residual().flip(3), self.identity_embedding)

    def zoom_out(self, margin: float) -> "TerGanChange":
        """
        The same change of a crop `margin` times as large about the same centre: flow and residual, without x̄. Around
        the former crop they keep the values of its border.

        Raises:
            ValueError: as for `mirror`.
        """
        residual = self._known_residual()
        theta = margin * torch.eye(2, 3, device=residual.device, dtype=residual.dtype).expand(len(residual), 2, 3)
        grid = F.affine_grid(theta, list(residual.shape), align_corners=False)

        def reduced(maps: torch.Tensor) -> torch.Tensor:
            return F.grid_sample(maps, grid.to(maps.dtype), mode="bicubic", padding_mode="border", align_corners=False)

        flow = None if self.flow is None else reduced(self.flow) / margin
        return TerGanChange(None, flow, reduced(residual), self.identity_embedding)

    def mean_with(self, other: "TerGanChange", target: torch.Tensor) -> "TerGanChange":
        """
        Test-time augmentation: the mean of two changes of one target.

        Args:
            other: another view's. target: x_t, `(batch, channels, image_size, image_size)`.

        Raises:
            ValueError: as for `mirror`.
        """
        residual, flow, moved = (self._known_residual() + other._known_residual()) / 2, None, target
        if self.flow is not None:
            flow = (self.flow + other.flow) / 2
            moved = warp(target, flow)
        return TerGanChange((moved + residual).clamp(-1, 1), flow, residual, self.identity_embedding)

    def _known_residual(self) -> torch.Tensor:
        if self.residual is None:
            raise ValueError("a model that replaces the whole face gives no change that could be moved or averaged")
        return self.residual


@dataclass
class TerGanTarget(ModelOutput):
    """
    A target seen once, to be given many expressions.

    Args:
        pixel_values (`torch.FloatTensor` of shape `(batch, channels, image_size, image_size)`): x_t.
        expression_embedding (`torch.FloatTensor` of shape `(batch, expression_embedding_size)`):
            f(e) of the target itself.
        identity_embedding (`torch.FloatTensor` of shape `(batch, identity_embedding_size)`): f(i).
        feature_maps (`tuple` of `torch.FloatTensor`): G_et's, full size first.
        skip_maps (`tuple` of `torch.FloatTensor`):
            what the photo decoder's convolutions make of these maps alone, see `TerGanPhotoDecoder.skip_maps`.
    """

    pixel_values: torch.FloatTensor | None = None
    expression_embedding: torch.FloatTensor | None = None
    identity_embedding: torch.FloatTensor | None = None
    feature_maps: tuple[torch.FloatTensor, ...] | None = None
    skip_maps: tuple[torch.FloatTensor, ...] | None = None


class ConvolutionBlock(nn.Sequential):
    """3×3 stride-1 convolution, batch norm, LeakyReLU: (B, before, h, w) → (B, after, h, w)."""

    def __init__(
        self, config: TerGanConfig, before: int, after: int, starts_at_zero: bool = False, scaled: bool = False
    ):
        norm = nn.BatchNorm2d(after)
        if starts_at_zero:
            norm.initial_std = 0.0
        convolution = (ScaledConv2d if scaled else nn.Conv2d)(before, after, kernel_size=3, padding=1, bias=False)
        super().__init__(convolution, norm, nn.LeakyReLU(config.leaky_relu_slope))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        convolution, _, activation = self
        # An exported network has any batch size, and whoever runs it folds batch norm.
        if self.training or torch.compiler.is_compiling() or hidden.numel() < convolution.weight.numel():
            return super().forward(hidden)
        # At use batch norm is one factor and one shift per channel, which the convolution takes along. It pays where
        # there are more positions than weights: a third less time for a batch of faces.
        hidden = F.conv2d(hidden, *fold_batch_norm(self), padding=1)
        return F.leaky_relu_(hidden, activation.negative_slope)


class TerGanEncoder(nn.Module):
    """`G_es` or `G_et` (section 4.1): blocks of 3×3 stride-1 convolution, batch norm, LeakyReLU and 2×2 max-pool
    (the paper says "downsampling block"; the pool is our reading), then one FC layer. Larger images are reduced to
    the encoder's own size first; a map of one position is pooled no further."""

    COMMONLY_REFINED = 16  # positions; refinements of larger maps came later

    def __init__(
        self,
        config: TerGanConfig,
        channels: Sequence[int],
        image_size: int,
        embedding_size: int,
        patch_size: int = 1,
        refinements: int = 0,
        refined_size: int = COMMONLY_REFINED,
        starts_unrefined: bool = False,
        scaled: bool = False,
        int8: bool = False,
    ):
        super().__init__()
        self.image_size, self.patch_size = image_size, patch_size
        channels = [config.num_channels * patch_size**2, *channels]
        sizes = [image_size // patch_size // 2**block for block in range(len(channels))]
        self.convolutions = nn.ModuleList(
            ConvolutionBlock(config, before, after, scaled=scaled)
            for before, after in zip(channels[:-1], channels[1:])
        )
        # The second and later ones, and those on large maps, begin as nothing, so that a model without them can go on.
        self.refinements = nn.ModuleList(
            nn.ModuleList(
                ConvolutionBlock(
                    config, after, after, starts_unrefined or number > 0 or size > self.COMMONLY_REFINED, scaled
                )
                for number in range(refinements if size <= refined_size else 0)
            )
            for size, after in zip(sizes, channels[1:])
        )
        self.embedding = nn.Linear(channels[-1] * max(1, sizes[-1]) ** 2, embedding_size)
        # All zero until they are measured: 8 bits are used from then on.
        ranges = torch.zeros(count_ranges(list(map(len, self.refinements))), 2) if int8 else None
        self.register_buffer("activation_ranges", ranges)
        self._int8 = Int8Cache()

    @classmethod
    def of_expression(cls, config: TerGanConfig) -> "TerGanEncoder":
        """G_es. Its weights may be whole numbers, whether it computes in 8 bits or not."""
        return cls(
            config, config.encoder_channels, config.expression_image_size, config.expression_embedding_size,
            config.expression_patch_size, config.expression_refinements, config.expression_refined_size,
            scaled=True, int8=config.expression_int8,
        )  # fmt: skip

    @classmethod
    def of_identity(cls, config: TerGanConfig) -> "TerGanEncoder":
        """G_et."""
        return cls(
            config, config.identity_encoder_channels, config.image_size, config.identity_embedding_size,
            config.patch_size, config.identity_refinements, config.identity_refined_size, starts_unrefined=True,
        )  # fmt: skip

    def prepare(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """(B, C, S, S) crops of any size → what the first convolution takes, (B, C · patch_size², s, s)."""
        hidden = pixel_values
        if hidden.shape[-1] != self.image_size:
            side = (self.image_size, self.image_size)
            hidden = F.interpolate(hidden, size=side, mode="bilinear", antialias=True)
        if self.patch_size > 1:
            hidden = F.pixel_unshuffle(hidden, self.patch_size)
        # Convolutions on CPUs are a third faster in this layout.
        return hidden.contiguous(memory_format=torch.channels_last)

    def feature_maps(self, pixel_values: torch.Tensor) -> list[torch.Tensor]:
        """h_l of equations 8 and 9: each block's activation before its pool, full size first."""
        features, hidden = [], self.prepare(pixel_values)
        for convolution, refinements in zip(self.convolutions, self.refinements):
            hidden = convolution(hidden)
            for refinement in refinements:
                hidden = hidden + refinement(hidden)
            features.append(hidden)
            hidden = pool(hidden)
        return features

    def embed(self, feature_maps: list[torch.Tensor]) -> torch.Tensor:
        """The embedding (B, embedding_size) that belongs to these feature maps."""
        return self.embedding(pool(feature_maps[-1]).flatten(1))

    @torch.no_grad()
    def leave_int8(self):
        """Be what can be trained further: floats, without ranges, which would no longer fit. f(e) stays the same, but
        for what 8 bits make of it."""
        if self.activation_ranges is not None:
            self.activation_ranges.zero_()
        for layer in self.modules():
            if isinstance(layer, ScaledConv2d):
                layer.absorb_scale()

    def train(self, mode: bool = True) -> "TerGanEncoder":
        """As ever; in training mode an encoder computes in floats, and goes on to do so, see `leave_int8`."""
        if mode:
            self.leave_int8()
        return super().train(mode)

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


class TerGanDecoder(nn.Module):
    """`G_de` (section 4.1): FC to the encoder's last map, then blocks that upsample to the encoder's mirrored sizes
    (so the output is exactly the input's size), 3×3 stride-1 convolutions, tanh last."""

    def __init__(self, config: TerGanConfig):
        super().__init__()
        self.sizes = tuple(reversed(config.feature_map_sizes))
        self.start_channels = config.identity_encoder_channels[-1]
        embedding_size = config.expression_embedding_size + config.identity_embedding_size
        self.projection = nn.Linear(embedding_size, self.start_channels * self.sizes[0] ** 2)
        channels = [self.start_channels, *config.decoder_channels]
        self.convolutions = nn.ModuleList(
            ConvolutionBlock(config, before, after) for before, after in zip(channels[:-2], channels[1:-1])
        )
        self.to_image = nn.Conv2d(channels[-2], channels[-1], kernel_size=3, padding=1)
        if config.predict_residual:
            # A small first change: training starts from "hand the target back", not from noise on top of it.
            self.to_image.initial_std = 0.01

    def forward(self, fused: torch.Tensor) -> torch.Tensor:
        """f(x) = [f(e), f(i)] (B, 80) → image (B, C, S, S) in [-1, 1]."""
        hidden = self.projection(fused).unflatten(1, (self.start_channels, self.sizes[0], self.sizes[0]))
        for size, block in zip(self.sizes[1:], [*self.convolutions, self.to_image]):
            hidden = block(F.interpolate(hidden, size=(size, size), mode="nearest"))
        return torch.tanh(hidden)


def norm_groups(channels: int) -> int:
    """Groups of a `ModulatedBlock`'s group norm."""
    return math.gcd(8, channels)


class ModulatedBlock(nn.Module):
    """3×3 convolution, group norm, FiLM (Perez et al. 2018: a scale and a shift per channel, read from the condition),
    LeakyReLU."""

    def __init__(
        self, config: TerGanConfig, before: int, after: int, condition_size: int, starts_at_zero: bool = False
    ):
        super().__init__()
        self.convolution = nn.Conv2d(before, after, kernel_size=3, padding=1, bias=False)
        self.norm = nn.GroupNorm(norm_groups(after), after)
        if starts_at_zero:
            self.norm.initial_std = 0.0
        self.modulation = nn.Linear(condition_size, 2 * after)
        self.modulation.initial_std = 0.0
        self.activation = nn.LeakyReLU(config.leaky_relu_slope)

    def forward(
        self, hidden: torch.Tensor, condition: torch.Tensor, known: torch.Tensor | None = None
    ) -> torch.Tensor:
        """(B, before, h, w), (B, condition_size) → (B, after, h, w). With `known`, (B, after, h, w), what the
        convolution makes of its last input channels, `hidden` has only the others."""
        scale, shift = self.modulation(condition)[:, :, None, None].chunk(2, dim=1)
        if known is None:
            convolved = self.convolution(hidden)
        else:
            convolved = known + F.conv2d(hidden, self.convolution.weight[:, : hidden.shape[1]], padding=1)
        return self.activation(self.norm(convolved) * (1 + scale) + shift)

    def convolve_last(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, C, h, w), the last C of the input channels → (B, after, h, w), what the convolution makes of them."""
        return F.conv2d(maps, self.convolution.weight[:, -maps.shape[1] :], padding=1)


class ConditionMapping(nn.Module):
    """So that modulations need not be linear in f(e) and f(i): the condition, plus what one hidden layer makes of it,
    (B, size) → (B, size); a small mapping network (Karras et al. 2019). It begins as the condition."""

    def __init__(self, config: TerGanConfig, size: int):
        super().__init__()
        self.hidden = nn.Linear(size, config.decoder_mapping_size)
        self.activation = nn.LeakyReLU(config.leaky_relu_slope)
        self.output = nn.Linear(config.decoder_mapping_size, size)
        self.output.initial_std = 0.0

    def forward(self, condition: torch.Tensor) -> torch.Tensor:
        return condition + self.output(self.activation(self.hidden(condition)))


class TerGanPhotoDecoder(nn.Module):
    """
    G_de for strangers' photos. It starts from G_et's last map, meets G_et's feature maps again at every size, and is
    modulated at every scale by what to add (the wanted f(e)), what to undo (the target's f(e)) and whose face it is
    (f(i)). It puts out a flow, a mask, colours, and a coarse shading s, by which moved skin gets lighter or darker as
    it turns to the light or away: with w = warp(x_t, flow), x̄ = w + (1 − m) · (colour − w) + s · (w + 1).
    """

    MAX_FLOW = 0.25  # of the crop's [-1, 1]
    SHADED_SIZE = 32  # positions, at most, of the map that gives the shading

    def __init__(self, config: TerGanConfig):
        super().__init__()
        self.sizes = tuple(reversed(config.feature_map_sizes))
        self.gate = config.expression_gate
        condition_size = 2 * config.expression_embedding_size + config.identity_embedding_size
        self.mapping = ConditionMapping(config, condition_size) if config.decoder_mapping_size else nn.Identity()
        skips = tuple(reversed(config.identity_encoder_channels))
        channels = [skips[0], *config.decoder_channels]
        self.blocks = nn.ModuleList(
            ModulatedBlock(config, before + skip, after, condition_size)
            for before, skip, after in zip(channels[:-1], skips, channels[1:])
        )
        # The second and later ones, and those on large maps, begin as nothing, so that a model without them can go on.
        self.refinements = nn.ModuleList(
            nn.ModuleList(
                ModulatedBlock(
                    config, after, after, condition_size, starts_at_zero=number > 0 or size > self.SHADED_SIZE
                )
                for number in range(config.decoder_refinements if size <= config.decoder_refined_size else 0)
            )
            for size, after in zip(self.sizes[1:], config.decoder_channels)
        )
        self.patch_size, self.num_channels = config.patch_size, config.num_channels
        painted = (1 + config.num_channels) * config.patch_size**2
        self.to_change = nn.Conv2d(channels[-1], 2 + painted, kernel_size=3, padding=1)
        self.to_change.initial_std = 0.0
        small = [block for block, size in enumerate(self.sizes[1:]) if size <= self.SHADED_SIZE]
        self.shaded_block = max(small, default=0)
        self.to_shading = nn.Conv2d(
            config.decoder_channels[self.shaded_block], config.num_channels, kernel_size=3, padding=1
        )
        self.to_shading.initial_std = 0.0

    def skip_maps(self, feature_maps: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """What each block's convolution makes of G_et's maps (full size first) alone: whatever expression a target is
        given, it is the same, and a sixth of the decoder's work."""
        return tuple(block.convolve_last(maps) for block, maps in zip(self.blocks, reversed(feature_maps)))

    def forward(
        self,
        wanted: torch.Tensor,
        own: torch.Tensor,
        identity: torch.Tensor,
        feature_maps: list[torch.Tensor],
        target: torch.Tensor,
        skip_maps: Sequence[torch.Tensor] | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """
        Args:
            wanted, own: f(e) to show and f(e) of the target. identity: f(i). feature_maps: G_et's, full size first.
            target: x_t. skip_maps: of `skip_maps`, where they are known.

        Returns:
            x̄ in [-1, 1], flow and residual as in `TerGanChange`.
        """
        condition = self.mapping(torch.cat([wanted, own, identity], dim=1))
        hidden = pool(feature_maps[-1])
        maps = []
        known = skip_maps or [None] * len(self.blocks)
        for size, skip, convolved, block, refinements in zip(
            self.sizes[1:], reversed(feature_maps), known, self.blocks, self.refinements
        ):
            hidden = F.interpolate(hidden, size=(size, size), mode="nearest")
            hidden = block(hidden if skip_maps else torch.cat([hidden, skip], dim=1), condition, convolved)
            for refinement in refinements:
                hidden = hidden + refinement(hidden, condition)
            maps.append(hidden)
        change = self.to_change(hidden).float()
        # A movement is smooth and may be enlarged; what is painted gets its own value in every pixel of a patch.
        flow = F.interpolate(change[:, :2], scale_factor=float(self.patch_size), mode="bilinear")
        mask, colour = F.pixel_shuffle(change[:, 2:], self.patch_size).split([1, self.num_channels], dim=1)
        shading = F.interpolate(
            self.to_shading(maps[self.shaded_block]).float(), size=target.shape[-2:], mode="bilinear"
        )
        # In proportion to a small difference, so that the first steps of the intensity show; exactly 0 at none.
        distance = torch.linalg.vector_norm((wanted - own).float(), dim=1) / math.sqrt(wanted.shape[1])
        gate = torch.tanh(distance / math.sqrt(self.gate))[:, None, None, None]
        flow = self.MAX_FLOW * gate * torch.tanh(flow)
        moved = warp(target, flow)
        # The mask starts near 1: what the flow can do is done by moving the photo's own pixels.
        painting = torch.sigmoid(mask - 2) * (torch.tanh(colour) - moved)
        residual = gate * (painting + shading * (moved + 1))
        return moved + residual, flow, residual


def warp(images: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """Look up each pixel at an offset: images (B, C, H, W), flow (B, 2, H, W) in `grid_sample`'s [-1, 1] coordinates;
    past the border the edge repeats."""
    identity = torch.eye(2, 3, device=images.device).expand(images.shape[0], 2, 3)
    grid = F.affine_grid(identity, list(images.shape), align_corners=False)
    grid = grid + flow.float().permute(0, 2, 3, 1)
    return F.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)


@torch.no_grad()
def initialize_layer(layer: nn.Module, config: TerGanConfig):
    """Initial weights of one layer: normal with the layer's own `initial_std`, or else Kaiming for a convolution and
    Xavier for a linear layer. (Set on single layers, not by their parents: transformers passes over modules without
    weights of their own.) Other modules are left alone."""
    if hasattr(layer, "initial_std"):
        init.normal_(layer.weight, std=layer.initial_std)
    elif isinstance(layer, nn.Conv2d):
        init.kaiming_normal_(layer.weight, a=config.leaky_relu_slope)
    elif isinstance(layer, nn.Linear):
        init.xavier_uniform_(layer.weight)
    else:
        return
    if layer.bias is not None:
        init.zeros_(layer.bias)


class TerGanPreTrainedModel(PreTrainedModel):
    config_class = TerGanConfig
    base_model_prefix = "tergan"
    main_input_name = "pixel_values"
    input_modalities = ("image",)
    # Of weights made for 8 bits, where the configuration asks for floats.
    _keys_to_ignore_on_load_unexpected = [r"^expression_encoder\.activation_ranges$"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module):
        super()._init_weights(module)
        initialize_layer(module, self.config)
        if isinstance(module, TerGanModel):
            init.zeros_(module.expression_prototypes)
        if isinstance(module, TerGanEncoder) and module.activation_ranges is not None:
            init.zeros_(module.activation_ranges)
        if isinstance(module, ScaledConv2d):
            init.ones_(module.scale)

    def read_expression(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """What the classifier names: f(e) of x or, with `config.mirror_recognition`, its mean with f(e) of x's mirror
        image, `(batch, expression_embedding_size)`."""
        if not self.config.mirror_recognition:
            return self.expression_encoder(pixel_values)
        return (self.expression_encoder(pixel_values) + self.expression_encoder(pixel_values.flip(3))) / 2


class TerGanModel(TerGanPreTrainedModel):
    """
    The whole generator: `expression_encoder` (G_es), `identity_encoder` (G_et), `decoder` (G_de), beside the shallow
    `classifier` on f(e) of section 4.4 and `expression_prototypes`, one f(e) per label, for editing by label.

    All images are `(batch, channels, image_size, image_size)` tensors in [-1, 1].
    """

    def __init__(self, config: TerGanConfig):
        super().__init__(config)
        self.expression_encoder = TerGanEncoder.of_expression(config)
        self.identity_encoder = TerGanEncoder.of_identity(config)
        self.decoder = TerGanPhotoDecoder(config) if config.decoder_type == "photo" else TerGanDecoder(config)
        self.classifier = nn.Linear(config.expression_embedding_size, config.num_labels)
        self.register_buffer("expression_prototypes", torch.zeros(config.num_labels, config.expression_embedding_size))
        self.post_init()

    def encode_expression(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """f(e) = G_es(x): `(batch, expression_embedding_size)`."""
        return self.expression_encoder(pixel_values)

    def encode_identity(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """f(i) = G_et(x): `(batch, identity_embedding_size)`."""
        return self.identity_encoder(pixel_values)

    def decode(self, expression_embedding: torch.Tensor, identity_embedding: torch.Tensor) -> torch.Tensor:
        """G_de([f(e), f(i)]) of the bottleneck decoder: `(batch, channels, image_size, image_size)` in [-1, 1]."""
        return self.decoder(torch.cat([expression_embedding, identity_embedding], dim=1))

    def encode_target(
        self, pixel_values: torch.Tensor, with_expression: bool = True, for_many: bool = False
    ) -> TerGanTarget:
        """
        Everything `change` needs of a target.

        Args:
            pixel_values: x_t.
            with_expression: `False` where its own f(e) is not looked at, as in the paper's transfer, or is filled in.
            for_many: do now what is the same for every expression the target is going to be given.
        """
        feature_maps = self.identity_encoder.feature_maps(pixel_values)
        ahead = for_many and self.config.decoder_type == "photo"
        return TerGanTarget(
            pixel_values=pixel_values,
            expression_embedding=self.encode_expression(pixel_values) if with_expression else None,
            identity_embedding=self.identity_encoder.embed(feature_maps),
            feature_maps=tuple(feature_maps),
            skip_maps=self.decoder.skip_maps(feature_maps) if ahead else None,
        )

    def change(
        self,
        expression_embedding: torch.Tensor,
        target: torch.Tensor | TerGanTarget,
        intensity: float | torch.Tensor = 1.0,
    ) -> TerGanChange:
        """
        Give the target's face the expression f(e), whichever image or prototype f(e) comes from.

        Args:
            expression_embedding: f(e), `(batch, expression_embedding_size)`.
            target: x_t, or what `encode_target` made of it.
            intensity: α, a number or `(batch, 1)`; the decoder is asked for f(e)_t + α · (f(e) − f(e)_t), see also
                `config.intensity_exponent`. With the photo decoder, or `config.predict_residual`, 0 gives x_t back.
        """
        replaces_target = self.config.replaces_target
        as_is = replaces_target and isinstance(intensity, (int, float)) and intensity == 1
        if not isinstance(target, TerGanTarget):
            target = self.encode_target(target, with_expression=not as_is)
        photo, identity, own = target.pixel_values, target.identity_embedding, target.expression_embedding
        wanted = expression_embedding if as_is else own + self._reach(intensity) * (expression_embedding - own)
        if self.config.decoder_type == "photo":
            generated, flow, residual = self.decoder(
                wanted, own, identity, target.feature_maps, photo, target.skip_maps
            )
            return TerGanChange(generated.clamp(-1, 1), flow, residual, identity)
        if replaces_target:
            return TerGanChange(self.decode(wanted, identity), identity_embedding=identity)
        # One batch through the decoder: in training both halves must share their batch statistics.
        both = self.decode(torch.cat([wanted, own]), torch.cat([identity, identity]))
        count = identity.shape[0]
        residual = both[:count] - both[count:]
        return TerGanChange((photo + residual).clamp(-1, 1), None, residual, identity)

    def _reach(self, intensity: float | torch.Tensor) -> float | torch.Tensor:
        """How much of the way from f(e)_t to f(e) an intensity goes."""
        exponent = self.config.intensity_exponent
        if not isinstance(intensity, torch.Tensor):
            return intensity**exponent if 0 < intensity < 1 else intensity
        return torch.where((intensity > 0) & (intensity < 1), intensity.clamp(1e-6, 1.0) ** exponent, intensity)

    def synthesize(
        self,
        expression_embedding: torch.Tensor,
        target: torch.Tensor | TerGanTarget,
        intensity: float | torch.Tensor = 1.0,
    ) -> torch.Tensor:
        """x̄ of `change`: `(batch, channels, image_size, image_size)` in [-1, 1]."""
        return self.change(expression_embedding, target, intensity).pixel_values

    def classify(self, expression_embedding: torch.Tensor) -> torch.Tensor:
        """Expression logits `(batch, num_labels)` of the shallow classifier on f(e) (section 4.4)."""
        return self.classifier(expression_embedding)

    def forward(
        self,
        pixel_values: torch.FloatTensor,
        target_pixel_values: torch.FloatTensor | None = None,
        intensity: float | torch.Tensor = 1.0,
        return_dict: bool | None = None,
    ) -> TerGanOutput | tuple:
        """
        Transfer the expression of `pixel_values` (x_s) to `target_pixel_values` (x_t, default: x_s itself).

        Example:
        ```python
        >>> output = model(pixel_values=source, target_pixel_values=target)
        >>> output.pixel_values.shape
        torch.Size([1, 3, 75, 75])
        ```
        """
        if target_pixel_values is None:
            target_pixel_values = pixel_values
        expression = self.encode_expression(pixel_values)
        change = self.change(expression, target_pixel_values, intensity)
        output = TerGanOutput(change.pixel_values, expression, change.identity_embedding)
        return output if return_dict is not False else output.to_tuple()


class TerGanForImageClassification(TerGanPreTrainedModel):
    """Facial expression recognition: the detached G_es and the shallow classifier on its f(e) (section 4.4).

    Loads from the same weights as `TerGanModel` and leaves out what it does not need.
    """

    _keys_to_ignore_on_load_unexpected = [
        *TerGanPreTrainedModel._keys_to_ignore_on_load_unexpected,
        r"^identity_encoder\.", r"^decoder\.", r"^expression_prototypes$",
    ]  # fmt: skip

    def __init__(self, config: TerGanConfig):
        super().__init__(config)
        self.expression_encoder = TerGanEncoder.of_expression(config)
        self.classifier = nn.Linear(config.expression_embedding_size, config.num_labels)
        self.post_init()

    def forward(
        self,
        pixel_values: torch.FloatTensor,
        labels: torch.LongTensor | None = None,
        return_dict: bool | None = None,
    ) -> ImageClassifierOutput | tuple:
        """
        Args:
            pixel_values: `(batch, channels, image_size, image_size)` in [-1, 1].
            labels: `(batch,)` expression indices; given, the cross-entropy is returned as `loss`.

        Returns:
            `logits` `(batch, num_labels)`, and what `read_expression` gives as the one `hidden_states`.
        """
        embedding = self.read_expression(pixel_values)
        logits = self.classifier(embedding)
        loss = F.cross_entropy(logits, labels) if labels is not None else None
        output = ImageClassifierOutput(loss=loss, logits=logits, hidden_states=(embedding,))
        return output if return_dict is not False else output.to_tuple()


__all__ = [
    "TerGanChange",
    "TerGanEncoder",
    "TerGanForImageClassification",
    "TerGanModel",
    "TerGanOutput",
    "TerGanPreTrainedModel",
    "TerGanTarget",
]
