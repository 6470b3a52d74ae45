"""Fit and calibrate the shallow classifier on frozen f(e) (section 4.4), and compute the prototypes of the labels."""

import logging
from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional as F

from ..data.photo_set import PhotoSet, aligned_crops
from ..data.sampling import class_shares
from ..model.encoder_tergan import TerGanEncoder
from ..model.errors_tergan import InvalidInputError
from ..model.modeling_tergan import TerGanModel
from .blendshape_fitting import fit_blendshape_layers
from .embedding import choose_rows, embed_expressions, spread_rows
from .prototypes import limit_strength, mean_prototypes, strengthen
from .saving import round_to_file_precision


logger = logging.getLogger(__name__)

EDITED_PHOTOS = 64  # to find how strong a prototype has to be
MEASURED_PHOTOS = 256  # of a set, in batches of 64, for the ranges of activations
MONITORED_PHOTOS = 600  # to fit a classifier on while stage 2 runs
# Of the Gaussian prior on the weights of the classifier: with few photos they stay small, with many it hardly counts.
# Of 0.006, 1, 3, 10 and 30, 3 has the best leave-one-out likelihood on 30 photos of three labels.
PRIOR = 3.0


def quantize(model: TerGanModel, sets: Sequence[PhotoSet], activation_ranges: torch.Tensor | None = None):
    """Quantise G_es if the configuration asks for it. Photos of every set give the ranges of its activations, unless
    they are known."""
    if not model.config.expression_int8:
        return
    encoder = model.expression_encoder
    device = encoder.embedding.weight.device

    def batches(photos: PhotoSet):
        for rows in torch.from_numpy(choose_rows(np.arange(len(photos)), MEASURED_PHOTOS)).split(64):
            yield aligned_crops(photos, rows.numpy(), encoder.image_size, device)

    model.quantize(*(batches(photos) for photos in sets))
    if activation_ranges is not None:
        encoder.activation_ranges.copy_(activation_ranges)


def fit_classifier(embeddings: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor, num_labels: int):
    """
    Multinomial logistic regression on frozen features, by L-BFGS: the most likely weights under a Gaussian prior. The
    prior keeps a fit to few photos from learning them by heart.

    Args:
        embeddings: (N, D). labels: (N,). weights: (N,) of each sample, summing to 1.

    Returns:
        weight (num_labels, D) and bias (num_labels,).
    """
    mean, std = embeddings.mean(0), embeddings.std(0).clamp(min=1e-6)
    layer = torch.nn.Linear(embeddings.shape[1], num_labels, device=embeddings.device)
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    features = (embeddings - mean) / std
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = (weights * F.cross_entropy(layer(features), labels, reduction="none")).sum()
        loss = loss + (1e-4 + PRIOR / len(labels)) * layer.weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    weight = layer.weight.detach() / std
    return weight, layer.bias.detach() - weight @ mean


def balanced_weights(labels: list[np.ndarray], set_weights: list[float], balance: float) -> list[np.ndarray]:
    """The probability (N,) with which stage 1 draws each photo of each set, by `class_shares`. All sets together sum
    to 1."""
    shares = class_shares(labels, set_weights, balance)
    return [(row / np.bincount(own, minlength=len(row)).clip(1))[own] for row, own in zip(shares, labels)]


def fit_temperature(logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> float:
    """
    The temperature T between 1/8 and 8 that maximises the likelihood of softmax(logits / T) (Guo et al. 2017), times a
    log-normal prior around 1: a few photos that are all read correctly do not make the scores extreme.

    Args:
        logits: (N, classes), of photos that the classifier was not fitted on. labels: (N,). weights: (N,), summing to
        1.
    """
    candidates = torch.logspace(-3, 3, 241, base=2.0)
    losses = [(weights * F.cross_entropy(logits / t, labels, reduction="none")).sum() for t in candidates]
    prior = candidates.log().square() / (2 * len(labels))
    return float(candidates[(torch.stack(losses) + prior).argmin()])


@torch.no_grad()
def calibrate(model: TerGanModel, sets: list[PhotoSet]):
    """Divide the classifier by the temperature that fits the validation photos, each set by its weight. Sets of
    photographs are preferred to sets of renderings: users' photos are photographs, and scores differ between both."""
    sets = [photos for photos in sets if len(photos.labelled_rows)]
    sets = [photos for photos in sets if photos.are_photographs] or sets
    if not sets:
        return
    logits, labels = zip(*(_read_labelled(model, photos) for photos in sets))
    # A set that stage 1 never draws from counts only if there is no other.
    shares = [photos.weight for photos in sets] if any(photos.weight for photos in sets) else [1.0] * len(sets)
    weights = [torch.full((len(own),), share / len(own)) for share, own in zip(shares, labels)]
    weights = torch.cat(weights) / sum(shares)
    temperature = fit_temperature(torch.cat(logits).cpu(), torch.cat(labels), weights)
    logger.info("Temperature of the scores: %.2f", temperature)
    for parameter in model.classifier.parameters():
        parameter.div_(temperature)


def _read_labelled(model: TerGanModel, photos: PhotoSet) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (N, classes) and labels (N,) of the labelled photos of a set, read as users' photos are."""
    rows = choose_rows(photos.labelled_rows)
    views = 2 if model.config.mirror_recognition else 1
    read = embed_expressions(model.expression_encoder, photos, rows, mirrored=views == 2)
    logits = model.classify(read.unflatten(0, (-1, views)).mean(1))
    return logits, torch.from_numpy(photos.expressions[rows])


@torch.no_grad()
def count_correct(model: TerGanModel, photos: PhotoSet) -> tuple[int, int]:
    """How many labelled photos of a set the finished model reads correctly, and how many there are."""
    logits, labels = _read_labelled(model, photos)
    return int((logits.argmax(1).cpu() == labels).sum()), len(labels)


def neutral_crops(model: TerGanModel, sets: Sequence[PhotoSet]) -> torch.Tensor:
    """About `EDITED_PHOTOS` crops (N, C, S, S) of neutral faces, evenly from the sets with identities. Sets of
    photographs are preferred to sets of renderings."""
    config = model.config
    neutral = [index for index, label in enumerate(config.expressions) if label == "neutral"]
    found = [
        (photos, np.flatnonzero(np.isin(photos.expressions, neutral))) for photos in sets if photos.has_identities
    ]
    found = [(photos, rows) for photos, rows in found if len(rows)]
    found = [(photos, rows) for photos, rows in found if photos.are_photographs] or found
    most = EDITED_PHOTOS // max(1, len(found))
    crops = [torch.zeros(0, config.num_channels, config.image_size, config.image_size, device=model.device)]
    for photos, rows in found:
        chosen = spread_rows(rows, most)
        crops.append(aligned_crops(photos, chosen, config.image_size, model.device))
    return torch.cat(crops)


def fit_and_calibrate(
    model: TerGanModel,
    sets: list[PhotoSet],
    class_balance: float = 1.0,
    validation_sets: Sequence[PhotoSet] = (),
    classifier: torch.nn.Linear | None = None,
    fit_blendshapes: bool = True,
    activation_ranges: torch.Tensor | None = None,
) -> TerGanModel:
    """
    Fit classifier, blendshapes and prototypes on the training photos, and the temperature of the classifier on the
    validation photos.

    The prototype of a class comes from the sets with identities, which the decoder has learnt from, or from the others
    if those have no photo of the class. `prototypes.limit_strength` and `prototypes.strengthen` set its strength. All
    weights are first rounded to what `save_model` writes, so that everything fits the network that is loaded later.

    Args:
        classifier: a classifier on the f(e) of this G_es to keep instead of fitting one. Stage 1's has seen augmented
            photos; a fit to photos without augmentation repeats the labels that were learnt by heart.
        fit_blendshapes: `False` keeps the model's `blendshape_regressor`, and fits `blendshape_directions` alone.
        activation_ranges: of G_es, if it is that of quantised weights. A few photos would give it others.

    Raises:
        InvalidInputError: no photo has a label.
    """
    model.eval()
    round_to_file_precision(model)
    quantize(model, sets, activation_ranges)
    fit_blendshape_layers(model, sets, regressor=fit_blendshapes)
    sets = [photos for photos in sets if len(photos.labelled_rows)]
    if not sets:
        raise InvalidInputError("no photo has a label of the model's expressions: nothing to fit the classifier on")
    num_labels = model.config.num_labels
    rows = [choose_rows(photos.labelled_rows) for photos in sets]
    embeddings, labels = _embed_labelled(model.expression_encoder, sets, rows)
    if classifier is None:
        weight, bias = _fit_balanced(embeddings, labels, sets, rows, class_balance, num_labels)
    else:
        weight, bias = classifier.weight, classifier.bias
    with torch.no_grad():
        model.classifier.weight.copy_(weight)
        model.classifier.bias.copy_(bias)
        found = model.expression_prototypes.clone()
        for decoded in (False, True):
            parts = [number for number, photos in enumerate(sets) if photos.has_identities == decoded]
            if parts:
                known = torch.cat([embeddings[number] for number in parts])
                known_labels = torch.cat([labels[number] for number in parts])
                clear = torch.cat([_clear_rows(sets[number], rows[number]) for number in parts]).to(model.device)
                means = mean_prototypes(known, known_labels, model.classify(known), clear, num_labels)
                present = torch.bincount(known_labels, minlength=num_labels) > 0
                found = torch.where(present[:, None], means, found)
        model.expression_prototypes.copy_(limit_strength(found, model.config.expressions))
        strengthen(model, neutral_crops(model, sets))
    if validation_sets:
        calibrate(model, validation_sets)
    return model


def fit_head(
    encoder: TerGanEncoder, sets: Sequence[PhotoSet], num_labels: int, class_balance: float = 1.0,
    most: int = MONITORED_PHOTOS,
) -> torch.nn.Linear:  # fmt: skip
    """
    Fit the shallow classifier on f(e) of a G_es that is being trained, to measure it on the way.

    Args:
        most: number of training photos, evenly from the sets with labels.

    Raises:
        InvalidInputError: no photo has a label.
    """
    sets = [photos for photos in sets if len(photos.labelled_rows)]
    if not sets:
        raise InvalidInputError("no photo has a label of the model's expressions: nothing to fit the classifier on")
    rows = [choose_rows(photos.labelled_rows, max(num_labels, most // len(sets))) for photos in sets]
    embeddings, labels = _embed_labelled(encoder, sets, rows)
    weight, bias = _fit_balanced(embeddings, labels, sets, rows, class_balance, num_labels)
    head = torch.nn.Linear(weight.shape[1], num_labels, device=weight.device)
    head.load_state_dict({"weight": weight, "bias": bias})
    return head


def _embed_labelled(
    encoder: TerGanEncoder, sets: Sequence[PhotoSet], rows: list[np.ndarray]
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """For each set, f(e) (2 · rows, D) and the classes (2 · rows,) of photos and their mirror images."""
    embeddings = [embed_expressions(encoder, photos, chosen, mirrored=True) for photos, chosen in zip(sets, rows)]
    labels = [
        torch.from_numpy(photos.expressions[chosen]).repeat_interleave(2).to(own.device)
        for photos, chosen, own in zip(sets, rows, embeddings)
    ]
    return embeddings, labels


def _fit_balanced(
    embeddings: list[torch.Tensor], labels: list[torch.Tensor], sets: Sequence[PhotoSet], rows: list[np.ndarray],
    class_balance: float, num_labels: int,
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """`fit_classifier` on what `_embed_labelled` returns, with stage 1's weights of the photos."""
    weights = [
        torch.from_numpy(column).float().repeat_interleave(2).to(own.device) / 2
        for column, own in zip(
            balanced_weights(
                [photos.expressions[chosen] for photos, chosen in zip(sets, rows)],
                [photos.weight for photos in sets],
                class_balance,
            ),
            embeddings,
        )
    ]
    return fit_classifier(torch.cat(embeddings), torch.cat(labels), torch.cat(weights), num_labels)


def _clear_rows(photos: PhotoSet, rows: np.ndarray) -> torch.Tensor:
    """Which photos show their expression clearly, (2 · rows,) bool, for photos and their mirror images."""
    clear = np.zeros(len(rows), bool) if photos.clear is None else photos.clear[rows]
    return torch.from_numpy(clear).repeat_interleave(2)
