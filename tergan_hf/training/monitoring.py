"""Metrics and sample sheets of a run: accuracy on held-out photos, expression gain on held-out pairs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from ..data.crops import cut_crops, to_range
from ..data.ground_truth import confine_truth, expression_gain
from ..data.labels import UNLABELLED
from ..data.padded_crops import padded_crop_size
from ..data.photo_set import PhotoSet, aligned_crops
from ..data.sampling import ExpressionPairs
from ..expressions.blendshapes import LEAST_DEVIATION
from ..expressions.side_components import RIGHT, to_side_components


MOST_PHOTOS = 4000  # of a set whose blendshapes are read
BATCH_SIZE = 256
SHOWN_PAIRS = 8  # of each set on a sample sheet


@torch.no_grad()
def classification_accuracy(classifier: nn.Module, photos: PhotoSet, image_size: int) -> float:
    """Share of the labelled photos whose expression `classifier` (crops → an output with `logits`) gets right."""
    rows = photos.labelled_rows
    right = [
        (read.logits.argmax(1).cpu().numpy() == photos.expressions[part]).sum()
        for part, read in _readings(classifier, photos, rows, image_size)
    ]
    return float(sum(right) / len(rows))


@torch.no_grad()
def blendshape_accuracy(
    classifier: nn.Module, photos: PhotoSet, image_size: int, to_columns: Callable, metric=None
) -> dict[str, float]:
    """
    How well blendshapes are read in at most `MOST_PHOTOS`, evenly spaced.

    Args:
        classifier: crops → an output with `blendshapes` (B, K).
        to_columns: (B, K) of that output → (B, 53) blendshapes in the order of `COLUMN_NAMES`.
        metric: a `DisplacementMetric`, or `None`.

    Returns:
        correlations with the true values, means over what varies in the set: `blendshapes`, and `sides`, the
        differences between left and right. With a metric and photos with all blendshapes, also `displacement`, the
        value of its loss.
    """
    assert photos.blendshapes is not None
    rows = np.unique(np.linspace(0, len(photos) - 1, min(len(photos), MOST_PHOTOS)).astype(int))
    found = [to_columns(output.blendshapes.float()) for _, output in _readings(classifier, photos, rows, image_size)]
    true, read = photos.blendshapes[rows], torch.cat(found).cpu().numpy()
    differences = [to_side_components(values)[:, RIGHT] for values in (true, read)]
    measured = {"blendshapes": _mean_correlation(true, read), "sides": _mean_correlation(*differences)}
    if metric is not None and np.isfinite(true).all(1).any():
        measured["displacement"] = float(metric.loss(torch.from_numpy(read), torch.from_numpy(true)))
    return measured


def _mean_correlation(true: np.ndarray, read: np.ndarray) -> float:
    correlations = []
    for wanted, values in zip(true.T, read.T):
        known = np.isfinite(wanted)
        if known.sum() > 2 and wanted[known].std() > LEAST_DEVIATION and values[known].std() > 0:
            correlations.append(np.corrcoef(wanted[known], values[known])[0, 1])
    return float(np.mean(correlations)) if correlations else float("nan")


def _readings(classifier: nn.Module, photos: PhotoSet, rows: np.ndarray, image_size: int):
    """Parts of the rows and what a classifier reads in their crops, in evaluation mode."""
    was_training = classifier.training
    classifier.eval()
    device = next(classifier.parameters()).device
    for start in range(0, len(rows), BATCH_SIZE):
        part = rows[start : start + BATCH_SIZE]
        yield part, classifier(aligned_crops(photos, part, image_size, device))
    classifier.train(was_training)


class ValidationPairs:
    """
    A fixed draw of pairs with a ground truth, from held-out people. In sets with expression ids, x_s is anybody's
    photo with the wanted id. In other sets it is another photo of x_t's person with another label, made comparable as
    in training. Sets without identities, and those that stage 2 never draws from, are skipped.

    Args:
        per_set: pairs drawn from each set.
    """

    def __init__(self, sets: list[PhotoSet], image_size: int, per_set: int = 192, seed: int = 0):
        self.image_size, self.batches = image_size, {}
        for photos in sets:
            if not photos.has_identities or not photos.pair_weight:
                continue
            drawn = ExpressionPairs(
                [photos], per_set * 2, padded_crop_size(image_size), seed=seed + 1, ground_truth_share=1.0
            )
            items = [item for item in map(drawn.__getitem__, range(len(drawn))) if self._changes(item)][:per_set]
            if items:
                self.batches[photos.name] = torch.utils.data.default_collate(items)

    @staticmethod
    def _changes(item: dict) -> bool:
        # Of two photos with the same label nearly nothing differs, and a gain would be a ratio to nearly nothing.
        same = item["source_expression"] == item["target_expression"] != UNLABELLED and not item["is_rendered"]
        return item["has_truth"] and not same and not torch.equal(item["target"], item["truth"])

    def _crops(self, name: str, device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        batch = {key: value.to(device) for key, value in self.batches[name].items()}
        still = torch.eye(2, 3, device=device).expand(len(batch["source"]), 2, 3)
        source = cut_crops(to_range(batch["source"]), still, self.image_size)
        target = cut_crops(to_range(batch["target"]), still, self.image_size)
        truth = cut_crops(to_range(batch["truth"]), still, self.image_size, registration=batch["registration"])
        rendered = batch["is_rendered"][:, None, None, None]
        return source, target, torch.where(rendered, truth, confine_truth(target, truth, still))

    @torch.no_grad()
    def expression_gain(self, model: nn.Module) -> dict[str, float]:
        """Mean expression gain of each set, by the name `expression_gain_<set>`."""
        device = next(model.parameters()).device
        measured = {}
        for name in self.batches:
            source, target, truth = self._crops(name, device)
            generated = model(source, target).pixel_values
            measured[f"expression_gain_{name}"] = float(expression_gain(generated, target, truth).nanmean())
        return measured

    @torch.no_grad()
    def save_sheet(self, model: nn.Module, path: str | Path):
        """Write a PNG with a column per pair: source, target, result and truth from top to bottom."""
        device = next(model.parameters()).device
        columns = []
        for name in self.batches:
            source, target, truth = (images[:SHOWN_PAIRS] for images in self._crops(name, device))
            generated = model(source, target).pixel_values
            columns.append(torch.cat([source, target, generated, truth], dim=2))
        if not columns:
            return
        sheet = torch.cat(list(torch.cat(columns)), dim=2).permute(1, 2, 0)
        pixels = ((sheet + 1) * 127.5).round().clamp(0, 255).byte().cpu().numpy()
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
