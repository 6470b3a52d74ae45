"""Pseudo pairs: the truth is a photograph, the target is what the model made of it. Not in the paper."""

import copy
from dataclasses import replace

import torch
from accelerate import Accelerator
from torch.nn import functional as F

from ..data.crops import cut_crops, draw_crop_transforms, draw_elastic_deformations, to_range
from ..data.ground_truth import eye_regions
from ..data.photo_set import PhotoSet
from ..data.photometry import Photometry
from ..data.sampling import BalancedPhotos
from ..model.errors_tergan import InvalidInputError
from ..model.modeling_tergan import TerGanModel
from .arguments import TrainingArguments
from .batches import PairBatch, draw_encoder_transforms, recrop


NEUTRAL_SHARE = 0.5  # of the targets become neutral; the others get the expression of another photo
NOBODY = -100  # the class that cross-entropy ignores


class PseudoPairs:
    """
    Make training pairs of single photographs.

    Most people appear in one photograph, so no true pair exists. A copy of the model gives the face another
    expression, and the decoder learns to give back the original one. The input is synthetic, the truth is real
    (back-translation, Sennrich et al. 2016, for images).

    Args:
        model: makes the targets; it is copied and not trained.
    """

    def __init__(self, model: TerGanModel, arguments: TrainingArguments, accelerator: Accelerator):
        self.arguments, self.accelerator, self.config = arguments, accelerator, model.config
        model = copy.deepcopy(model).to(accelerator.device, memory_format=torch.channels_last)
        self.model = model.eval().requires_grad_(False)

    def __call__(self, batch: PairBatch, photos: dict, generator: torch.Generator) -> PairBatch:
        """
        Replace the first pairs of a batch by pseudo pairs.

        Args:
            photos: collated items of `BalancedPhotos`, as many as the batch has pairs.
        """
        count = min(round(self.arguments.pairs.pseudo_pairs * len(batch.target)), len(batch.target) - 1)
        if count < 1:
            return batch
        photos = {name: values[:count] for name, values in photos.items()}
        augmentation, size, device = self.arguments.pair_augmentation, self.config.image_size, batch.target.device
        crop_transforms = draw_crop_transforms(count, augmentation, generator, device)
        encoder_transforms = [draw_encoder_transforms(crop_transforms, augmentation, generator) for _ in range(2)]
        padded_crops = to_range(photos["padded_crop"])
        amounts = torch.full((count,), augmentation.elastic_deformation, device=device)
        deformations = (
            draw_elastic_deformations(amounts, size, generator, device) if augmentation.elastic_deformation else None
        )
        truth = cut_crops(padded_crops, crop_transforms, size, deformations=deformations)
        source = cut_crops(padded_crops, encoder_transforms[0], size)
        target = self._make_targets(truth, source, generator)
        # An enlarged photo is blurred and painted pixels are not: their sharpness would give away what was changed.
        target, truth = (_as_coarse_as(images, photos["resolution"]) for images in (target, truth))
        light, source_light = (Photometry.draw(count, augmentation, generator, device) for _ in range(2))
        target, truth = light.apply(target), light.apply(truth)
        identity = photos["identity"]
        made = {
            "source": source_light.apply(source), "target": target, "truth": truth, "has_truth": True,
            "source_expression": photos["expression"],
            "target_identity": torch.where(identity >= 0, identity, NOBODY),
            "encoder_target": recrop(target, crop_transforms, encoder_transforms[1]),
            "true_flow": 0.0, "flow_known": False, "uncovered": False, "eyes": eye_regions(crop_transforms, size // 2),
            "edited_by_name": False,
        }  # fmt: skip
        return replace(
            batch, **{name: _overwrite(getattr(batch, name), values, count) for name, values in made.items()}
        )

    @torch.no_grad()
    def _make_targets(self, crops: torch.Tensor, read: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Give the crops another expression: neutral, or that of another crop of the batch."""
        with self.accelerator.autocast():
            own = self.model.encode_expression(read)
            given = own.roll(int(torch.randint(1, max(2, len(own)), (), generator=generator)), dims=0)
            if "neutral" in self.config.expressions:
                neutral = self.model.expression_prototypes[self.config.expressions.index("neutral")]
                calm = (torch.rand(len(own), 1, generator=generator) < NEUTRAL_SHARE).to(own.device)
                given = torch.where(calm, neutral.to(given.dtype), given)
            target = self.model.encode_target(crops, with_expression=False)
            target.expression_embedding = own
            return self.model.change(given, target).pixel_values.float()


def pseudo_pair_photos(
    sets: list[PhotoSet], length: int, side: int, seed: int, first_rows: dict[str, int] | None = None
) -> BalancedPhotos:
    """
    The photographs to make pseudo pairs of. Every expression is drawn equally often, each set by its `pair_weight`.
    Renderings are left out, since they have exact truths.

    Raises:
        InvalidInputError: all sets are renderings.
    """
    photographs = [replace(photos, weight=photos.pair_weight) for photos in sets if photos.are_photographs]
    if not photographs:
        raise InvalidInputError("pairs.pseudo_pairs needs a set of photographs: all sets are renderings")
    return BalancedPhotos(photographs, length, side, seed, first_rows=first_rows)


def _as_coarse_as(images: torch.Tensor, resolutions: torch.Tensor) -> torch.Tensor:
    """Remove detail from images (B, C, S, S) beyond a resolution in pixels (B,)."""
    size = images.shape[-1]
    sides = resolutions.tolist()
    if min(sides) >= size:
        return images
    images = images.clone()
    for row, side in enumerate(sides):
        if side < size:
            coarse = F.interpolate(images[row : row + 1], size=(side, side), mode="bilinear", antialias=True)
            images[row] = F.interpolate(coarse, size=(size, size), mode="bilinear")[0]
    return images


def _overwrite(values: torch.Tensor | None, first, count: int) -> torch.Tensor | None:
    if values is None:
        return None
    values = values.clone(memory_format=torch.preserve_format)
    values[:count] = first
    return values
