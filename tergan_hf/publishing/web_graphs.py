"""The graphs that TER-GAN runs in a browser: face detection, G_es, G_et and G_de, each on its own.

They use operators that onnxruntime-web has for WebGPU. In particular, G_es's antialiased reduction is two products
with a fixed matrix, because WebGPU's `Resize` does not antialias.
"""

import torch
from torch import nn
from torch.nn import functional as F

from ..model.encoder_tergan import TerGanEncoder
from ..model.face_detection_tergan import FaceDetector
from ..model.modeling_tergan import TerGanModel
from ..model.quantization_tergan import effective_weight
from .onnx_graph import Graph


class DetectionNetwork(nn.Module):
    """P-, R- or O-Net: pixels (B, 3, h, w) from 0 to 255 → (scores, box offsets), of O-Net also landmarks.

    P-Net gives scores (B, h', w') and offsets (B, 4, h', w'), the others (B,) and (B, 4). Landmarks are (B, 10): five
    x, then five y, as shares of the input's side.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        offsets, *landmarks, probabilities = self.network((pixels - 127.5) / 128)
        return probabilities[:, 1], offsets, *landmarks


class PatchEncoder(nn.Module):
    """
    A `TerGanEncoder` whose first convolution reads pixels: on patches of p×p pixels, a 3×3 convolution is one of
    3p×3p pixels with stride p. onnxruntime-web 1.30 gives wrong values on a GPU where pixels are rearranged first, if
    p = 3.
    """

    def __init__(self, encoder: TerGanEncoder):
        super().__init__()
        self.encoder, patch = encoder, encoder.patch_size
        weight = effective_weight(encoder.convolutions[0][0]).detach()
        channels = weight.shape[1] // patch**2
        self.first = nn.Conv2d(channels, len(weight), 3 * patch, stride=patch, padding=patch, bias=False)
        # (out, channel, row and column in the patch, row and column of the patch) → (out, channel, row, column)
        pixels = weight.view(-1, channels, patch, patch, 3, 3).permute(0, 1, 4, 2, 5, 3)
        self.first.weight = nn.Parameter(pixels.reshape(self.first.weight.shape).contiguous())

    def feature_maps(self, pixel_values: torch.Tensor) -> list[torch.Tensor]:
        """As `TerGanEncoder.feature_maps`, for crops of the encoder's own size."""
        _, norm, activation = self.encoder.convolutions[0]
        return self.encoder.feature_maps_from(activation(norm(self.first(pixel_values))))

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Crops of the encoder's own size → its embedding."""
        return self.encoder.embed(self.feature_maps(pixel_values))


class ExpressionEncoder(nn.Module):
    """G_es: pixel_values (B, C, S, S) → f(e) (B, D)."""

    def __init__(self, model: TerGanModel):
        super().__init__()
        self.encoder = PatchEncoder(model.expression_encoder)
        size, own = model.config.image_size, model.expression_encoder.image_size
        reduction = None
        if own != size:
            identity = torch.eye(size)[None, None]
            reduction = F.interpolate(identity, size=(own, size), mode="bilinear", antialias=True)[0, 0]
        self.register_buffer("reduction", reduction, persistent=False)

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor]:
        if self.reduction is not None:
            pixel_values = self.reduction @ pixel_values @ self.reduction.T
        return (self.encoder(pixel_values),)


class IdentityEncoder(nn.Module):
    """G_et and the share of G_de that is the same for every expression: pixel_values (B, C, S, S) → f(i), the last
    feature map, and one skip map per block of G_de."""

    def __init__(self, model: TerGanModel):
        super().__init__()
        self.encoder, self.decoder = PatchEncoder(model.identity_encoder), model.decoder

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        maps = self.encoder.feature_maps(pixel_values)
        return self.encoder.encoder.embed(maps), maps[-1], *self.decoder.skip_maps(maps)


class Decoder(nn.Module):
    """G_de: the wanted f(e), the target's own f(e), and the results of `IdentityEncoder` → x̄, flow and residual."""

    def __init__(self, model: TerGanModel):
        super().__init__()
        self.decoder = model.decoder

    def forward(self, wanted, own, pixel_values, identity, last_map, *skip_maps) -> tuple[torch.Tensor, ...]:
        generated, flow, residual = self.decoder(wanted, own, identity, [last_map], pixel_values, skip_maps)
        return generated.clamp(-1, 1), flow, residual


def browser_graphs(model: TerGanModel) -> dict[str, Graph]:
    """The graphs of a model with the photo decoder, and those of face detection, by name."""
    graphs = _detection_graphs()
    config = model.config
    crops = torch.zeros(2, config.num_channels, config.image_size, config.image_size)
    embeddings = torch.zeros(1, config.expression_embedding_size)
    graphs["expression_encoder"] = Graph(
        ExpressionEncoder(model), {"pixel_values": crops}, ("expression_embedding",), {"pixel_values": {0: "batch"}}
    )
    identity = IdentityEncoder(model)
    with torch.no_grad():
        encoded = identity.eval()(crops[:1])
    names = ("identity_embedding", "last_map", *(f"skip_map_{block}" for block in range(len(encoded) - 2)))
    graphs["identity_encoder"] = Graph(identity, {"pixel_values": crops[:1]}, names)
    inputs = {"wanted": embeddings, "own": embeddings + 1, "pixel_values": crops[:1], **dict(zip(names, encoded))}
    graphs["decoder"] = Graph(Decoder(model), inputs, ("generated", "flow", "residual"))
    return graphs


def _detection_graphs() -> dict[str, Graph]:
    networks = FaceDetector().network
    pnet = torch.zeros(1, 3, 40, 50)
    sizes = {"pixels": {2: "height", 3: "width"}}
    outputs = ("scores", "offsets")
    graphs = {"pnet": Graph(DetectionNetwork(networks.pnet), {"pixels": pnet}, outputs, sizes)}
    for name, side, names in (("rnet", 24, outputs), ("onet", 48, (*outputs, "landmarks"))):
        graphs[name] = Graph(
            DetectionNetwork(getattr(networks, name)), {"pixels": torch.zeros(2, 3, side, side)}, names,
            {"pixels": {0: "batch"}},
        )  # fmt: skip
    return graphs
