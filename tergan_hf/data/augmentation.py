"""Augmentation of whole batches on their device: one affine resampling for framing, then light and quality."""

import math
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from .framing import CHIP_MARGIN


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
        bend: standard deviation of a smooth random distortion of target and truth alike, as a share of the crop:
            another shape of face. Where the exact movement is known, it stays as it is (stage 2 only).
        blend: probability that two photographs of a person are mixed with two of somebody else in the batch that
            show the same expressions: more people than there are (stage 2 only).
    """

    mode: str = "jitter"
    scale: float = 0.12
    shift: float = 0.07
    angle: float = 8.0
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
    bend: float = 0.0
    blend: float = 0.0

    def __post_init__(self):
        if self.mode not in ("paper", "jitter"):
            raise ValueError(f"augmentation mode must be 'paper' or 'jitter', not {self.mode!r}")

    @classmethod
    def paper(cls) -> "AugmentationConfig":
        """Section 4.1's augmentation and nothing else."""
        return cls(mode="paper", gain=0, bias=0, gamma=0, grey=0, low_resolution=0, noise=0, jpeg=0)


PAPER_ANGLES = (-6.0, -3.0, 0.0, 3.0, 6.0)
PAPER_CROPS = ((0, 0), (-1, -1), (-1, 1), (1, -1), (1, 1))
MOTION_STEPS_PER_SIDE = 640  # a motion map's grey level is 1/640 of the picture's side; 128 is standing still
MOTION_SCALE = 2 / MOTION_STEPS_PER_SIDE  # one grey level, on the photo's [-1, 1]
BEND_KNOTS = 4
# An ellipse around the face in the aligned crop, [-1, 1], and the share of it over which it fades.
FACE_CENTRE, FACE_RADII, FACE_EDGE = (0.0, 0.1), (0.86, 1.0), 0.15
MOST_RELIT = 1.3  # times brighter or darker, per colour: more is no difference of light
BLEND_SHARES = 0.5, 0.8  # of the person whose name a blend keeps
FLOW_ITERATIONS = 6
FLOW_TOLERANCE = 0.01  # of [-1, 1]
PAPER_SHIFT = 5 / 75  # (85 − 75) / 2 pixels, as a share of the 75-pixel crop


def to_range(images: torch.Tensor) -> torch.Tensor:
    """uint8 [0, 255] → float [-1, 1]."""
    return images.float() / 127.5 - 1


def draw_framings(count: int, config: AugmentationConfig, generator: torch.Generator, device) -> torch.Tensor:
    """
    Draw `count` framing changes.

    Returns:
        (count, 2, 3) affine matrices from output to input coordinates, both [-1, 1] over the aligned crop, as
        `torch.nn.functional.affine_grid` takes them.
    """

    def uniform(shape, limit):
        return (torch.rand(shape, generator=generator) * 2 - 1) * limit

    if config.mode == "paper":
        angle = torch.tensor(PAPER_ANGLES)[torch.randint(len(PAPER_ANGLES), (count,), generator=generator)]
        crop = torch.tensor(PAPER_CROPS)[torch.randint(len(PAPER_CROPS), (count,), generator=generator)]
        shift, scale = crop * 2 * PAPER_SHIFT, torch.ones(count)
    else:
        angle, shift = uniform(count, config.angle), uniform((count, 2), 2 * config.shift)
        scale = 1 + uniform(count, config.scale)
    angle = torch.deg2rad(angle)
    mirror = 1 - 2 * (torch.rand(count, generator=generator) < config.flip).float()
    cos, sin = scale * angle.cos(), scale * angle.sin()
    theta = torch.stack([cos * mirror, -sin, shift[:, 0], sin * mirror, cos, shift[:, 1]], dim=1)
    return theta.view(count, 2, 3).to(device)


def cut_crops(
    chips: torch.Tensor,
    framings: torch.Tensor,
    size: int,
    registration: torch.Tensor | None = None,
    bends: torch.Tensor | None = None,
) -> torch.Tensor:
    """
    Cut the network's crops out of chips.

    Args:
        chips: (B, 3, H, H) in [-1, 1], each with `CHIP_MARGIN` around its aligned crop.
        framings: (B, 2, 3) from `draw_framings`.
        size: side of the crops in pixels.
        registration: (B, 2, 3) from the coordinates the framing is meant in to those of the chip's own crop, for a
            ground truth that is cut with its target's framing; default: the same coordinates.
        bends: (B, 2, size, size) from `draw_bends`; default: none.

    Returns:
        (B, 3, size, size).
    """
    if registration is not None:
        framings = _compose(registration, framings)
    framings = framings / CHIP_MARGIN
    grid = F.affine_grid(framings, (len(chips), 3, size, size), align_corners=False)
    if bends is not None:
        grid = grid + torch.einsum("bij,bjhw->bhwi", framings[:, :, :2], bends)
    return F.grid_sample(chips, grid, padding_mode="border", align_corners=False)


def draw_bends(chosen: torch.Tensor, amount: float, size: int, generator: torch.Generator) -> torch.Tensor:
    """
    Draw smooth distortions.

    Args:
        chosen: (B,) bool; the others get none. amount: standard deviation as a share of the crop.

    Returns:
        (B, 2, size, size) offsets (x, y), [-1, 1] over the crop.
    """
    knots = 2 * amount * torch.randn(len(chosen), 2, BEND_KNOTS, BEND_KNOTS, generator=generator)
    bends = F.interpolate(knots.to(chosen.device), size=(size, size), mode="bicubic", align_corners=True)
    return bends * chosen[:, None, None, None]


def draw_blends(
    expressions: torch.Tensor,
    identities: torch.Tensor,
    among: torch.Tensor,
    probability: float,
    generator: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Draw whose images are mixed with whose: mixup (Zhang et al. 2018) among equal labels. Aligned faces with the same
    expression, mixed, are another face with it.

    Args:
        expressions: (B, K) labels, those of each image of a pair. identities: (B,). among: (B,) bool, the pairs that
            may be mixed at all.
        probability: that one of them is, if somebody else's in the batch has its expressions.

    Returns:
        partners (B,) int64 and the shares (B,) that are left of its own, as of `draw_mixture`; its own number and 1
        where it stays as it is.
    """
    device = expressions.device
    expressions, identities, among = expressions.cpu(), identities.cpu(), among.cpu()
    partners, shares = torch.arange(len(expressions)), torch.ones(len(expressions))
    low, high = BLEND_SHARES
    for row in torch.nonzero(among)[:, 0].tolist():
        mixed, share = torch.rand(2, generator=generator).tolist()
        alike = (expressions == expressions[row]).all(1) & (identities != identities[row])
        others = torch.nonzero(among & alike)[:, 0]
        if mixed < probability and len(others):
            partners[row] = others[torch.randint(len(others), (), generator=generator)]
            shares[row] = low + (high - low) * share
    return partners.to(device), shares.to(device)


def confine_truth(target: torch.Tensor, truth: torch.Tensor, framings: torch.Tensor) -> torch.Tensor:
    """
    Make another photograph of the same person a ground truth: its light becomes the target's, and outside the face,
    where hair, clothes and the way the head is held differ for other reasons than the expression, it shows the target.
    The face is an ellipse about the template's; a bend moves it little.

    Args:
        target, truth: (B, 3, S, S) in [-1, 1], cut alike.
        framings: (B, 2, 3) from `draw_framings`, that they were cut with.
    """
    places = F.affine_grid(framings, list(target.shape), align_corners=False)
    distance = ((places - places.new_tensor(FACE_CENTRE)) / places.new_tensor(FACE_RADII)).square().sum(3).sqrt()
    face = ((1 - distance) / FACE_EDGE).clamp(0, 1)[:, None]
    light = ((target + 1) * face).sum((2, 3), keepdim=True) / ((truth + 1) * face).sum((2, 3), keepdim=True).clamp(
        1e-6
    )
    relit = (truth + 1) * light.clamp(1 / MOST_RELIT, MOST_RELIT) - 1
    return target + face * (relit - target)


def _compose(second: torch.Tensor, first: torch.Tensor) -> torch.Tensor:
    linear = second[:, :, :2] @ first
    return torch.cat([linear[:, :, :2], linear[:, :, 2:] + second[:, :, 2:]], dim=2)


def true_flow(
    target_motion: torch.Tensor, truth_motion: torch.Tensor, framings: torch.Tensor, to_photo: torch.Tensor, size: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    The movement from a rendered target to its ground truth, exactly.

    A motion map says for each place of a photo where the surface seen there is in the neutral photo. From the place in
    the truth it leads to the neutral place n, and the place y in the target is the one that the target's map leads to
    n as well; it is found by repeating y ← n − motion(y).

    Args:
        target_motion, truth_motion: (B, 2, M, M) uint8 maps over the whole photo.
        framings: (B, 2, 3) the crops' framing, as for `cut_crops`.
        to_photo: (B, 2, 3) from the target's own framing to its photo, [-1, 1] over each.
        size: side of the flow in pixels.

    Returns:
        flow (B, 2, size, size) as in `TerGanChange`, and whether it is known (B, 1, size, size): not where the target
        does not show the surface, as teeth behind closed lips.
    """
    target_motion, truth_motion = (MOTION_SCALE * (motion.float() - 128) for motion in (target_motion, truth_motion))
    to_photo = _compose(to_photo, framings)
    grid = F.affine_grid(framings.new_tensor([[1.0, 0, 0], [0, 1, 0]]).expand(len(framings), 2, 3),
                         (len(framings), 2, size, size), align_corners=False)  # fmt: skip

    def look_up(motion, places):
        return F.grid_sample(motion, places, padding_mode="border", align_corners=False).permute(0, 2, 3, 1)

    places = _transform(to_photo, grid)
    neutral = places + look_up(truth_motion, places)
    found = neutral
    for _ in range(FLOW_ITERATIONS):
        found = neutral - look_up(target_motion, found)
    miss = (found + look_up(target_motion, found) - neutral).abs().amax(3)
    linear = torch.linalg.inv(to_photo[:, :, :2])
    flow = torch.einsum("bij,bhwj->bihw", linear, found - places)
    return flow, (miss < FLOW_TOLERANCE)[:, None]


def _transform(matrices: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """(B, 2, 3) affine matrices on (B, H, W, 2) points."""
    return torch.einsum("bij,bhwj->bhwi", matrices[:, :, :2], points) + matrices[:, None, None, :, 2]


@dataclass
class Photometry:
    """One draw of light and quality per image, so that a target and its ground truth can be given the same."""

    gain: torch.Tensor  # (B, 3, 1, 1)
    bias: torch.Tensor  # (B, 3, 1, 1)
    gamma: torch.Tensor  # (B, 1, 1, 1)
    grey: torch.Tensor  # (B, 1, 1, 1) bool
    low_resolution: torch.Tensor  # (B, 1, 1, 1) bool
    resolution: int | None  # `None` where no image loses detail
    noise: torch.Tensor  # (B, 1, 1, 1)
    noise_seed: int | None  # `None` where there is none
    jpeg: torch.Tensor  # (J,) quantisation steps of the images `jpeg_rows`
    jpeg_rows: torch.Tensor  # (J,)

    @classmethod
    def draw(cls, count: int, config: AugmentationConfig, generator: torch.Generator, device) -> "Photometry":
        """Draw for `count` images."""

        def uniform(*shape):
            return torch.rand(count, *shape, generator=generator) * 2 - 1

        def chosen(probability):
            return torch.rand(count, 1, 1, 1, generator=generator) < probability

        # Two thirds of a light change are common to the colours, one third is theirs: exposure before white balance.
        gain = 1 + config.gain * (uniform(1, 1, 1) * 2 + uniform(3, 1, 1)) / 3
        bias = config.bias * (uniform(1, 1, 1) * 2 + uniform(3, 1, 1)) / 3
        gamma = torch.exp(config.gamma * uniform(1, 1, 1))
        resolution = int(torch.randint(config.smallest, 2 * config.smallest + 1, (), generator=generator))
        noise = config.noise * uniform(1, 1, 1).clamp(min=0)
        rows = torch.nonzero(torch.rand(count, generator=generator) < config.jpeg)[:, 0]
        jpeg = 0.5 + 2.5 * torch.rand(count, generator=generator)
        grey, coarse = chosen(config.grey), chosen(config.low_resolution)
        seed = int(torch.randint(2**31, (), generator=generator))
        # Decided here: to ask a GPU whether any image is chosen means to wait for it.
        return cls(
            gain.to(device), bias.to(device), gamma.to(device), grey.to(device), coarse.to(device),
            resolution if coarse.any() else None, noise.to(device), seed if noise.any() else None,
            jpeg[rows].to(device), rows.to(device),
        )  # fmt: skip

    def apply(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, S, S) in [-1, 1] → the same, relit and degraded."""
        images = ((images + 1) / 2).clamp(0, 1) ** self.gamma * 2 - 1
        images = images * self.gain + self.bias
        luma = (images * images.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
        images = torch.where(self.grey, luma, images)
        if self.resolution is not None and self.resolution < images.shape[-1]:
            side = (self.resolution, self.resolution)
            coarse = F.interpolate(images, size=side, mode="bilinear", antialias=True)
            coarse = F.interpolate(coarse, size=images.shape[-2:], mode="bilinear")
            images = torch.where(self.low_resolution, coarse, images)
        if self.noise_seed is not None:
            generator = torch.Generator(images.device).manual_seed(self.noise_seed)
            noise = torch.randn(images.shape, generator=generator, device=images.device, dtype=images.dtype)
            images = images + self.noise * noise
        if len(self.jpeg_rows):
            images = images.index_copy(0, self.jpeg_rows, quantize_blocks(images[self.jpeg_rows], self.jpeg))
        return images.clamp(-1, 1)


def quantize_blocks(images: torch.Tensor, coarseness: torch.Tensor) -> torch.Tensor:
    """
    JPEG's loss, without its chroma subsampling: the cosine transform of 8×8 blocks, rounded to multiples of steps that
    grow with frequency.

    Args:
        images: (B, C, S, S) in [-1, 1], S a multiple of 8; other sizes come back unchanged.
        coarseness: (B,); 1 is about quality 50, 3 about quality 15.
    """
    count, channels, height, width = images.shape
    if height % 8 or width % 8:
        return images
    n = torch.arange(8, dtype=images.dtype, device=images.device)
    transform = torch.cos(math.pi / 8 * (n[None] + 0.5) * n[:, None]) / 2
    transform[0] /= math.sqrt(2)
    blocks = images.reshape(count, channels, height // 8, 8, width // 8, 8).transpose(3, 4)
    spectrum = transform @ blocks @ transform.T
    steps = (12 + 6 * (n[:, None] + n[None])) / 127.5 * coarseness.view(-1, 1, 1, 1, 1, 1)
    spectrum = torch.round(spectrum / steps) * steps
    return (transform.T @ spectrum @ transform).transpose(3, 4).reshape(images.shape)


def draw_occluders(
    count: int, probability: float, size: int, generator: torch.Generator, device
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Things before a face: an ellipse or a bar of one tone with some grain, reaching in from a side.

    Returns:
        masks (count, 1, size, size), soft, all zero for the images that get none, and colours (count, 3, size, size)
        in [-1, 1].
    """

    def rand(*shape):
        return torch.rand(count, *shape, generator=generator).to(device)

    axis = (torch.arange(size, device=device) + 0.5) / size * 2 - 1
    y, x = axis[None, :, None], axis[None, None, :]
    angle, turn = rand(1, 1) * 2 * math.pi, rand(1, 1) * math.pi
    centre_x, centre_y = 0.9 * angle.cos(), 0.9 * angle.sin()
    along = (x - centre_x) * turn.cos() + (y - centre_y) * turn.sin()
    across = (y - centre_y) * turn.cos() - (x - centre_x) * turn.sin()
    distance = (along / (0.2 + 0.8 * rand(1, 1))) ** 2 + (across / (0.08 + 0.3 * rand(1, 1))) ** 2
    mask = ((1 - distance) * 8).clamp(0, 1)[:, None] * (rand(1, 1, 1) < probability)
    colour = (rand(3, 1, 1) * 2 - 1) * 0.8
    grain = F.interpolate(
        torch.randn(count, 1, size // 4, size // 4, generator=generator).to(device), size=(size, size)
    )
    return mask, (colour + 0.15 * rand(1, 1, 1) * grain).clamp(-1, 1)


def erase_rectangles(images: torch.Tensor, probability: float, generator: torch.Generator) -> torch.Tensor:
    """Random erasing (Zhong et al. 2020): a grey rectangle of 15 to 45 % of the side over some of the images."""
    count, _, height, width = images.shape
    size = 0.15 + 0.3 * torch.rand(count, 2, generator=generator)
    start = torch.rand(count, 2, generator=generator) * (1 - size)
    chosen = torch.rand(count, generator=generator) < probability

    def inside(length, axis):
        position = (torch.arange(length) + 0.5) / length
        return (position >= start[:, axis, None]) & (position < (start + size)[:, axis, None])

    mask = inside(height, 0)[:, :, None] & inside(width, 1)[:, None, :] & chosen[:, None, None]
    return images.masked_fill(mask[:, None].to(images.device), 0.0)


def draw_mixture(mixable: torch.Tensor, alpha: float, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Mixup (Zhang et al. 2018): who is blended with whom, and how much, λ ~ Beta(alpha, alpha) for each photo.

    Args:
        mixable: (B,) bool; the others stay as they are.

    Returns:
        partners (B,) int64, each photo's own number where it is not mixed, and λ (B,), how much of itself a photo
        keeps, at least one half.
    """
    rows = torch.nonzero(mixable.cpu())[:, 0]
    partners = torch.arange(len(mixable))
    partners[rows] = rows[torch.randperm(len(rows), generator=generator)]
    gammas = torch._standard_gamma(torch.full((2, len(mixable)), alpha), generator=generator)
    share = gammas.amax(0).clamp(min=1e-30) / gammas.sum(0).clamp(min=1e-30)
    return partners.to(mixable.device), share.to(mixable.device)
