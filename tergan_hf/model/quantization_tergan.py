"""8-bit integer quantisation of G_es. On an x86 CPU it takes a third of the time of floats."""

import functools
import warnings
from collections.abc import Iterable, Sequence

import torch
from torch import nn
from torch.nn import functional as F


# A range gets 7 of the 8 bits: the sum of two products with 8-bit weights then fits into the 16 bits in which
# processors without VNNI add. Values outside the range use the remaining levels, up to twice the range.
LEVELS = 127
INTEGERS = 127  # largest absolute weight
TAIL = 1e-3  # share of the activations that lies outside the range, on each side
MOST_VALUES = 200_000  # of a feature map, to estimate its quantiles

Grid = tuple[float, int]  # scale and zero point of unsigned 8-bit values


@functools.cache
def is_supported() -> bool:
    """Whether this PyTorch has fast convolutions of 8-bit integers for this processor: on x86."""
    names = ("conv2d", "conv2d_prepack", "leaky_relu", "add")
    return "x86" in torch.backends.quantized.supported_engines and all(
        hasattr(torch.ops.quantized, name) for name in names
    )


def count_ranges(refinements: Sequence[int]) -> int:
    """The number of ranges of an encoder, by the number of refinements of each block: one range per convolution, and
    one per sum of a feature map and its refinement."""
    return sum(1 + 2 * count for count in refinements)


@torch.no_grad()
def measure_ranges(encoder: nn.Module, batches: Iterable[torch.Tensor]) -> torch.Tensor:
    """
    Measure the ranges of an encoder's activations without `TAIL` of the values on each side, averaged over batches.

    Args:
        encoder: a `TerGanEncoder`, in evaluation mode.
        batches: crops (B, C, S, S) in [-1, 1] of one kind of photos, as at inference.

    Returns:
        (`count_ranges`, 2) lowest and highest value of every convolution before its LeakyReLU and of every sum, in the
        order of computation.
    """
    measured = []
    for crops in batches:
        found: list[torch.Tensor] = []
        _trace(encoder, encoder.prepare(crops), found)
        measured.append(torch.stack(found))
    return torch.stack(measured).mean(0)


def _trace(encoder: nn.Module, hidden: torch.Tensor, found: list[torch.Tensor]):
    def see(values):
        values = values.float().flatten()
        if len(values) > MOST_VALUES:
            drawn = torch.randint(len(values), (MOST_VALUES,), generator=torch.Generator().manual_seed(0))
            values = values[drawn.to(values.device)]
        found.append(torch.quantile(values, values.new_tensor([TAIL, 1 - TAIL])))

    def activate(block, hidden):
        hidden = F.conv2d(hidden, *fold_batch_norm(block), padding=1)
        see(hidden)
        return F.leaky_relu(hidden, block[2].negative_slope)

    for convolution, refinements in zip(encoder.convolutions, encoder.refinements):
        hidden = activate(convolution, hidden)
        for refinement in refinements:
            hidden = hidden + activate(refinement, hidden)
            see(hidden)
        hidden = pool(hidden)


def pool(hidden: torch.Tensor) -> torch.Tensor:
    """2×2 max-pool of a map of floats or 8-bit values. A map of 3×3 is pooled as a whole, because a 2×2 pool would
    ignore a row and a column."""
    side = int(hidden.shape[-1])  # a tensor while PyTorch traces
    return F.max_pool2d(hidden, 2 if side > 3 else side)


class ScaledConv2d(nn.Conv2d):
    """A convolution whose weight is multiplied by `scale`, one factor per output channel. The scale is 1 in training.
    Afterwards the weight can be integers, which take 8 bits each in a file."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.register_buffer("scale", torch.ones(self.out_channels, 1, 1, 1))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return self._conv_forward(hidden, effective_weight(self), self.bias)

    @torch.no_grad()
    def round_weight(self):
        """Round the weight to integers from -127 to 127, with a `scale` that half precision can hold."""
        weight = effective_weight(self)
        self.scale.copy_((weight.abs().amax((1, 2, 3), keepdim=True) / INTEGERS).clamp(min=2**-14).half())
        self.weight.copy_((weight / self.scale).round().clamp(-INTEGERS, INTEGERS))

    @torch.no_grad()
    def absorb_scale(self):
        """Multiply the scale into the weight, so that the scale is 1 again."""
        self.weight.mul_(self.scale)
        self.scale.fill_(1)


def effective_weight(convolution: nn.Conv2d) -> torch.Tensor:
    """The weight of a convolution with its scale applied."""
    scaled = isinstance(convolution, ScaledConv2d)
    return convolution.weight * convolution.scale if scaled else convolution.weight


def fold_batch_norm(block: Sequence[nn.Module]) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of the convolution that equals a `ConvolutionBlock`'s convolution and batch norm in evaluation
    mode."""
    convolution, norm, _ = block
    factor = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return effective_weight(convolution) * factor[:, None, None, None], norm.bias - norm.running_mean * factor


class Int8Encoder:
    """
    A `TerGanEncoder` whose convolutions multiply 8-bit integers (Jacob et al. 2018, arXiv:1712.05877). Weights have a
    scale per output channel, activations the range that was measured for them. The first convolution computes in
    floats.

    Args:
        encoder: on the CPU, in float32, with `activation_ranges`. Its weights are copied.
    """

    def __init__(self, encoder: nn.Module):
        ranges = iter(encoder.activation_ranges.tolist())
        self.encoder = encoder
        with torch.inference_mode(False), torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch plans to replace these operators; see `is_supported`
            # Integers would save a tenth of the encoder's time here and add 0.6 % to the error of f(e).
            self.first = fold_batch_norm(encoder.convolutions[0])
            self.blocks = [
                (_Convolution(convolution, next(ranges)), [
                    (_Convolution(refinement, next(ranges)), _grid(*next(ranges))) for refinement in refinements
                ])
                for convolution, refinements in zip(encoder.convolutions, encoder.refinements)
            ]  # fmt: skip

    def __call__(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """(B, C, S, S) in [-1, 1] → (B, embedding_size), float32."""
        hidden = self.encoder.prepare(pixel_values)
        for number, (convolution, refinements) in enumerate(self.blocks):
            if number:
                hidden = convolution(pool(hidden))
            else:
                hidden = F.leaky_relu_(F.conv2d(hidden, *self.first, padding=1), convolution.slope)
                hidden = torch.quantize_per_tensor(hidden, *convolution.activated, torch.quint8)
            for refinement, total in refinements:
                hidden = torch.ops.quantized.add(hidden, refinement(hidden), *total)
        return self.encoder.embedding(self.encoder.features([hidden.dequantize()]))


class _Convolution:
    def __init__(self, block: Sequence[nn.Module], limits: Sequence[float]):
        low, high = limits
        self.slope = block[2].negative_slope
        self.before, self.activated = _grid(low, high), _grid(self.slope * min(low, 0.0), high)
        weight, bias = fold_batch_norm(block)
        scales = (weight.abs().amax((1, 2, 3)) / INTEGERS).clamp(min=1e-12).double()
        weight = weight.contiguous(memory_format=torch.channels_last)
        weight = torch.quantize_per_channel(weight, scales, torch.zeros(len(scales), dtype=torch.long), 0, torch.qint8)
        once = [1, 1]
        self.packed = torch.ops.quantized.conv2d_prepack(weight, bias, once, once, once, 1)

    def __call__(self, hidden: torch.Tensor) -> torch.Tensor:
        hidden = torch.ops.quantized.conv2d(hidden, self.packed, *self.before)
        return torch.ops.quantized.leaky_relu(hidden, self.slope, False, *self.activated)


def _grid(low: float, high: float) -> Grid:
    low, high = min(low, 0.0), max(high, 0.0)
    scale = max(high - low, 1e-6) / LEVELS
    return scale, round(-low / scale)


def _state(tensor: torch.Tensor) -> tuple[int, int]:
    return tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version


class Int8Cache:
    """The `Int8Encoder` of an encoder, built on first use and again after the encoder has changed. Changes through
    `weight.data` are not noticed. A copy of the encoder builds its own."""

    def __init__(self):
        self._state, self._made = None, None

    def __deepcopy__(self, memo) -> "Int8Cache":
        return Int8Cache()

    def __reduce__(self):
        return Int8Cache, ()

    def of(self, encoder: nn.Module) -> Int8Encoder:
        """The up-to-date `Int8Encoder` of this encoder."""
        state = tuple(map(_state, (*encoder.parameters(), *encoder.buffers())))
        if state != self._state:
            self._made = Int8Encoder(encoder)
            self._state = state
        return self._made


__all__ = ["Int8Cache", "Int8Encoder", "ScaledConv2d", "count_ranges", "is_supported", "measure_ranges", "pool"]
