"""The prototype of each label: one f(e) for editing by name."""

import logging

import torch

from ..model.modeling_tergan import TerGanModel


logger = logging.getLogger(__name__)

MOST_STRENGTH = 1.1  # largest distance of a prototype from neutral, in mean distances of all prototypes
STRENGTHS = (1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7)  # tried as factors on a prototype's distance from neutral
READABLE = 0.95  # share of the edits that the model must read as the label
LEAST_CHANGE = 0.017  # mean |x̄ − x| on [-1, 1] of an edit; a smaller change is hardly visible


def mean_prototypes(
    embeddings: torch.Tensor, labels: torch.Tensor, logits: torch.Tensor, clear: torch.Tensor, num_labels: int
) -> torch.Tensor:
    """
    One f(e) per class that stands for a clear expression, not for a faint or mislabelled one. It is the mean over the
    photos marked as clear or, if there are none, over the quarter with the highest confidence.

    Args:
        embeddings: (N, D). labels: (N,). logits: (N, num_labels). clear: (N,) bool.

    Returns:
        (num_labels, D); zeros for a class without photos.
    """
    confidence = logits.softmax(1).gather(1, labels[:, None])[:, 0]
    found = torch.zeros(num_labels, embeddings.shape[1]).to(embeddings)
    for label in labels.unique():
        rows = torch.nonzero((labels == label) & clear)[:, 0]
        if not len(rows):
            rows = torch.nonzero(labels == label)[:, 0]
            rows = rows[confidence[rows].topk(max(1, len(rows) // 4)).indices]
        found[label] = embeddings[rows].mean(0)
    return found


def limit_strength(prototypes: torch.Tensor, expressions: list[str]) -> torch.Tensor:
    """
    Move prototypes that are much further from neutral than the others nearer to it. They would change a face more than
    the others, and its identity with it.

    Args:
        prototypes: (num_labels, D), zeros for a class without photos. expressions: their labels.

    Returns:
        (num_labels, D), none further from neutral than `MOST_STRENGTH` times the mean distance. Without a prototype
        for `neutral` they are unchanged.
    """
    known = prototypes.abs().sum(1) > 0
    if "neutral" not in expressions or not known[expressions.index("neutral")] or known.sum() < 2:
        return prototypes
    neutral = prototypes[expressions.index("neutral")]
    distances = (prototypes - neutral).norm(dim=1)
    most = MOST_STRENGTH * distances[known].sum() / (known.sum() - 1)
    nearer = neutral + (prototypes - neutral) * (most / distances.clamp(min=1e-9)).clamp(max=1)[:, None]
    return torch.where(known[:, None], nearer, prototypes)


@torch.no_grad()
def strengthen(model: TerGanModel, crops: torch.Tensor):
    """
    Scale each prototype to the least of `STRENGTHS` that is strong enough, in place. It may exceed `limit_strength`.

    Strong enough means that edits of neutral faces change them by `LEAST_CHANGE` and that the model recognises the
    share `READABLE` of the edits as the label. If no strength achieves that, only the change counts: more strength
    would change the identity and gain nothing.

    Args:
        model: with classifier and prototypes.
        crops: neutral faces (N, C, S, S); without any, nothing is changed.
    """
    expressions, prototypes = model.config.expressions, model.expression_prototypes
    if not len(crops) or "neutral" not in expressions:
        return
    neutral = prototypes[expressions.index("neutral")].clone()
    parts = crops.split(16)
    targets = [model.encode_target(part) for part in parts]
    for label, expression in enumerate(expressions):
        if expression == "neutral" or not prototypes[label].any():
            continue
        away, visible = prototypes[label] - neutral, None
        for strength in STRENGTHS:
            edited = [
                model.synthesize((neutral + strength * away).expand(len(part), -1), target)
                for part, target in zip(parts, targets)
            ]
            if (torch.cat(edited) - crops).abs().mean() < LEAST_CHANGE:
                continue
            visible = visible or strength
            answers = torch.cat([model.classify(model.encode_expression(part)).argmax(1) for part in edited])
            if (answers == label).float().mean() >= READABLE:
                break
        else:
            strength = visible or STRENGTHS[-1]
        logger.info("Prototype of %s: %.1f times as far from neutral", expression, strength)
        prototypes[label] = neutral + strength * away
