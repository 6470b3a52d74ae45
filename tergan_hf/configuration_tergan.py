"""TER-GAN configuration."""

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig


BASIC_EXPRESSIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
EXPRESSIONS_WITH_NEUTRAL = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")


@strict
class TerGanConfig(PreTrainedConfig):
    r"""
    Everything that defines a TER-GAN: its networks and its training objective. The defaults are the paper's
    (Ali & Hughes 2020, arXiv:2002.07050, section 4.1); `TerGanConfig.paper()` names them, `TerGanConfig.compact()` is
    the same design with fewer channels, small enough to be trained on a CPU, and `TerGanConfig.photo()` has the
    photo decoder, for photos of strangers.

    Args:
        image_size (`int`, defaults to 75): height and width of a face crop in pixels.
        num_channels (`int`, defaults to 3): colour channels.
        encoder_channels: channels of the encoders' downsampling blocks (`G_es` and `G_et`).
        identity_encoder_channels: of `G_et` alone, as many blocks, where it differs from `G_es`; default: the same.
        patch_size (`int`, defaults to 1): with the photo decoder, G_et takes each patch of this many pixels squared as
            one position with so many more channels, and G_de gives each back as pixels (Shi et al. 2016): a larger
            face for the work of a small one.
        expression_image_size (`int`, *optional*): side in pixels to which `G_es` reduces the crop before it looks;
            default: `image_size`. An expression is legible in fewer pixels than a face is painted with.
        expression_patch_size (`int`, defaults to 1): `G_es` takes each patch of this many pixels squared as one
            position.
        expression_refinements (`int`, defaults to 0): so many further, residual convolutions on every map of `G_es`
            that is at most `expression_refined_size` positions wide; larger ones pass through one convolution only.
            Not in the paper.
        expression_refined_size (`int`, defaults to 16): see there.
        expression_int8 (`bool`, defaults to `False`): without gradients on an x86 CPU, `G_es` multiplies 8-bit
            integers, once its activations' ranges have been measured, which a training run does at its end: a third of
            the time, f(e) within a few per cent. Everywhere else, and set to `False` for saved weights, it computes in
            floats. Not in the paper.
        identity_refinements (`int`, defaults to 0): the same for `G_et`'s maps of at most `identity_refined_size`
            positions.
        identity_refined_size (`int`, defaults to 32): see there.
        decoder_refinements (`int`, defaults to 1): the same for the photo decoder's maps of at most
            `decoder_refined_size` positions.
        decoder_refined_size (`int`, defaults to 32): see there; 32 is where the shape of a movement is settled, the
            larger maps draw what no movement shows, as teeth and an opening eye.
        decoder_mapping_size (`int`, defaults to 0): units of a hidden layer that the photo decoder's condition passes
            through before it modulates, f(e) of both sides and f(i), beside the way past it; 0 is no such layer. Not
            in the paper.
        decoder_type (`str`, defaults to `"bottleneck"`): `"bottleneck"` is the paper's, which sees the target through
            f(i) alone. `"photo"` also sees G_et's feature maps, is modulated at every scale by f(e) of source and
            target and by f(i), and moves and repaints the target's own pixels.
        decoder_channels: channels of the decoder's upsampling blocks (`G_de`), as many as the encoder has. The last
            bottleneck block gives the image and must equal `num_channels`.
        expression_embedding_size (`int`, defaults to 30): length of f(e).
        identity_embedding_size (`int`, defaults to 50): length of f(i).
        leaky_relu_slope (`float`, defaults to 0.2): negative slope of every LeakyReLU.
        id2label: the N_e expressions; six basic ones by default.
        num_identities (`int`, defaults to 80): N_i, outputs of `D^i` (Oulu-CASIA has 80 people).
        predict_residual (`bool`, defaults to `False`): `False` is the paper, x̄ = G_de(f(e)_s, f(i)_t). `True` adds to
            the target what the decoder changes between the target's own expression and the wanted one,
            x̄ = x_t + G_de(f(e)_s, f(i)_t) − G_de(f(e)_t, f(i)_t): same networks, but what 50 numbers cannot hold of a
            stranger's face stays in the photo. Of the bottleneck decoder only: the photo decoder works so by nature.
        expression_gate (`float`, defaults to 0.5): of the photo decoder. Its change is scaled by
            tanh(√(d / expression_gate)), d the mean square difference of the wanted and the target's own f(e): the
            same expression changes no pixel, a slightly different one changes them in proportion.
        intensity_exponent (`float`, defaults to 1): an intensity α between 0 and 1 asks for f(e)_t + α^exponent ·
            (f(e) − f(e)_t); below 1, the first steps from the target's expression are as visible as the later ones.
            1 is the straight way. Not in the paper.
        mirror_recognition (`bool`, defaults to `False`): whether the classifier is given the mean of f(e) of a face
            and of its mirror image, as test-time augmentation. Not in the paper.
        discriminator_channels, discriminator_hidden_size, discriminator_branch_sizes: the shared convolutions, the
            shared FC layer, and the FC layers of each branch of D.
        embedding_discriminator_sizes: hidden FC layers of `D_es` and `D_et`, before their one logit.
        feature_layer_weights: ω_1 = ω_2 of equations 8 and 9, one per encoder block.
        identity_feature_weight … adversarial_weight: λ1 … λ7 of equation 10.
        ground_truth_weight (`float`, defaults to 0): weight of L1(x̄, truth) for pairs whose true result is known.
            Not in the paper.
        ground_truth_focus (`float`, defaults to 0): how much more the pixels count in which target and truth differ;
            a pixel's weight is 1 + focus · |truth − target|, mean over colours. Not in the paper.
        uncovered_focus (`float`, defaults to 0): how much more the pixels count in which a rendered truth shows what
            its target hides, as teeth behind closed lips or the eyeball behind a lid. Not in the paper.
        relative_truth (`bool`, defaults to `False`): divide each pair's miss, here and in the term of
            `structure_weight`, by how much its truth differs from its target, so that a faint change counts as much as
            a broad one. Not in the paper.
        structure_weight (`float`, defaults to 0): the same pairs' L1 at 1/2, 1/4 and 1/8 of the resolution and between
            neighbouring pixels. Not in the paper.
        smoothness_weight (`float`, defaults to 0): total variation of the photo decoder's flow. (The paper suggests
            total variation as an improvement.)
        motion_weight (`float`, defaults to 0): weight of the L1 between the photo decoder's flow and the exact
            movement of rendered faces. Not in the paper.
        activation_weight (`float`, defaults to 0): weight, in stage 1 of G_es, of reading off f(e) how far each muscle
            of a rendered face is activated: mean squared error over each muscle's variance. Not in the paper.
        recognition_weight (`float`, defaults to 0): weight of the expression cross-entropy on f(e) that stays on in
            stage 2. Not in the paper.
        pause_reversal_at_chance (`bool`, defaults to `False`): in eq. 4 and 5, reverse no gradient while `D_es` or
            `D_et` does worse than chance: the encoder is to confuse it, and without a bound it goes on to fool it with
            ever larger embeddings. Not in the paper.
        freeze_batch_norm (`bool`, defaults to `False`): keep the encoders' stage-1 batch statistics in stage 2, so
            that photos of another domain (FER2013 has no identities and is absent there) are still read correctly.
        freeze_expression_encoder (`bool`, defaults to `False`): stage 2 leaves G_es as stage 1 made it: a third less
            work, and recognition stays what it was.

    Raises:
        ValueError: sizes that contradict each other; the message names the field.
    """

    model_type = "tergan"

    image_size: int = 75
    num_channels: int = 3
    encoder_channels: list[int] | tuple[int, ...] = (64, 128, 256, 512, 1024)
    identity_encoder_channels: list[int] | tuple[int, ...] | None = None
    expression_image_size: int | None = None
    expression_patch_size: int = 1
    expression_refinements: int = 0
    expression_refined_size: int = 16
    expression_int8: bool = False
    identity_refinements: int = 0
    identity_refined_size: int = 32
    decoder_refinements: int = 1
    decoder_refined_size: int = 32
    decoder_mapping_size: int = 0
    patch_size: int = 1
    decoder_channels: list[int] | tuple[int, ...] = (512, 256, 128, 64, 3)
    expression_embedding_size: int = 30
    identity_embedding_size: int = 50
    leaky_relu_slope: float = 0.2
    num_identities: int = 80
    decoder_type: str = "bottleneck"
    predict_residual: bool = False
    expression_gate: float = 0.5
    intensity_exponent: float | int = 1.0
    mirror_recognition: bool = False

    discriminator_channels: list[int] | tuple[int, ...] = (16, 32, 64, 128)
    discriminator_hidden_size: int = 1024
    discriminator_branch_sizes: list[int] | tuple[int, ...] = (512, 256)
    embedding_discriminator_sizes: list[int] | tuple[int, ...] = (32, 16)

    feature_layer_weights: list[float] | tuple[float, ...] = (0.5, 0.6, 0.7, 0.88, 0.99)
    identity_feature_weight: float | int = 1.0
    expression_feature_weight: float | int = 1.0
    identity_reconstruction_weight: float | int = 1.0
    expression_reconstruction_weight: float | int = 1.0
    identity_consistency_weight: float | int = 0.3
    expression_consistency_weight: float | int = 0.3
    adversarial_weight: float | int = 0.5
    ground_truth_weight: float | int = 0.0
    ground_truth_focus: float | int = 0.0
    uncovered_focus: float | int = 0.0
    relative_truth: bool = False
    structure_weight: float | int = 0.0
    smoothness_weight: float | int = 0.0
    motion_weight: float | int = 0.0
    activation_weight: float | int = 0.0
    recognition_weight: float | int = 0.0
    pause_reversal_at_chance: bool = False
    freeze_batch_norm: bool = False
    freeze_expression_encoder: bool = False

    def __post_init__(self, **kwargs):
        if kwargs.get("id2label") is None and kwargs.get("num_labels") is None and self.id2label is None:
            self.id2label = dict(enumerate(BASIC_EXPRESSIONS))
            self.label2id = {label: index for index, label in self.id2label.items()}
        super().__post_init__(**kwargs)
        blocks = len(self.encoder_channels)
        if self.identity_encoder_channels is None:
            self.identity_encoder_channels = tuple(self.encoder_channels)
        if self.expression_image_size is None:
            self.expression_image_size = self.image_size
        for name in ("identity_encoder_channels", "decoder_channels"):
            if len(getattr(self, name)) != blocks:
                raise ValueError(f"{name} must have as many blocks as encoder_channels ({blocks})")
        if self.decoder_type not in ("bottleneck", "photo"):
            raise ValueError(f"decoder_type must be 'bottleneck' or 'photo', not {self.decoder_type!r}")
        if self.decoder_type == "bottleneck" and self.decoder_channels[-1] != self.num_channels:
            raise ValueError(f"decoder_channels must end with num_channels ({self.num_channels})")
        if len(self.feature_layer_weights) != blocks:
            raise ValueError(f"feature_layer_weights needs one weight per encoder block ({blocks})")
        if self.intensity_exponent <= 0:
            raise ValueError(f"intensity_exponent must be above 0, not {self.intensity_exponent}")
        if self.decoder_mapping_size < 0:
            raise ValueError(f"decoder_mapping_size must be at least 0, not {self.decoder_mapping_size}")
        if self.patch_size < 1 or self.image_size % self.patch_size:
            raise ValueError(f"patch_size {self.patch_size} does not divide image_size {self.image_size}")
        if self.expression_patch_size < 1 or self.expression_image_size % self.expression_patch_size:
            raise ValueError(
                f"expression_patch_size {self.expression_patch_size} does not divide expression_image_size "
                f"{self.expression_image_size}"
            )
        if self.patch_size > 1 and self.decoder_type == "bottleneck":
            raise ValueError("patch_size above 1 needs decoder_type 'photo'")
        for name, side, halvings in (
            ("image_size", self.image_size // self.patch_size, blocks),
            # G_es may end on a single position; a decoder has to start from a map that was still halved.
            ("expression_image_size", self.expression_image_size // self.expression_patch_size, blocks - 1),
        ):
            if side < 2**halvings:
                raise ValueError(f"{name} {getattr(self, name)} is too small for {blocks} halvings")
        if self.expression_image_size > self.image_size:
            raise ValueError(
                f"expression_image_size {self.expression_image_size} is above image_size {self.image_size}"
            )

    @property
    def replaces_target(self) -> bool:
        """Whether x̄ replaces x_t, as in the paper, and is not x_t with a change."""
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
        """The paper's model and objective; the same as `TerGanConfig()`."""
        return cls(**overrides)

    @classmethod
    def compact(cls, **overrides) -> "TerGanConfig":
        """The same design with half the channels at 64 pixels, seven expressions, the exact ground truth where a pair
        has one, and the residual output: trains on a CPU and works on strangers' photos."""
        settings = {
            "image_size": 64,
            "encoder_channels": (32, 64, 128, 256, 512),
            "decoder_channels": (256, 128, 64, 32, 3),
            "predict_residual": True,
            "discriminator_hidden_size": 256,
            "discriminator_branch_sizes": (128, 64),
            "identity_feature_weight": 0.02,
            "expression_feature_weight": 0.02,
            "identity_reconstruction_weight": 0.05,
            "expression_reconstruction_weight": 0.0,
            "identity_consistency_weight": 0.01,
            "expression_consistency_weight": 0.01,
            "adversarial_weight": 0.01,
            "ground_truth_weight": 1.0,
            "ground_truth_focus": 10.0,
            "recognition_weight": 0.05,
            "pause_reversal_at_chance": True,
            "freeze_batch_norm": True,
        }
        return cls(**{**settings, **_seven_expressions(overrides)})

    @classmethod
    def photo(cls, **overrides) -> "TerGanConfig":
        """The photo decoder at 128 pixels, small encoders, and an objective made for exact ground truth: sharp on
        strangers' photos."""
        settings = {
            "image_size": 128,
            "expression_image_size": min(48, overrides.get("image_size", 48)),
            "expression_refinements": 1,
            "expression_int8": True,
            "decoder_refinements": 3,
            "decoder_refined_size": 64,
            "decoder_mapping_size": 256,
            "encoder_channels": (64, 128, 256, 512, 512),
            "patch_size": 2,
            "decoder_type": "photo",
            "intensity_exponent": 0.7,
            "mirror_recognition": True,
            "predict_residual": False,
            "identity_encoder_channels": (32, 64, 128, 256, 256),
            "identity_refinements": 1,
            "decoder_channels": (128, 128, 192, 96, 40),
            "uncovered_focus": 4.0,
            "relative_truth": True,
            "identity_feature_weight": 0.005,
            "expression_feature_weight": 0.01,
            "identity_reconstruction_weight": 0.01,
            "adversarial_weight": 0.003,
            "structure_weight": 1.0,
            "smoothness_weight": 0.2,
            "motion_weight": 3.0,
            "ground_truth_focus": 3.0,
            "activation_weight": 0.5,
            "freeze_expression_encoder": True,
        }
        return cls.compact(**{**settings, **overrides})


def _seven_expressions(overrides: dict) -> dict:
    if "id2label" in overrides:
        return overrides
    id2label = dict(enumerate(EXPRESSIONS_WITH_NEUTRAL))
    return {"id2label": id2label, "label2id": {label: index for index, label in id2label.items()}, **overrides}


__all__ = ["TerGanConfig"]
