"""Settings of the augmentation of training images."""

from dataclasses import dataclass

from ..model.errors_tergan import InvalidInputError


@dataclass
class AugmentationConfig:
    """
    Settings of the augmentation of training images.

    Args:
        mode: `"paper"` draws the samples of section 4.1: one of five crops (centre and corners) of an aligned face
            85/75 as large, one of the angles -6, -3, 0, 3 and 6°, flipped or not. `"jitter"` draws scale, shift and
            angle from continuous ranges that cover the scatter of face detectors.
        scale: largest relative change of size (`jitter`).
        shift: largest shift, as a share of the crop (`jitter`).
        angle: largest rotation in degrees (`jitter`).
        encoder_jitter: share of `scale`, `shift` and `angle` by which the crops for f(e) vary (stage 2 only). In use,
            a detector aligns both faces for G_es, while the decoder also meets wider crops. `None`: f(e) of the target
            comes from the same crop that the decoder sees.
        flip: probability of a mirror image.
        gain: largest relative change of each colour's contrast.
        bias: largest shift of each colour's brightness, on the scale of [-1, 1].
        gamma: largest change of the logarithm of the exponent.
        grey: probability of a grey image.
        low_resolution: probability of losing detail down to `smallest` pixels.
        smallest: lowest resolution in pixels, see `low_resolution`.
        noise: largest standard deviation of added noise, on the scale of [-1, 1].
        jpeg: probability of the block artefacts of strong JPEG compression.
        occlusion: probability of an object in front of a part of the face. It stays in place while the expression
            changes (stage 2 only).
        erase: probability of a grey rectangle over a part of the face (stage 1 only).
        elastic_deformation: standard deviation of a smooth random deformation, the same for target and truth, as a
            share of the crop. It changes the shape of the face (stage 2 only).
        photograph_elastic_deformation: `elastic_deformation` for pairs of photographs of one person, because data sets
            have few such people. `None`: the same value.
        patch_mix: probability of mixing a pair of photographs with another person's pair in the batch that shows the
            same expressions. It makes new people (stage 2 only).
    """

    mode: str = "jitter"
    scale: float = 0.12
    shift: float = 0.07
    angle: float = 8.0
    encoder_jitter: float | None = None
    flip: float = 0.5
    gain: float = 0.25
    bias: float = 0.15
    gamma: float = 0.25
    grey: float = 0.2
    low_resolution: float = 0.2
    smallest: int = 24
    noise: float = 0.04
    jpeg: float = 0.1
    occlusion: float = 0.0
    erase: float = 0.0
    elastic_deformation: float = 0.0
    photograph_elastic_deformation: float | None = None
    patch_mix: float = 0.0

    def __post_init__(self):
        if self.mode not in ("paper", "jitter"):
            raise InvalidInputError(f"augmentation mode must be 'paper' or 'jitter', not {self.mode!r}")

    @classmethod
    def paper(cls) -> "AugmentationConfig":
        """The augmentation of section 4.1 and nothing else."""
        return cls(mode="paper", gain=0, bias=0, gamma=0, grey=0, low_resolution=0, noise=0, jpeg=0)
