"""TER-GAN configuration."""

from typing import Any

from huggingface_hub.dataclasses import strict
from huggingface_hub.errors import StrictDataclassError
from transformers import PreTrainedConfig

from .blendshapes_tergan import ARKIT_BLENDSHAPES, GAZE_NAMES
from .configuration_checks_tergan import check_bounds
from .errors_tergan import InvalidInputError


BASIC_EXPRESSIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
EXPRESSIONS_WITH_NEUTRAL = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")

# Keys of older `config.json` files. Those of the training objective are dropped; see `TrainingArguments`.
_TRAINING_KEYS = frozenset({
    "activation_weight", "adversarial_weight", "discriminator_branch_sizes", "discriminator_channels",
    "discriminator_hidden_size", "embedding_discriminator_sizes", "expression_consistency_weight",
    "expression_feature_weight", "expression_reconstruction_weight", "feature_layer_weights", "freeze_batch_norm",
    "freeze_expression_encoder", "ground_truth_focus", "ground_truth_weight", "identity_consistency_weight",
    "identity_feature_weight", "identity_reconstruction_weight", "motion_weight", "num_identities",
    "pause_reversal_at_chance", "recognition_weight", "relative_truth", "smoothness_weight", "structure_weight",
    "uncovered_focus",
})  # fmt: skip
# Options that are constants by now, with the only value that is still understood.
_CONSTANT_KEYS = {
    "decoder_refined_size": 64, "expression_refined_size": 16,
    "identity_refined_size": 32, "leaky_relu_slope": 0.2,
}  # fmt: skip


@strict
class TerGanConfig(PreTrainedConfig):
    r"""
    The networks of a TER-GAN. The defaults are the paper's (Ali & Hughes 2020, arXiv:2002.07050, section 4.1).

    `TerGanConfig.paper()` names these defaults. `TerGanConfig.compact()` is the same design with fewer channels.
    `TerGanConfig.photo()` has the photo decoder, for photos of strangers. How a model is trained is not part of it;
    see `tergan_hf.training.arguments.TrainingArguments`.

    Args:
        image_size (`int`, defaults to 75): height and width of a face crop in pixels.
        num_channels (`int`, defaults to 3): colour channels.
        encoder_channels: channels of the downsampling blocks of `G_es` and `G_et`.
        identity_encoder_channels: channels of `G_et`, as many blocks, where they differ. Default: `encoder_channels`.
        expression_image_size (`int`, *optional*): side in pixels to which `G_es` reduces the crop. Default:
            `image_size`. An expression can be read from fewer pixels than a face is painted with.
        expression_patch_size (`int`, defaults to 1): `G_es` takes each patch of this many pixels squared as one
            position. Not in the paper.
        expression_refinements (`int`, defaults to 0): number of residual convolutions on each feature map of `G_es`
            that is at most 16 positions wide. Not in the paper.
        expression_pooled (`bool`, defaults to `True`): pool the last feature map of `G_es` before its FC layer, as in
            the paper. `False`: the FC layer sees every position, which tells the left half of a face from the right.
        expression_int8 (`bool`, defaults to `False`): reserve room for the activation ranges that `quantize` measures.
            A quantised `G_es` multiplies 8-bit integers on x86 CPUs and computes in floats elsewhere. Not in the
            paper.
        identity_refinements (`int`, defaults to 0): as `expression_refinements`, for feature maps of `G_et` that are
            at most 32 positions wide.
        decoder_refinements (`int`, defaults to 1): as `expression_refinements`, for feature maps of the photo decoder
            that are at most 64 positions wide.
        decoder_mapping_size (`int`, defaults to 0): units of a hidden layer that the photo decoder's condition passes
            through (a mapping network, Karras et al. 2019). 0 leaves it out. Not in the paper.
        decoder_detail_channels (`int`, defaults to 0): channels between two convolutions at the crop's own resolution
            that refine what the photo decoder paints, because a position of its feature maps is a whole patch of
            pixels. 0 leaves them out. Not in the paper.
        expression_gate (`float`, defaults to 0.5): mean square difference of two f(e) at which the photo decoder's
            change reaches tanh(1) of its strength. It must be small beside the change of f(e) in a blink.
        max_flow (`float`, defaults to 0.25): how far the photo decoder moves a pixel at most, on the crop's [-1, 1].
        patch_size (`int`, defaults to 1): with the photo decoder, `G_et` takes each patch of this many pixels squared
            as one position, and `G_de` gives each position back as pixels (Shi et al. 2016).
        decoder_channels: channels of the upsampling blocks of `G_de`, as many as the encoder has. The last block of
            the bottleneck decoder gives the image and must equal `num_channels`.
        expression_embedding_size (`int`, defaults to 30): length of f(e).
        identity_embedding_size (`int`, defaults to 50): length of f(i).
        decoder_type (`str`, defaults to `"bottleneck"`): `"bottleneck"` is the paper's decoder, which sees the target
            through f(i) alone. `"photo"` also sees the feature maps of `G_et`, is modulated by f(e) of source and
            target and by f(i), and moves and repaints the target's own pixels.
        predict_residual (`bool`, defaults to `False`): `False` is the paper, x̄ = G_de(f(e)_s, f(i)_t). `True` gives
            x̄ = x_t + G_de(f(e)_s, f(i)_t) − G_de(f(e)_t, f(i)_t): what 50 numbers cannot hold of a stranger's face
            stays in the photo. Only for the bottleneck decoder; the photo decoder always predicts a change.
        intensity_exponent (`float`, defaults to 1): an intensity α between 0 and 1 asks the decoder for
            f(e)_t + α^exponent · (f(e) − f(e)_t). Below 1, small intensities show more. Not in the paper.
        mirror_recognition (`bool`, defaults to `False`): classify the mean of f(e) over a face and its mirror image.
            Not in the paper.
        blendshape_names: blendshapes that a linear layer reads from f(e), by ARKit's names, and `gazeX` and `gazeY`.
            Default: none. Not in the paper.
        id2label: the N_e expressions. Default: the six basic ones.

    Raises:
        InvalidInputError: a value is out of bounds, or sizes contradict each other; the message names the field.
    """

    model_type = "tergan"
    # What `Trainer` leaves out of predictions.
    keys_to_ignore_at_inference = ["hidden_states", "blendshapes"]

    image_size: int = 75
    num_channels: int = 3
    encoder_channels: list[int] | tuple[int, ...] = (64, 128, 256, 512, 1024)
    identity_encoder_channels: list[int] | tuple[int, ...] | None = None
    expression_image_size: int | None = None
    expression_patch_size: int = 1
    expression_refinements: int = 0
    expression_pooled: bool = True
    expression_int8: bool = False
    identity_refinements: int = 0
    decoder_refinements: int = 1
    decoder_mapping_size: int = 0
    decoder_detail_channels: int = 0
    expression_gate: float | int = 0.5
    max_flow: float | int = 0.25
    patch_size: int = 1
    decoder_channels: list[int] | tuple[int, ...] = (512, 256, 128, 64, 3)
    expression_embedding_size: int = 30
    identity_embedding_size: int = 50
    decoder_type: str = "bottleneck"
    predict_residual: bool = False
    intensity_exponent: float | int = 1.0
    mirror_recognition: bool = False
    blendshape_names: list[str] | tuple[str, ...] = ()

    def __post_init__(self, **kwargs):
        kwargs = _without_old_keys(kwargs, self.decoder_type)
        if kwargs.get("id2label") is None and kwargs.get("num_labels") is None and self.id2label is None:
            self.id2label = dict(enumerate(BASIC_EXPRESSIONS))
            self.label2id = {label: index for index, label in self.id2label.items()}
        super().__post_init__(**kwargs)
        if self.identity_encoder_channels is None:
            self.identity_encoder_channels = tuple(self.encoder_channels)
        if self.expression_image_size is None:
            self.expression_image_size = self.image_size
        self._check()

    def to_diff_dict(self) -> dict[str, Any]:
        """What `config.json` holds. transformers would leave out two labels named as its own default, which is not
        the default here."""
        return {**super().to_diff_dict(), "id2label": self.id2label, "label2id": self.label2id}

    @classmethod
    def get_config_dict(cls, pretrained_model_name_or_path, **kwargs) -> tuple[dict[str, Any], dict[str, Any]]:
        try:
            return super().get_config_dict(pretrained_model_name_or_path, **kwargs)
        except (AttributeError, TypeError) as error:  # the file holds a list, a word or a number
            raise InvalidInputError(f"config.json must hold an object ({error})") from error

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs):
        """
        Raises:
            InvalidInputError: the dictionary does not describe a TER-GAN.
        """
        if not isinstance(config_dict, dict):
            raise InvalidInputError(f"config.json must hold an object, not a {type(config_dict).__name__}")
        if (model_type := config_dict.get("model_type", cls.model_type)) != cls.model_type:
            raise InvalidInputError(f"config.json describes a {model_type!r}, not a {cls.model_type!r}")
        if not isinstance(config_dict.get("id2label") or {}, dict):
            raise InvalidInputError("config.json: id2label must map numbers to labels")
        if isinstance(kwargs.get("id2label"), dict):  # as in config.json, whose keys are text
            kwargs["id2label"] = {int(index): label for index, label in kwargs["id2label"].items()}
        try:
            loaded = super().from_dict(config_dict, **kwargs)
            (loaded[0] if isinstance(loaded, tuple) else loaded)._check()
            return loaded
        except InvalidInputError as error:
            raise InvalidInputError(f"config.json: {error}") from error
        except (StrictDataclassError, TypeError, ValueError, AttributeError) as error:
            raise InvalidInputError(f"config.json: {' '.join(str(error).split())}") from error

    def _check(self):
        check_bounds(self)
        blocks = len(self.encoder_channels)
        for name in ("identity_encoder_channels", "decoder_channels"):
            if len(getattr(self, name)) != blocks:
                raise InvalidInputError(f"{name} must have as many blocks as encoder_channels ({blocks})")
        if self.decoder_type not in ("bottleneck", "photo"):
            raise InvalidInputError(f"decoder_type must be 'bottleneck' or 'photo', not {self.decoder_type!r}")
        if self.decoder_type == "bottleneck" and self.decoder_channels[-1] != self.num_channels:
            raise InvalidInputError(f"decoder_channels must end with num_channels ({self.num_channels})")
        if self.image_size % self.patch_size:
            raise InvalidInputError(f"patch_size {self.patch_size} does not divide image_size {self.image_size}")
        if self.expression_image_size % self.expression_patch_size:
            raise InvalidInputError(
                f"expression_patch_size {self.expression_patch_size} does not divide expression_image_size "
                f"{self.expression_image_size}"
            )
        if self.patch_size > 1 and self.decoder_type == "bottleneck":
            raise InvalidInputError("patch_size above 1 needs decoder_type 'photo'")
        for name, side, halvings in (
            ("image_size", self.image_size // self.patch_size, blocks),
            # G_es may end on a single position; a decoder has to start from a map that was still halved.
            ("expression_image_size", self.expression_image_size // self.expression_patch_size, blocks - 1),
        ):
            if side < 2**halvings:
                raise InvalidInputError(f"{name} {getattr(self, name)} is too small for {blocks} halvings")
        if self.expression_image_size > self.image_size:
            raise InvalidInputError(
                f"expression_image_size {self.expression_image_size} is above image_size {self.image_size}"
            )

    @property
    def replaces_target(self) -> bool:
        """Whether x̄ is a new image, as in the paper, and not x_t with a change."""
        return self.decoder_type == "bottleneck" and not self.predict_residual

    @property
    def feature_map_sizes(self) -> tuple[int, ...]:
        """Side of the image, in patches, and of the output of each block of `G_et`: 75, 37, 18, 9, 4, 2 in the
        paper."""
        return tuple(self.image_size // self.patch_size // 2**block for block in range(len(self.encoder_channels) + 1))

    @property
    def expressions(self) -> list[str]:
        """Expression labels in the order of the classes."""
        return [self.id2label[index] for index in sorted(self.id2label)]

    @classmethod
    def paper(cls, **overrides) -> "TerGanConfig":
        """The paper's networks; the same as `TerGanConfig()`."""
        return cls(**overrides)

    @classmethod
    def compact(cls, **overrides) -> "TerGanConfig":
        """The paper's design with half the channels at 64 pixels, seven expressions and the residual output. It trains
        on a CPU."""
        settings = {
            "image_size": 64,
            "encoder_channels": (32, 64, 128, 256, 512),
            "decoder_channels": (256, 128, 64, 32, 3),
            "predict_residual": True,
        }
        return cls(**{**settings, **_seven_expressions(overrides)})

    @classmethod
    def photo(cls, **overrides) -> "TerGanConfig":
        """The photo decoder at 192 pixels and small encoders, with seven expressions: sharp on strangers' photos."""
        settings = {
            "image_size": 192,
            "encoder_channels": (32, 64, 128, 256, 512),
            "identity_encoder_channels": (32, 64, 128, 256, 256),
            "expression_image_size": min(96, overrides.get("image_size", 96) // 2 * 2),
            "expression_patch_size": 2,
            "expression_embedding_size": 64,
            "expression_refinements": 2,
            "expression_pooled": False,
            "expression_int8": True,
            "identity_refinements": 1,
            "decoder_type": "photo",
            "decoder_channels": (128, 128, 192, 96, 48),
            "decoder_refinements": 3,
            "decoder_mapping_size": 256,
            "decoder_detail_channels": 8,
            "expression_gate": 0.05,
            "max_flow": 0.5,
            "patch_size": 3,
            "intensity_exponent": 0.7,
            "mirror_recognition": True,
            "blendshape_names": (*ARKIT_BLENDSHAPES, *GAZE_NAMES),
        }
        return cls(**{**settings, **_seven_expressions(overrides)})


def _seven_expressions(overrides: dict) -> dict:
    if "id2label" in overrides:
        return overrides
    id2label = dict(enumerate(EXPRESSIONS_WITH_NEUTRAL))
    return {"id2label": id2label, "label2id": {label: index for index, label in id2label.items()}, **overrides}


def _without_old_keys(values: dict, decoder_type: str) -> dict:
    """Drop what older `config.json` files hold beyond the fields of today.

    Raises:
        InvalidInputError: an old option whose value today's networks do not have.
    """
    for name, constant in _CONSTANT_KEYS.items():
        # A bottleneck decoder never read the photo decoder's option.
        was_read = name != "decoder_refined_size" or decoder_type == "photo"
        if was_read and values.get(name, constant) != constant:
            raise InvalidInputError(f"{name} {values[name]} is no longer supported; it is always {constant}")
    return {name: value for name, value in values.items() if name not in _TRAINING_KEYS | _CONSTANT_KEYS.keys()}


__all__ = ["TerGanConfig"]
