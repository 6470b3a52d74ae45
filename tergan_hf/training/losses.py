"""The terms of the objective: equations 1 to 10 of the paper, and terms that are not in the paper.

L1 is the mean absolute difference; cross-entropies are means over the batch.
"""

import math
from collections.abc import Sequence

import torch
from torch.nn import functional as F

from ..data.labels import UNLABELLED
from ..model.errors_tergan import TerGanError
from .arguments import LossArguments


def labelled_cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy over the images with a label. Labels are class indices, `UNLABELLED` for none."""
    total = F.cross_entropy(logits, labels, ignore_index=UNLABELLED, reduction="sum")
    return total / (labels != UNLABELLED).sum().clamp(min=1)


def discriminator_loss(
    source_expression_logits: torch.Tensor,
    target_identity_logits: torch.Tensor,
    generated_expression_logits: torch.Tensor,
    source_expression: torch.Tensor,
    target_identity: torch.Tensor,
) -> torch.Tensor:
    """Eq. 1, L_D = CE(D^e(x_s), y_s^e) + CE(D^i(x_t), y_t^i) + CE(D^e(x̄), fake); fake is the last class of D^e."""
    fake = torch.full_like(source_expression, generated_expression_logits.shape[1] - 1)
    return (
        labelled_cross_entropy(source_expression_logits, source_expression)
        + F.cross_entropy(target_identity_logits, target_identity)
        + F.cross_entropy(generated_expression_logits, fake)
    )


def generator_loss(
    generated_expression_logits: torch.Tensor,
    generated_identity_logits: torch.Tensor,
    source_expression: torch.Tensor,
    target_identity: torch.Tensor,
) -> torch.Tensor:
    """Eq. 2, L_G = CE(D^e(x̄), y_s^e) + CE(D^i(x̄), y_t^i), the generator's side of eq. 3.

    Decided: y_t^i, "the identity of x_t" as the paper's text says; its formula prints y_s^i.
    """
    return labelled_cross_entropy(generated_expression_logits, source_expression) + F.cross_entropy(
        generated_identity_logits, target_identity
    )


def consistency_loss(real_logits: torch.Tensor, generated_logits: torch.Tensor) -> torch.Tensor:
    """Eq. 4 on D_es, eq. 5 on D_et: binary cross-entropy of telling embeddings of real from embeddings of generated
    images. The discriminators sit behind a gradient reversal layer, so minimising this is the paper's min-max."""
    return F.binary_cross_entropy_with_logits(
        real_logits, torch.ones_like(real_logits)
    ) + F.binary_cross_entropy_with_logits(generated_logits, torch.zeros_like(generated_logits))


CHANCE = 2 * math.log(2)  # consistency_loss of a discriminator that cannot tell


def reconstruction_loss(generated: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """Eq. 6 with x_t, eq. 7 with x_s: L1(x̄, x)."""
    return F.l1_loss(generated, real)


def feature_loss(
    generated_features: Sequence[torch.Tensor], real_features: Sequence[torch.Tensor], weights: Sequence[float]
) -> torch.Tensor:
    """Eq. 8 with the frozen G_es and x_s, eq. 9 with the frozen G_et and x_t: Σ_l ω_l · L1(h_l(x̄), h_l(x))."""
    terms = zip(weights, generated_features, real_features, strict=True)
    return sum(weight * F.l1_loss(generated, real) for weight, generated, real in terms)


def ground_truth_loss(
    generated: torch.Tensor,
    truth: torch.Tensor,
    target: torch.Tensor,
    has_truth: torch.Tensor,
    focus: float = 0.0,
    relative: bool = False,
    uncovered: torch.Tensor | None = None,
    uncovered_focus: float = 0.0,
    eyes: torch.Tensor | None = None,
    eye_focus: float = 0.0,
) -> torch.Tensor:
    """
    Not in the paper: L1(x̄, truth) over the pairs that have a truth. A pixel weighs 1 + focus · mean_colours |truth −
    x_t|, `uncovered_focus` more where the truth shows what the target hides, and `eye_focus` more in the eyes.

    Args:
        has_truth: (B,) bool. Without any truth the loss is 0.
        relative: weigh each pair by `pair_scale`.
        uncovered: (B, 1, h, w) bool over the whole crop, or `None` if it is not known.
        eyes: (B, 1, h, w) from `ground_truth.eye_regions`, or `None`.
    """
    weight = eye_weights(generated, eyes, eye_focus) + focus * (truth - target).abs().mean(1, keepdim=True)
    if uncovered is not None and uncovered_focus:
        weight = weight + uncovered_focus * F.interpolate(uncovered.float(), size=weight.shape[-2:], mode="nearest")
    per_pair = (weight * (generated - truth).abs()).flatten(1).mean(1)
    return _mean_over_truths(per_pair, truth, target, has_truth, relative)


def eye_weights(images: torch.Tensor, eyes: torch.Tensor | None, eye_focus: float) -> torch.Tensor:
    """Weights (B, 1, H, W) of the pixels of images (B, C, H, W): 1, and `eye_focus` more where `eyes`, as for
    `ground_truth_loss`, is 1."""
    weights = torch.ones_like(images[:, :1])
    if eyes is None or not eye_focus:
        return weights
    return weights + eye_focus * F.interpolate(eyes, size=images.shape[-2:], mode="nearest")


USUAL_CHANGE = 0.03  # mean |truth − x_t| of a rendered pair, on [-1, 1]
LEAST_CHANGE = 0.006  # below, truth and target differ by little more than noise


def pair_scale(truth: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Weights (B,) that count a faint change as much as a broad one, as expression gain does: `USUAL_CHANGE` over the
    mean |truth − x_t|, at most 5."""
    return USUAL_CHANGE / (truth - target).abs().flatten(1).mean(1).clamp(min=LEAST_CHANGE)


def structure_loss(
    generated: torch.Tensor,
    truth: torch.Tensor,
    target: torch.Tensor,
    has_truth: torch.Tensor,
    relative: bool = False,
    eyes: torch.Tensor | None = None,
    eye_focus: float = 0.0,
) -> torch.Tensor:
    """
    Not in the paper: the L1 at 1/2, 1/4 and 1/8 of the resolution, where shading is not lost in grain, plus the L1 of
    the differences between neighbouring pixels, summed, over the pairs that have a truth.

    Args:
        relative: weigh each pair by `pair_scale`.
        eyes, eye_focus: as for `ground_truth_loss`.
    """
    miss = generated - truth
    weight = eye_weights(miss, eyes, eye_focus)
    scales = [(F.avg_pool2d(miss, size), F.avg_pool2d(weight, size)) for size in (2, 4, 8)]
    edges = [(miss.diff(dim=axis), weight.narrow(axis, 1, weight.shape[axis] - 1)) for axis in (2, 3)]
    per_pair = sum((part.abs() * own).flatten(1).mean(1) for part, own in scales + edges)
    return _mean_over_truths(per_pair, truth, target, has_truth, relative)


def _mean_over_truths(
    per_pair: torch.Tensor, truth: torch.Tensor, target: torch.Tensor, has_truth: torch.Tensor, relative: bool
) -> torch.Tensor:
    """Mean of (B,) values over the pairs that have a truth, weighed by `pair_scale` if `relative`."""
    if relative:
        per_pair = per_pair * pair_scale(truth, target)
    return (per_pair * has_truth).sum() / has_truth.sum().clamp(min=1)


def smoothness_loss(flow: torch.Tensor) -> torch.Tensor:
    """Total variation of a flow field (B, 2, H, W): mean absolute difference of neighbours, across plus down."""
    return flow.diff(dim=2).abs().mean() + flow.diff(dim=3).abs().mean()


def flow_loss(
    flow: torch.Tensor,
    true_flow: torch.Tensor,
    known: torch.Tensor,
    eyes: torch.Tensor | None = None,
    eye_focus: float = 0.0,
) -> torch.Tensor:
    """
    Not in the paper: L1 between the photo decoder's flow and the exact one (B, 2, H, W), [-1, 1] over the crop, where
    it is known (B, 1, H, W). 0 if it is known nowhere.

    Args:
        eyes, eye_focus: as for `ground_truth_loss`.
    """
    miss = (flow - true_flow).abs().mean(1, keepdim=True)
    return (miss * known * eye_weights(miss, eyes, eye_focus)).sum() / known.sum().clamp(min=1)


def weighted_mean(values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Mean of values (B, C, h, w) by weights (B, 1, h, w); 0 if all weights are 0."""
    return (values.mean(1, keepdim=True) * weights).sum() / weights.sum().clamp(min=1e-6)


# Terms that take further passes through the encoders or D.
COSTLY_TERMS = (
    "identity_feature", "expression_feature", "identity_consistency", "expression_consistency", "adversarial",
)  # fmt: skip


def total_loss(terms: dict[str, torch.Tensor], weights: LossArguments, costly_interval: int = 1) -> torch.Tensor:
    """
    Eq. 10: the weighted sum of the given terms.

    Args:
        terms: by the names of their weights in `LossArguments`.
        costly_interval: `COSTLY_TERMS` count this many times more, because they are given every so many steps only
            (lazy regularisation, Karras et al. 2020). On average each term counts by its weight.

    Raises:
        AttributeError: a term that `LossArguments` does not have.
    """
    return sum(
        getattr(weights, name) * (costly_interval if name in COSTLY_TERMS else 1) * term
        for name, term in terms.items()
    )


def require_finite(terms: dict[str, torch.Tensor]):
    """
    Stop before a loss that is not finite reaches the weights.

    Raises:
        NonFiniteLossError: it names the terms.
    """
    finite = torch.stack([term.detach().isfinite().all() for term in terms.values()]).cpu()  # a GPU is waited for once
    broken = [name for name, whole in zip(terms, finite.tolist()) if not whole]
    if broken:
        raise NonFiniteLossError(f"the loss is not finite ({', '.join(broken)})")


class NonFiniteLossError(TerGanError):
    """A term of the loss is infinite or not a number."""
