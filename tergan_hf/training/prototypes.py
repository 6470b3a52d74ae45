"""One f(e) per label, for editing by label."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional as F
from tqdm.auto import tqdm

from ..data.augmentation import AugmentationConfig, draw_framings
from ..data.framing import chip_size
from ..data.loading import NO_RECIPE
from ..data.sampling import Chips
from ..modeling_tergan import TerGanModel
from .stage1 import augment_photos


EDITS_PER_LABEL = 4  # in a batch
LEARNING_RATE = 0.1  # of f(e)'s standard deviation
STRAY_WEIGHT = 0.6  # of the mean square distance from the start, over f(e)'s variance
READING = AugmentationConfig(scale=0.08, shift=0.04, angle=4, flip=0)  # x̄ is read in a framing of its own


def clear_prototypes(
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


def tune_prototypes(
    model: TerGanModel,
    sets: Sequence[Chips],
    spread: torch.Tensor,
    steps: int,
    augmentation: AugmentationConfig,
    seed: int = 0,
):
    """
    Move the prototypes until edits by label read as their label.

    Means over rendered faces show each expression as rendered faces do; given to photographs they may read as another
    or as none. Here training photos are edited with everything frozen, and the cross-entropy of the classifier on
    f(e)(x̄) is minimised over the prototypes alone: one f(e) per label for everybody, read in changing framings, leaves
    little room to fool the classifier. They may stray from where they start by about f(e)'s own deviation.

    Args:
        model: its prototypes are changed in place.
        sets: of those that stage 2 draws from, photographs are edited where there are any, else rendered faces, each
            set as often as stage 2 draws it.
        spread: (D,) standard deviation of f(e) over the training photos.
        steps: of Adam. 0 leaves the prototypes as they are.
        augmentation: how the photos are framed and lit.
        seed: of what is drawn.
    """
    drawn_from = [chips for chips in sets if chips.has_identities and chips.pair_weight > 0]
    photographs = [(chips, np.flatnonzero(chips.recipes == NO_RECIPE)) for chips in drawn_from]
    used = [(chips, rows) for chips, rows in photographs if len(rows)]
    used = used or [(chips, np.arange(len(chips))) for chips in drawn_from]
    known = torch.nonzero(model.expression_prototypes.abs().sum(1) > 0)[:, 0]
    if not steps or not used or not len(known):
        return
    model.eval()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    model.requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    side, size, device = chip_size(model.config.image_size), model.config.image_size, model.device
    start, spread = model.expression_prototypes.clone(), spread.to(device).clamp(min=1e-6)
    offsets = torch.zeros_like(start, requires_grad=True)
    optimizer = torch.optim.Adam([offsets], lr=LEARNING_RATE)
    labels = known.repeat(EDITS_PER_LABEL)
    shares = torch.tensor([chips.pair_weight for chips, _ in used])
    progress = tqdm(range(steps), desc="prototypes", dynamic_ncols=True, mininterval=5)
    with torch.enable_grad():
        for _ in progress:
            photos = []
            for number in torch.multinomial(shares, len(labels), replacement=True, generator=generator).tolist():
                chips, rows = used[number]
                row = rows[int(torch.randint(len(rows), (), generator=generator))]
                photos.append(chips.pixels(int(row), side))
            targets = augment_photos(torch.stack(photos).to(device), augmentation, size, generator)
            edited = model.synthesize((start + spread * offsets)[labels], targets)
            logits = model.classify(model.encode_expression(_reframe(edited, generator)))
            miss = F.cross_entropy(logits, labels)
            loss = miss + STRAY_WEIGHT * offsets.square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            progress.set_postfix(cross_entropy=f"{miss:.2f}")
    with torch.no_grad():
        model.expression_prototypes.copy_(start + spread * offsets)
    for parameter in trained:
        parameter.requires_grad_(True)


def _reframe(crops: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Cut each crop a little differently: what reads only in one exact framing does not count."""
    framings = draw_framings(len(crops), READING, generator, crops.device)
    grid = F.affine_grid(framings, list(crops.shape), align_corners=False)
    return F.grid_sample(crops, grid, padding_mode="border", align_corners=False)
