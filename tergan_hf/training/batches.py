"""What a step learns from: chips as they are stored → crops that vary, with their labels."""

from dataclasses import dataclass, replace

import torch
from torch.nn import functional as F

from ..data.augmentation import AugmentationConfig
from ..data.crops import cut_crops, draw_crop_transforms, draw_elastic_deformations, to_range
from ..data.ground_truth import confine_truth, true_flow
from ..data.mixing import draw_patch_masks, draw_patch_mixes
from ..data.occlusion import draw_occluders, erase_rectangles
from ..data.photometry import Photometry
from ..data.registration import register_faces
from .arguments import TrainingArguments


@dataclass
class PairBatch:
    """Crops in [-1, 1], (B, C, S, S), with their labels.

    Args:
        true_flow, flow_known: of `ground_truth.true_flow`, at half the crops' size, or `None`.
        uncovered: (B, 1, S/2, S/2) bool, where a rendered target is known to hide what its truth shows, or `None`.
        encoder_target: the target cropped for G_es, or `None`: as it is in `target`.
        photos, photo_expression: further labelled photos for the recognition term, or `None`.
    """

    source: torch.Tensor
    target: torch.Tensor
    truth: torch.Tensor
    has_truth: torch.Tensor
    source_expression: torch.Tensor
    target_identity: torch.Tensor
    true_flow: torch.Tensor | None = None
    flow_known: torch.Tensor | None = None
    uncovered: torch.Tensor | None = None
    encoder_target: torch.Tensor | None = None
    photos: torch.Tensor | None = None
    photo_expression: torch.Tensor | None = None


def augment_photos(
    chips: torch.Tensor, config: AugmentationConfig, image_size: int, generator: torch.Generator
) -> torch.Tensor:
    """(B, 3, H, H) uint8 chips → (B, 3, image_size, image_size) varied crops in [-1, 1]."""
    crop_transforms = draw_crop_transforms(len(chips), config, generator, chips.device)
    crops = cut_crops(to_range(chips), crop_transforms, image_size)
    crops = Photometry.draw(len(chips), config, generator, chips.device).apply(crops)
    return erase_rectangles(crops, config.erase, generator) if config.erase else crops


def augment_pairs(raw: dict, arguments: TrainingArguments, size: int, generator: torch.Generator) -> PairBatch:
    """Collated items of `ExpressionPairs` (and `BalancedPhotos`) → varied crops. Target and truth vary alike, the
    source on its own, but all three are mirrored together: an expression has a left and a right."""
    config, pairs = arguments.pair_augmentation, raw["pairs"]
    count, device = len(pairs["source"]), pairs["source"].device
    target_transform = draw_crop_transforms(count, config, generator, device)
    source_transform = draw_encoder_transforms(target_transform, config, generator)
    target_light = Photometry.draw(count, config, generator, device)
    source_light = Photometry.draw(count, config, generator, device)
    photographed = pairs["has_truth"] & ~pairs["is_rendered"]
    deformations, photograph_elastic_deformation = (
        None,
        config.elastic_deformation
        if config.photograph_elastic_deformation is None
        else config.photograph_elastic_deformation,
    )
    if config.elastic_deformation or photograph_elastic_deformation:
        amounts = torch.where(photographed, photograph_elastic_deformation, config.elastic_deformation)
        deformations = draw_elastic_deformations(amounts, size, generator, device)
    source, target, whole_truth = (to_range(pairs[part]) for part in ("source", "target", "truth"))
    registration = registrations(pairs, size)
    truth = cut_crops(whole_truth, target_transform, size, registration, deformations)
    if config.patch_mix:
        shown = torch.stack([pairs["source_expression"], pairs["target_expression"]], dim=1)
        partners, shares = draw_patch_mixes(shown, pairs["target_identity"], photographed, config.patch_mix, generator)
        masks = draw_patch_masks(shares, source.shape[-1], generator)
        source, target = (torch.lerp(image[partners], image, masks) for image in (source, target))
        others = cut_crops(whole_truth[partners], target_transform, size, registration[partners], deformations)
        truth = torch.lerp(others, truth, cut_crops(masks, target_transform, size, deformations=deformations))
    target = cut_crops(target, target_transform, size, deformations=deformations)
    truth = torch.where(photographed[:, None, None, None], confine_truth(target, truth, target_transform), truth)
    if config.occlusion:
        mask, colours = draw_occluders(count, config.occlusion, size, generator, device)
        target, truth = (image + mask * (colours - image) for image in (target, truth))
    target, truth = target_light.apply(target), target_light.apply(truth)
    encoder_target = None
    if config.encoder_jitter is not None:
        crop_transform = draw_encoder_transforms(target_transform, config, generator)
        encoder_target = _channels_last(recrop(target, target_transform, crop_transform))
    flow = known = uncovered = None
    if pairs["has_flow"].any():
        flow, known = true_flow(
            pairs["target_flow_map"], pairs["truth_flow_map"], target_transform, pairs["to_photo"], size // 2,
            None if deformations is None else F.avg_pool2d(deformations, 2),
        )  # fmt: skip
        seen = pairs["has_flow"][:, None, None, None].expand_as(known)
        if config.occlusion:
            seen = seen & (F.avg_pool2d(mask, 2) == 0)
        known, uncovered = known & seen, ~known & seen
    photos = photo_expression = None
    if "photos" in raw:
        used = max(1, round(arguments.pairs.recognition_share * count))
        photos = _channels_last(
            augment_photos(raw["photos"]["padded_crop"][:used], arguments.classifier_augmentation, size, generator)
        )
        photo_expression = raw["photos"]["expression"][:used]
    return PairBatch(
        source=_channels_last(source_light.apply(cut_crops(source, source_transform, size))),
        target=_channels_last(target),
        truth=truth,
        has_truth=pairs["has_truth"],
        true_flow=flow,
        flow_known=known,
        uncovered=uncovered,
        encoder_target=encoder_target,
        source_expression=pairs["source_expression"],
        target_identity=pairs["target_identity"],
        photos=photos,
        photo_expression=photo_expression,
    )


def registrations(pairs: dict, size: int) -> torch.Tensor:
    """Collated items of `ExpressionPairs` → (B, 2, 3), the `registration` to cut their truths with: another photograph
    of a person is laid over the target, a rendering lies where its crop_transform says."""
    photographed = pairs["has_truth"] & ~pairs["is_rendered"]
    if not photographed.any():
        return pairs["registration"]
    still = pairs["registration"].new_tensor([[1, 0, 0], [0, 1, 0]]).expand(int(photographed.sum()), 2, 3)
    truth, target = (cut_crops(to_range(pairs[part][photographed]), still, size) for part in ("truth", "target"))
    registration = pairs["registration"].clone()
    registration[photographed] = register_faces(truth, target)
    return registration


def draw_encoder_transforms(
    crop_transforms: torch.Tensor, config: AugmentationConfig, generator: torch.Generator
) -> torch.Tensor:
    """Framings of crops that f(e) is read from, (B, 2, 3): they vary as `config.encoder_jitter` says, and are mirrored where
    the given ones are, for an expression has a left and a right."""
    share = 1.0 if config.encoder_jitter is None else config.encoder_jitter
    steady = replace(config, **{name: share * getattr(config, name) for name in ("scale", "shift", "angle")})
    drawn = draw_crop_transforms(len(crop_transforms), steady, generator, crop_transforms.device)
    opposite = torch.sign(torch.det(drawn[:, :, :2])) != torch.sign(torch.det(crop_transforms[:, :, :2]))
    mirror = torch.where(opposite, -1.0, 1.0)
    return drawn * torch.stack([mirror, torch.ones_like(mirror), torch.ones_like(mirror)], dim=1).unsqueeze(1)


def recrop(crops: torch.Tensor, before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Crops (B, C, S, S) cut with the crop_transforms `before`, as (nearly) cut with `after`; past their borders the edge
    repeats."""
    inverse = torch.linalg.inv(before[:, :, :2])
    theta = inverse @ torch.cat([after[:, :, :2], after[:, :, 2:] - before[:, :, 2:]], dim=2)
    grid = F.affine_grid(theta, list(crops.shape), align_corners=False)
    return F.grid_sample(crops, grid, padding_mode="border", align_corners=False)


def _channels_last(images: torch.Tensor) -> torch.Tensor:
    return images.contiguous(memory_format=torch.channels_last)
