"""TER-GAN model: two encoders, one decoder, a shallow expression classifier (Ali & Hughes 2020, arXiv:2002.07050)."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import ImageClassifierOutput
from transformers.utils import ModelOutput

from .configuration_tergan import TerGanConfig


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


class TerGanEncoder(nn.Module):
    """`G_es` or `G_et` (section 4.1): blocks of 3×3 stride-1 convolution, batch norm, LeakyReLU and 2×2 max-pool
    (the paper says "downsampling block"; the pool is our reading), then one FC layer."""

    def __init__(self, config: TerGanConfig, embedding_size: int):
        super().__init__()
        channels = [config.num_channels, *config.encoder_channels]
        self.convolutions = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before, after, kernel_size=3, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.LeakyReLU(config.leaky_relu_slope),
            )
            for before, after in zip(channels[:-1], channels[1:])
        )
        self.pool = nn.MaxPool2d(2)
        self.embedding = nn.Linear(channels[-1] * config.feature_map_sizes[-1] ** 2, embedding_size)

    def feature_maps(self, pixel_values: torch.Tensor) -> list[torch.Tensor]:
        """h_l of equations 8 and 9: each block's activation before its pool, full size first."""
        features, hidden = [], pixel_values
        for convolution in self.convolutions:
            features.append(convolution(hidden))
            hidden = self.pool(features[-1])
        return features

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """(B, C, S, S) in [-1, 1] → (B, embedding_size)."""
        return self.embedding(self.pool(self.feature_maps(pixel_values)[-1]).flatten(1))


class TerGanDecoder(nn.Module):
    """`G_de` (section 4.1): FC to the encoder's last map, then blocks that upsample to the encoder's mirrored sizes
    (so the output is exactly the input's size), 3×3 stride-1 convolutions, tanh last."""

    def __init__(self, config: TerGanConfig):
        super().__init__()
        self.sizes = tuple(reversed(config.feature_map_sizes))
        self.start_channels = config.encoder_channels[-1]
        embedding_size = config.expression_embedding_size + config.identity_embedding_size
        self.projection = nn.Linear(embedding_size, self.start_channels * self.sizes[0] ** 2)
        channels = [self.start_channels, *config.decoder_channels]
        self.convolutions = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before, after, kernel_size=3, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.LeakyReLU(config.leaky_relu_slope),
            )
            for before, after in zip(channels[:-2], channels[1:-1])
        )
        self.to_image = nn.Conv2d(channels[-2], channels[-1], kernel_size=3, padding=1)

    def forward(self, fused: torch.Tensor) -> torch.Tensor:
        """f(x) = [f(e), f(i)] (B, 80) → image (B, C, S, S) in [-1, 1]."""
        hidden = self.projection(fused).unflatten(1, (self.start_channels, self.sizes[0], self.sizes[0]))
        for size, block in zip(self.sizes[1:], [*self.convolutions, self.to_image]):
            hidden = block(F.interpolate(hidden, size=(size, size), mode="nearest"))
        return torch.tanh(hidden)


class TerGanPreTrainedModel(PreTrainedModel):
    config_class = TerGanConfig
    base_model_prefix = "tergan"
    main_input_name = "pixel_values"
    input_modalities = ("image",)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module):
        super()._init_weights(module)
        if isinstance(module, nn.Conv2d):
            init.kaiming_normal_(module.weight, a=self.config.leaky_relu_slope)
        elif isinstance(module, nn.Linear):
            init.xavier_uniform_(module.weight)
        if isinstance(module, TerGanDecoder) and self.config.predict_residual:
            # A small first change: training starts from "hand the target back", not from noise on top of it.
            init.normal_(module.to_image.weight, std=0.01)
        if isinstance(module, TerGanModel):
            init.zeros_(module.expression_prototypes)


class TerGanModel(TerGanPreTrainedModel):
    """
    The whole generator: `expression_encoder` (G_es), `identity_encoder` (G_et), `decoder` (G_de), beside the shallow
    `classifier` on f(e) of section 4.4 and `expression_prototypes`, one f(e) per label, for editing by label.

    All images are `(batch, channels, image_size, image_size)` tensors in [-1, 1].
    """

    def __init__(self, config: TerGanConfig):
        super().__init__(config)
        self.expression_encoder = TerGanEncoder(config, config.expression_embedding_size)
        self.identity_encoder = TerGanEncoder(config, config.identity_embedding_size)
        self.decoder = TerGanDecoder(config)
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
        """G_de([f(e), f(i)]): `(batch, channels, image_size, image_size)` in [-1, 1]."""
        return self.decoder(torch.cat([expression_embedding, identity_embedding], dim=1))

    def synthesize(
        self,
        expression_embedding: torch.Tensor,
        target_pixel_values: torch.Tensor,
        intensity: float | torch.Tensor = 1.0,
        identity_embedding: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """
        x̄: the target's face with the expression f(e), whichever image or prototype f(e) comes from.

        Args:
            expression_embedding: f(e), `(batch, expression_embedding_size)`.
            target_pixel_values: x_t.
            intensity: α, a number or `(batch, 1)`; the decoder sees f(e)_t + α · (f(e) − f(e)_t). With
                `config.predict_residual`, 0 gives x_t back exactly.
            identity_embedding: f(i) of the target where it is known already.

        Returns:
            `(batch, channels, image_size, image_size)` in [-1, 1].
        """
        if identity_embedding is None:
            identity_embedding = self.encode_identity(target_pixel_values)
        needs_target_expression = self.config.predict_residual or not (
            isinstance(intensity, (int, float)) and intensity == 1
        )
        if not needs_target_expression:
            return self.decode(expression_embedding, identity_embedding)
        target_expression = self.encode_expression(target_pixel_values)
        wanted = target_expression + intensity * (expression_embedding - target_expression)
        if not self.config.predict_residual:
            return self.decode(wanted, identity_embedding)
        # One batch through the decoder: in training both halves must share their batch statistics.
        both = self.decode(torch.cat([wanted, target_expression]), torch.cat([identity_embedding, identity_embedding]))
        with_wanted, with_own = both.chunk(2)
        return (target_pixel_values + with_wanted - with_own).clamp(-1, 1)

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
        identity = self.encode_identity(target_pixel_values)
        generated = self.synthesize(expression, target_pixel_values, intensity, identity_embedding=identity)
        output = TerGanOutput(pixel_values=generated, expression_embedding=expression, identity_embedding=identity)
        return output if return_dict is not False else output.to_tuple()


class TerGanForImageClassification(TerGanPreTrainedModel):
    """Facial expression recognition: the detached G_es and the shallow classifier on its f(e) (section 4.4).

    Loads from the same weights as `TerGanModel` and leaves out what it does not need.
    """

    _keys_to_ignore_on_load_unexpected = [r"^identity_encoder\.", r"^decoder\.", r"^expression_prototypes$"]

    def __init__(self, config: TerGanConfig):
        super().__init__(config)
        self.expression_encoder = TerGanEncoder(config, config.expression_embedding_size)
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
            `logits` `(batch, num_labels)`, and f(e) `(batch, expression_embedding_size)` as the one `hidden_states`.
        """
        embedding = self.expression_encoder(pixel_values)
        logits = self.classifier(embedding)
        loss = F.cross_entropy(logits, labels) if labels is not None else None
        output = ImageClassifierOutput(loss=loss, logits=logits, hidden_states=(embedding,))
        return output if return_dict is not False else output.to_tuple()


__all__ = ["TerGanEncoder", "TerGanForImageClassification", "TerGanModel", "TerGanOutput", "TerGanPreTrainedModel"]
