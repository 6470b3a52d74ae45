"""TER-GAN model: two encoders, one decoder, a shallow expression classifier (Ali & Hughes 2020, arXiv:2002.07050)."""

from collections.abc import Iterable
from os import PathLike

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers import initialization as init

from .blendshapes_tergan import limit_blendshapes, mirror_blendshapes
from .configuration_tergan import TerGanConfig
from .decoder_tergan import TerGanDecoder, TerGanPhotoDecoder
from .encoder_tergan import TerGanEncoder
from .errors_tergan import InvalidInputError
from .fork_safety_tergan import use_one_thread_after_fork
from .initialization_tergan import initialize_layer
from .outputs_tergan import TerGanChange, TerGanImageClassifierOutput, TerGanOutput, TerGanTarget
from .quantization_tergan import ScaledConv2d
from .remote_code_tergan import code_beside
from .weights_check_tergan import check_finite, check_shapes


use_one_thread_after_fork()


class TerGanPreTrainedModel(PreTrainedModel):
    """Loading, saving and initial weights; what recognition needs."""

    config_class = TerGanConfig
    config: TerGanConfig
    base_model_prefix = "tergan"
    main_input_name = "pixel_values"
    input_modalities = ("image",)
    expression_encoder: TerGanEncoder
    blendshape_regressor: nn.Linear | None
    # Quantised weights may be loaded with `expression_int8=False`.
    _keys_to_ignore_on_load_unexpected = [r"^expression_encoder\.activation_ranges$"]

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path=None, *args, config=None, **kwargs):
        """
        Load a model as `PreTrainedModel.from_pretrained` does.

        Raises:
            OSError: there is no such model.
            InvalidInputError: configuration or weights are damaged, do not fit each other, or are not finite. With
                `ignore_mismatched_sizes=True` tensors may be missing or of another shape.
        """
        strict = not kwargs.get("ignore_mismatched_sizes") and kwargs.get("state_dict") is None
        if strict and pretrained_model_name_or_path is not None:
            known = config
            if not isinstance(config, PreTrainedConfig):
                known = TerGanConfig.from_pretrained(config or pretrained_model_name_or_path, **kwargs)
            with torch.device("meta"):
                network = cls(known)
            check_shapes(network, pretrained_model_name_or_path, **kwargs)
        loaded = super().from_pretrained(pretrained_model_name_or_path, *args, config=config, **kwargs)
        check_finite(loaded[0] if isinstance(loaded, tuple) else loaded, pretrained_model_name_or_path)
        return loaded

    def save_pretrained(self, save_directory: str | PathLike, *args, **kwargs):
        """Save as `PreTrainedModel.save_pretrained` does. A model that came with its code is saved with it."""
        with code_beside(self, save_directory, kwargs, getattr(self.config, "auto_map", None) is not None):
            super().save_pretrained(save_directory, *args, **kwargs)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module):
        super()._init_weights(module)
        initialize_layer(module)
        if isinstance(module, TerGanModel):
            init.zeros_(module.expression_prototypes)
            if module.blendshape_directions is not None:
                init.zeros_(module.blendshape_directions)
        if isinstance(module, TerGanEncoder) and module.activation_ranges is not None:
            init.zeros_(module.activation_ranges)
        if isinstance(module, ScaledConv2d):
            init.ones_(module.scale)

    def read_expression(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """The input of the classifier, `(batch, expression_embedding_size)`: f(e) of x or, with
        `config.mirror_recognition`, its mean with f(e) of the mirror image of x."""
        return _mean(self._views(pixel_values))

    def read_blendshapes(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """
        Blendshapes `(batch, len(config.blendshape_names))`: ARKit's names as weights from 0 to 1, `gazeX` and `gazeY`
        in degrees to the viewer's right and up. With `config.mirror_recognition`, the mean over x and its mirror
        image.

        Raises:
            InvalidInputError: the model reads no blendshapes.
        """
        self.require_blendshapes()
        values = self._mean_blendshapes(self._views(pixel_values))
        assert values is not None
        return values

    def regress_blendshapes(self, expression_embedding: torch.Tensor) -> torch.Tensor:
        """
        Blendshapes `(batch, len(config.blendshape_names))` of f(e), limited as those of `read_blendshapes`.

        Raises:
            InvalidInputError: the model reads no blendshapes.
        """
        return limit_blendshapes(self.require_blendshapes()(expression_embedding), self.config.blendshape_names)

    def require_blendshapes(self) -> nn.Linear:
        """
        The layer that reads blendshapes.

        Raises:
            InvalidInputError: the model reads no blendshapes.
        """
        if self.blendshape_regressor is None:
            raise InvalidInputError("these weights read no blendshapes")
        return self.blendshape_regressor

    def read_both(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The results of `read_expression` and `read_blendshapes` in one go. The second is `None` if the model reads
        no blendshapes."""
        views = self._views(pixel_values)
        return _mean(views), self._mean_blendshapes(views)

    def _views(self, pixel_values: torch.Tensor) -> list[torch.Tensor]:
        """f(e) of x and, with `config.mirror_recognition`, of its mirror image."""
        views = [pixel_values, pixel_values.flip(3)] if self.config.mirror_recognition else [pixel_values]
        return [self.expression_encoder(view) for view in views]

    def _mean_blendshapes(self, views: list[torch.Tensor]) -> torch.Tensor | None:
        """The blendshapes of the result of `_views`. `None` if the model reads none."""
        if self.blendshape_regressor is None:
            return None
        read = [self.regress_blendshapes(view) for view in views]
        if len(read) == 1:
            return read[0]
        return (read[0] + mirror_blendshapes(read[1], self.config.blendshape_names)) / 2

    def quantize(self, *kinds: torch.Tensor | Iterable[torch.Tensor]):
        """
        Quantise G_es to 8-bit integers, in place. On an x86 CPU it then takes a third of the time, and f(e) changes by
        a few per cent (Jacob et al. 2018, arXiv:1712.05877). Everywhere else it computes in floats.

        Args:
            kinds: for each kind of photos that will be read, a batch of crops (B, C, S, S) in [-1, 1] as at use, or
                several batches. They set the ranges of the activations.

        Raises:
            ValueError: no crops, or crops of another shape.
        """
        self.expression_encoder.quantize(*kinds)
        self.config.expression_int8 = True

    def dequantize(self, dtype: torch.dtype | None = None) -> "TerGanPreTrainedModel":
        """
        Restore float weights and clear the int8 ranges, so that the model can be trained. Returns the model itself.

        Args:
            dtype: cast the model to it, as in transformers.
        """
        self.expression_encoder.dequantize()
        return self if dtype is None else self.to(dtype)


def _mean(views: list[torch.Tensor]) -> torch.Tensor:
    return views[0] if len(views) == 1 else (views[0] + views[1]) / 2


def _blendshape_regressor(config: TerGanConfig) -> nn.Linear | None:
    names = len(config.blendshape_names)
    return nn.Linear(config.expression_embedding_size, names) if names else None


class TerGanModel(TerGanPreTrainedModel):
    """
    The whole generator: `expression_encoder` (G_es), `identity_encoder` (G_et) and `decoder` (G_de). Beside them are
    the shallow `classifier` on f(e) of section 4.4, and `expression_prototypes`, one f(e) per label, to edit by label.

    With `config.blendshape_names` there are also `blendshape_regressor` and `blendshape_directions`, a tensor
    `(expression_embedding_size, len(config.blendshape_names))`: by how much f(e) moves when one blendshape grows by 1
    (gaze by one degree) and the others stay. Both are `None` otherwise. The directions are zeros before training.

    All images are `(batch, channels, image_size, image_size)` tensors in [-1, 1].
    """

    def __init__(self, config: TerGanConfig):
        super().__init__(config)
        self.expression_encoder = TerGanEncoder.of_expression(config)
        self.identity_encoder = TerGanEncoder.of_identity(config)
        self.decoder = TerGanPhotoDecoder(config) if config.decoder_type == "photo" else TerGanDecoder(config)
        self.classifier = nn.Linear(config.expression_embedding_size, config.num_labels)
        self.blendshape_regressor = _blendshape_regressor(config)
        self.register_buffer("expression_prototypes", torch.zeros(config.num_labels, config.expression_embedding_size))
        names = len(config.blendshape_names)
        directions = torch.zeros(config.expression_embedding_size, names) if names else None
        self.register_buffer("blendshape_directions", directions)
        self.post_init()

    def _load_from_state_dict(self, state_dict, prefix, *args):
        # Checkpoints of older training runs lack the directions, which are fitted at the end of a run.
        if self.blendshape_directions is not None:
            state_dict.setdefault(f"{prefix}blendshape_directions", self.blendshape_directions)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def encode_expression(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """f(e) = G_es(x): `(batch, expression_embedding_size)`."""
        return self.expression_encoder(pixel_values)

    def encode_identity(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """f(i) = G_et(x): `(batch, identity_embedding_size)`."""
        return self.identity_encoder(pixel_values)

    def decode(self, expression_embedding: torch.Tensor, identity_embedding: torch.Tensor) -> torch.Tensor:
        """G_de([f(e), f(i)]) of the bottleneck decoder: `(batch, channels, image_size, image_size)` in [-1, 1]."""
        return self.decoder(torch.cat([expression_embedding, identity_embedding], dim=1))

    def set_blendshapes(self, expression_embedding: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """
        Change some blendshapes of f(e): f(e) + Σ_k d_k · (v_k − b_k), with d_k of `blendshape_directions` and b_k of
        `regress_blendshapes`. Not in the paper.

        Args:
            expression_embedding: f(e), `(batch, expression_embedding_size)`.
            values: v, `(batch, len(config.blendshape_names))`, weights and degrees; NaN keeps a blendshape as it is.

        Raises:
            InvalidInputError: the model reads no blendshapes, or its directions are not fitted.
        """
        steps = values - self.regress_blendshapes(expression_embedding)
        return self.move_blendshapes(expression_embedding, steps.nan_to_num(nan=0.0))

    def move_blendshapes(self, expression_embedding: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
        """f(e) + Σ_k d_k · s_k, with d_k of `blendshape_directions` and steps s in weights and degrees,
        `(batch, len(config.blendshape_names))`. Raises as `set_blendshapes`."""
        directions = self.require_blendshape_directions().to(expression_embedding.dtype)
        return expression_embedding + steps.to(expression_embedding.dtype) @ directions.T

    def require_blendshape_directions(self) -> torch.Tensor:
        """
        The buffer `blendshape_directions`.

        Raises:
            InvalidInputError: the model reads no blendshapes, or its directions are not fitted.
        """
        self.require_blendshapes()
        if not self.blendshape_directions.any():
            raise InvalidInputError(
                "these weights cannot set blendshapes: their file has no blendshape_directions. Use newer weights, or "
                "fit them on photos with known blendshapes: "
                "tergan_hf.training.blendshape_fitting.fit_blendshape_layers(model, sets, regressor=False)"
            )
        return self.blendshape_directions

    def encode_target(
        self, pixel_values: torch.Tensor, with_expression: bool = True, for_many: bool = False
    ) -> TerGanTarget:
        """
        Compute everything that `change` needs of a target.

        Args:
            pixel_values: x_t.
            with_expression: `False` skips f(e) of the target, which the paper's transfer does not need.
            for_many: also compute what is the same for every expression, to save time later.
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
            target: x_t, or the result of `encode_target`.
            intensity: α, a number or `(batch, 1)`. The decoder is asked for f(e)_t + α · (f(e) − f(e)_t); see also
                `config.intensity_exponent`. 0 gives x_t back, except where the decoder replaces the whole face.
        """
        replaces_target = self.config.replaces_target
        unscaled = replaces_target and isinstance(intensity, (int, float)) and intensity == 1
        if not isinstance(target, TerGanTarget):
            target = self.encode_target(target, with_expression=not unscaled)
        photo, identity, own = target.pixel_values, target.identity_embedding, target.expression_embedding
        wanted = expression_embedding if unscaled else own + self._way(intensity) * (expression_embedding - own)
        if self.config.decoder_type == "photo":
            generated, flow, residual = self.decoder(
                wanted, own, identity, target.feature_maps, photo, target.skip_maps
            )
            return TerGanChange(generated.clamp(-1, 1), flow, residual, identity)
        if replaces_target:
            return TerGanChange(self.decode(wanted, identity), identity_embedding=identity)
        # One batch through the decoder: in training both halves must share their batch statistics.
        both = self.decode(torch.cat([wanted, own]), torch.cat([identity, identity]))
        count = both.shape[0] // 2
        residual = both[:count] - both[count:]
        return TerGanChange((photo + residual).clamp(-1, 1), None, residual, identity)

    def _way(self, intensity: float | torch.Tensor) -> float | torch.Tensor:
        """Share of the way from f(e)_t to f(e) that an intensity goes."""
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
        Transfer the expression of `pixel_values` (x_s) to `target_pixel_values` (x_t, default: x_s itself), both
        `(batch, channels, image_size, image_size)` in [-1, 1]; `intensity` as for `change`.

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
        wanted = self.config.return_dict if return_dict is None else return_dict
        return output if wanted else output.to_tuple()


class TerGanForImageClassification(TerGanPreTrainedModel):
    """Facial expression recognition: the detached G_es and the shallow classifier on its f(e) (section 4.4).

    It loads from the same weights as `TerGanModel` and skips what it does not need.
    """

    _keys_to_ignore_on_load_unexpected = [
        *TerGanPreTrainedModel._keys_to_ignore_on_load_unexpected,
        r"^identity_encoder\.", r"^decoder\.", r"^expression_prototypes$", r"^blendshape_directions$",
    ]  # fmt: skip

    def __init__(self, config: TerGanConfig):
        super().__init__(config)
        self.expression_encoder = TerGanEncoder.of_expression(config)
        self.classifier = nn.Linear(config.expression_embedding_size, config.num_labels)
        self.blendshape_regressor = _blendshape_regressor(config)
        self.post_init()

    def forward(
        self,
        pixel_values: torch.FloatTensor,
        labels: torch.LongTensor | None = None,
        return_dict: bool | None = None,
    ) -> TerGanImageClassifierOutput | tuple:
        """
        Args:
            pixel_values: `(batch, channels, image_size, image_size)` in [-1, 1].
            labels: `(batch,)` expression indices; given, `loss` is that of `config.problem_type`, or cross-entropy.

        Returns:
            `logits` `(batch, num_labels)`, and `blendshapes` if the model reads them. `hidden_states` holds one
            tensor, the result of `read_expression`.
        """
        embedding, blendshapes = self.read_both(pixel_values)
        logits = self.classifier(embedding)
        loss = None if labels is None else self.loss_function(labels, logits, self.config)
        output = TerGanImageClassifierOutput(loss, logits, (embedding,), blendshapes=blendshapes)
        wanted = self.config.return_dict if return_dict is None else return_dict
        return output if wanted else output.to_tuple()


__all__ = [
    "TerGanForImageClassification",
    "TerGanModel",
    "TerGanPreTrainedModel",
]
