"""One f(e) per label, for editing by name: which photos it is the mean of, how strong it is, and where it is aimed."""

import logging

import torch
from torch.nn import functional as F

from ..modeling_tergan import TerGanModel, TerGanTarget


logger = logging.getLogger(__name__)

MOST_STRENGTH = 1.1  # of a label's prototype, in mean distances from neutral's
READABLE = 0.95  # of the edits
AIM_STEPS = 32
AIM_RATE = 0.025  # of each step, in a prototype's distance from neutral's
AIM_REACH = 0.2  # of all steps together, in the same
AIM_BATCH = 8  # faces that are edited in a step


def mean_prototypes(
    embeddings: torch.Tensor, labels: torch.Tensor, logits: torch.Tensor, clear: torch.Tensor, num_labels: int
) -> torch.Tensor:
    """
    One f(e) per class that stands for a clear expression, not for a faint or mislabelled one: the mean over the photos
    known to be clear; where none is, over the quarter that the classifier is surest about.

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
    Bring those prototypes nearer that are much further from neutral's than the others: they would change a face more,
    and whose face it is with it.

    Args:
        prototypes: (num_labels, D), zeros where a class has no photos. expressions: their labels.

    Returns:
        (num_labels, D), none further from neutral's than `MOST_STRENGTH` times the mean distance. Without a prototype
        for `neutral` they stay as they are.
    """
    known = prototypes.abs().sum(1) > 0
    if "neutral" not in expressions or not known[expressions.index("neutral")] or known.sum() < 2:
        return prototypes
    neutral = prototypes[expressions.index("neutral")]
    distances = (prototypes - neutral).norm(dim=1)
    most = MOST_STRENGTH * distances[known].sum() / (known.sum() - 1)
    nearer = neutral + (prototypes - neutral) * (most / distances.clamp(min=1e-9)).clamp(max=1)[:, None]
    return torch.where(known[:, None], nearer, prototypes)


def aim(model: TerGanModel, crops: torch.Tensor):
    """
    Turn each label's prototype towards where the model itself reads the edits of some neutral faces as the label: by
    Adam on the cross-entropy, no further than `AIM_REACH` from where it was, and no further from neutral's. Between
    the mean of the many ways in which photos show an expression, and what makes one readable on another's face, there
    is a difference. A label that is read in `READABLE` of the edits as it is, or that is read no more often
    afterwards, stays as it is.

    Args:
        model: with classifier and prototypes; the prototypes are changed.
        crops: (N, C, S, S) neutral faces; without any nothing is changed.
    """
    expressions, prototypes = model.config.expressions, model.expression_prototypes
    if not len(crops) or "neutral" not in expressions:
        return
    neutral = prototypes[expressions.index("neutral")].clone()
    with torch.no_grad():
        # A label has no left and right: half of the faces are mirrored.
        mirrored = (torch.arange(len(crops), device=crops.device) % 2 == 1)[:, None, None, None]
        crops = torch.where(mirrored, crops.flip(3), crops)
        targets = [model.encode_target(part) for part in crops.split(AIM_BATCH)]
    for label, expression in enumerate(expressions):
        if expression == "neutral" or not prototypes[label].any() or torch.equal(prototypes[label], neutral):
            continue
        before = _share_read(model, targets, prototypes[label], label)
        if before >= READABLE:
            continue
        aimed = _aimed(model, targets, neutral, prototypes[label].clone(), label)
        after = _share_read(model, targets, aimed, label)
        if after > before:
            prototypes[label] = aimed
        logger.info("Edits read as %s: %.0f %%, %.0f %% before", expression, 100 * after, 100 * before)


def _aimed(
    model: TerGanModel, targets: list[TerGanTarget], neutral: torch.Tensor, start: torch.Tensor, label: int
) -> torch.Tensor:
    """Where `aim`'s steps lead from a prototype `start`, (D,)."""
    furthest = float((start - neutral).norm())
    wanted = start.clone().requires_grad_(True)
    optimizer = torch.optim.Adam([wanted], lr=AIM_RATE * furthest)
    for step in range(AIM_STEPS):
        with torch.enable_grad():
            logits = _read_edits(model, targets[step % len(targets)], wanted)
            loss = F.cross_entropy(logits, torch.full((len(logits),), label, device=logits.device))
            (wanted.grad,) = torch.autograd.grad(loss, wanted)
        optimizer.step()
        with torch.no_grad():
            for centre, reach in ((start, AIM_REACH * furthest), (neutral, furthest)):
                way = wanted - centre
                wanted.copy_(centre + way * (reach / way.norm().clamp(min=reach)))
    return wanted.detach()


def _read_edits(model: TerGanModel, target: TerGanTarget, wanted: torch.Tensor) -> torch.Tensor:
    """Logits of some faces that were given one f(e)."""
    edited = model.synthesize(wanted.expand(len(target.pixel_values), -1), target)
    return model.classify(model.encode_expression(edited))


@torch.no_grad()
def _share_read(model: TerGanModel, targets: list[TerGanTarget], wanted: torch.Tensor, label: int) -> float:
    answers = torch.cat([_read_edits(model, target, wanted).argmax(1) for target in targets])
    return float((answers == label).float().mean())
