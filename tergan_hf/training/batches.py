"""Turn collated padded crops into augmented batches."""

from dataclasses import dataclass, replace

import torch
from torch.nn import functional as F

from ..data.augmentation import AugmentationConfig
from ..data.crops import cut_crops, draw_crop_transforms, draw_elastic_deformations, relative_affine, to_range
from ..data.ground_truth import confine_truth, eye_regions, true_flow
from ..data.mixing import draw_patch_masks, draw_patch_mixes
from ..data.occlusion import draw_occluders, erase_rectangles
from ..data.photometry import Photometry
from ..expressions.blendshapes import COLUMN_NAMES
from ..model.blendshapes_tergan import mirror_blendshapes
from .arguments import TrainingArguments


@dataclass
class PairBatch:
    """
    Pairs of crops with their labels.

    Args:
        source, target, truth: (B, C, S, S) in [-1, 1].
        has_truth: (B,) bool; where it is false, `truth` means nothing.
        source_expression, target_identity: (B,) class indices.
        true_flow, flow_known: result of `ground_truth.true_flow` at half the crops' size, or `None`.
        uncovered: (B, 1, S/2, S/2) bool, true where the truth shows what a rendered target hides, or `None`.
        eyes: (B, 1, S/2, S/2), result of `ground_truth.eye_regions`, or `None`.
        encoder_target: the target as G_es sees it, (B, C, S, S); `None` if it sees `target` itself.
        target_transform: (B, 2, 3), the crop transforms that target and truth were cut with, or `None`.
        edited_by_name: (B,) bool, the pairs whose truth is asked for by its blendshapes and not by x_s, or `None`.
        blendshape_change: (B, K), the truth's blendshapes less the target's, in the order of `COLUMN_NAMES`; it means
            something where `edited_by_name`.
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
    eyes: torch.Tensor | None = None
    encoder_target: torch.Tensor | None = None
    target_transform: torch.Tensor | None = None
    edited_by_name: torch.Tensor | None = None
    blendshape_change: torch.Tensor | None = None
    photos: torch.Tensor | None = None
    photo_expression: torch.Tensor | None = None


def augment_photos(
    padded_crops: torch.Tensor, config: AugmentationConfig, image_size: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Augment single photos: padded crops (B, 3, H, H) uint8 → crops (B, 3, image_size, image_size) in [-1, 1], and
    which of them are mirrored, (B,) bool."""
    count, device = len(padded_crops), padded_crops.device
    crop_transforms = draw_crop_transforms(count, config, generator, device)
    crops = cut_crops(to_range(padded_crops), crop_transforms, image_size)
    crops = Photometry.draw(count, config, generator, device).apply(crops)
    mirrored = torch.det(crop_transforms[:, :, :2]) < 0
    return erase_rectangles(crops, config.erase, generator) if config.erase else crops, mirrored


def augment_pairs(raw: dict, arguments: TrainingArguments, size: int, generator: torch.Generator) -> PairBatch:
    """
    Augment pairs. Target and truth get the same augmentation and the source its own, but all three are mirrored
    together, because an expression has a left and a right.

    Args:
        raw: `pairs`, collated items of `ExpressionPairs`, and for the recognition term `photos`, those of
            `BalancedPhotos`.
        size: side of the crops in pixels.
    """
    config, pairs = arguments.pair_augmentation, raw["pairs"]
    count, device = len(pairs["source"]), pairs["source"].device
    target_transform = draw_crop_transforms(count, config, generator, device)
    source_transform = draw_encoder_transforms(target_transform, config, generator)
    target_light = Photometry.draw(count, config, generator, device)
    source_light = Photometry.draw(count, config, generator, device)
    photographed = pairs["has_truth"] & ~pairs["is_rendered"]
    deformations, of_photographs = None, config.photograph_elastic_deformation
    if of_photographs is None:
        of_photographs = config.elastic_deformation
    if config.elastic_deformation or of_photographs:
        amounts = torch.where(photographed, of_photographs, config.elastic_deformation)
        deformations = draw_elastic_deformations(amounts, size, generator, device)
    source, target, whole_truth = (to_range(pairs[part]) for part in ("source", "target", "truth"))
    registration = pairs["registration"]
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
        encoder_transform = draw_encoder_transforms(target_transform, config, generator)
        encoder_target = _channels_last(recrop(target, target_transform, encoder_transform))
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
    by_name = change = None
    if arguments.pairs.edited_by_name:
        by_name, change = draw_edits_by_name(pairs, target_transform, arguments.pairs.edited_by_name, generator)
    photos = photo_expression = None
    if "photos" in raw:
        used = max(1, round(arguments.pairs.recognition_share * count))
        photos, _ = augment_photos(
            raw["photos"]["padded_crop"][:used], arguments.classifier_augmentation, size, generator
        )
        photos = _channels_last(photos)
        photo_expression = raw["photos"]["expression"][:used]
    return PairBatch(
        source=_channels_last(source_light.apply(cut_crops(source, source_transform, size))),
        target=_channels_last(target),
        truth=truth,
        has_truth=pairs["has_truth"],
        true_flow=flow,
        flow_known=known,
        uncovered=uncovered,
        eyes=eye_regions(target_transform, size // 2) if arguments.losses.eye_focus else None,
        encoder_target=encoder_target,
        target_transform=target_transform,
        edited_by_name=by_name,
        blendshape_change=change,
        source_expression=pairs["source_expression"],
        target_identity=pairs["target_identity"],
        photos=photos,
        photo_expression=photo_expression,
    )


def draw_edits_by_name(
    pairs: dict, target_transform: torch.Tensor, share: float, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """`edited_by_name` and `blendshape_change` of `PairBatch`. Only pairs of renderings are asked for by name: they
    know all blendshapes.

    Args:
        pairs: collated items of `ExpressionPairs`. share: of the renderings.
    """
    change = pairs["blendshape_change"]
    drawn = (torch.rand(len(change), generator=generator) < share).to(change.device)
    mirrored = torch.det(target_transform[:, :, :2]) < 0
    change = torch.where(mirrored[:, None], mirror_blendshapes(change, COLUMN_NAMES), change)
    return drawn & pairs["is_rendered"] & change.isfinite().all(1), change.nan_to_num()


def draw_encoder_transforms(
    crop_transforms: torch.Tensor, config: AugmentationConfig, generator: torch.Generator
) -> torch.Tensor:
    """Crop transforms (B, 2, 3) for what G_es sees. They vary by `config.encoder_jitter` times the usual range and are
    mirrored where the given ones are."""
    share = 1.0 if config.encoder_jitter is None else config.encoder_jitter
    steady = replace(config, **{name: share * getattr(config, name) for name in ("scale", "shift", "angle")})
    drawn = draw_crop_transforms(len(crop_transforms), steady, generator, crop_transforms.device)
    opposite = torch.sign(torch.det(drawn[:, :, :2])) != torch.sign(torch.det(crop_transforms[:, :, :2]))
    mirror = torch.where(opposite, -1.0, 1.0)
    return drawn * torch.stack([mirror, torch.ones_like(mirror), torch.ones_like(mirror)], dim=1).unsqueeze(1)


def recrop(crops: torch.Tensor, before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Resample crops (B, C, S, S) that were cut with the transforms `before` as if cut with `after`. Outside the crops
    the edge repeats."""
    grid = F.affine_grid(relative_affine(before, after), list(crops.shape), align_corners=False)
    return F.grid_sample(crops, grid, padding_mode="border", align_corners=False)


def _channels_last(images: torch.Tensor) -> torch.Tensor:
    return images.contiguous(memory_format=torch.channels_last)
