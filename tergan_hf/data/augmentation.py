"""How training images are varied."""

from dataclasses import dataclass

from ..model.errors_tergan import InvalidInputError


@dataclass
class AugmentationConfig:
    """
    How training images are varied.

    Args:
        mode: `"paper"` draws section 4.1's samples: one of five crops (centre, corners) of an aligned face 85/75 as
            large, one of the angles -6, -3, 0, 3, 6°, flipped or not. `"jitter"` draws scale, shift and angle from
            continuous ranges, as wide as detectors wobble and crops differ.
        scale: largest relative change of size (`jitter`).
        shift: largest shift, as a share of the crop (`jitter`).
        angle: largest rotation in degrees (`jitter`).
        encoder_jitter: share of scale, shift and angle by which the crops vary that f(e) is read from: at use a detector
            frames both faces for G_es, while the decoder meets wider crops as well. `None`: f(e) of the target is read
            from the very crop that the decoder sees (stage 2 only).
        flip: probability of a mirror image.
        gain: largest relative change of each colour's contrast.
        bias: largest shift of each colour's brightness, on the scale of [-1, 1].
        gamma: largest change of the exponent's logarithm.
        grey: probability of a grey image.
        low_resolution: probability of losing detail down to `smallest` pixels.
        smallest: see `low_resolution`.
        noise: largest standard deviation of added noise, on the scale of [-1, 1].
        jpeg: probability of the block artefacts of strong JPEG compression.
        occlusion: probability of something in front of a part of the face, which stays where it is while the
            expression changes (stage 2 only).
        erase: probability of a grey rectangle over a part of the face (stage 1 only).
        elastic_deformation: standard deviation of a smooth random distortion of target and truth alike, as a share of the crop:
            another shape of face (stage 2 only).
        photograph_elastic_deformation: the same for two photographs of a person, of whom there are few; `None`: as `elastic_deformation`.
        blend: probability that two photographs of a person are put together with two of somebody else in the batch
            that show the same expressions: more people than there are (stage 2 only).
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
        """Section 4.1's augmentation and nothing else."""
        return cls(mode="paper", gain=0, bias=0, gamma=0, grey=0, low_resolution=0, noise=0, jpeg=0)
