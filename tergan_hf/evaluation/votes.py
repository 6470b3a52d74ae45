"""Recognition against people's votes (FER+, Barsoum et al. 2016) and against the labels that a set had before them."""

import numpy as np
from datasets import Dataset

from ..data.sets.ferplus import ANSWERS
from ..model.configuration_tergan import EXPRESSIONS_WITH_NEUTRAL
from ..model.errors_tergan import InvalidInputError
from ..model.pipeline_tergan import TerGanPipeline
from .embeddings import Embeddings
from .held_out import HeldOutSet
from .readings import read_faces
from .recognition import shallow_classifier, summarize


VOTES, DISTRIBUTION, ORIGINAL = "votes", "label_distribution", "original_expression"
NO_LABEL = (None, "")
CLEAR_SHARE = 0.5  # a majority is clear if it has more than this share of all votes
FIT_RATIO = 10  # a classifier is fitted on at most this many training photos for each photo measured


def clear_majorities(photos) -> np.ndarray:
    """
    Which photos have a clear majority, (N,) bool: more than half of all votes are for the label. The votes for
    contempt, unknown and no face count in the total. The code of FER+ (Barsoum et al. 2016) asks for the same share,
    once single votes are removed.

    Args:
        photos: with the columns `votes` and `expression`.

    Raises:
        InvalidInputError: a row has no number of votes for each answer.
    """
    try:
        votes = np.array(photos[VOTES][:], dtype=float).reshape(len(photos), len(ANSWERS))
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"the column '{VOTES}' must hold {len(ANSWERS)} numbers in every row") from error
    answers = [ANSWERS.index(label) if label in ANSWERS else -1 for label in photos["expression"]]
    own = np.where(np.array(answers) >= 0, votes[np.arange(len(photos)), answers], 0)
    return own > CLEAR_SHARE * votes.sum(1)


def measure_votes(photos, embeddings: Embeddings, labels: list[str]) -> dict:
    """
    Measure the model's own classifier against people's votes.

    Args:
        photos: with the columns `votes` and `label_distribution`, as `python -m tergan_hf.data fer2013 --votes` writes
            them.
        labels: the model's, in the order of its scores.

    Returns:
        `clear`, the `summarize` of the photos with a clear majority, with their number `photos`; and, in nats, the
        `cross_entropy` −Σ_l votes_l · log score_l, mean over the photos, beside that of always predicting the mean
        distribution (`constant`) and the least possible, the `entropy` of the votes. The cross-entropy needs a model
        of the seven labels.
    """
    shown, clear = np.array(photos["expression"]), clear_majorities(photos)
    measured: dict = {}
    if clear.any():
        with_face = clear[embeddings.rows]
        scores = embeddings.scores[with_face]
        predicted = np.array(labels)[scores.argmax(1)]
        true = shown[embeddings.rows][with_face]
        measured["clear"] = {
            "photos": int(clear.sum()), **summarize(true, predicted, scores.max(1), labels, shown[clear])
        }  # fmt: skip
    if DISTRIBUTION in photos.column_names and set(labels) == set(EXPRESSIONS_WITH_NEUTRAL):
        votes = np.array(photos[DISTRIBUTION][:], dtype=float)[embeddings.rows]
        votes = votes[:, [EXPRESSIONS_WITH_NEUTRAL.index(label) for label in labels]]
        voted = votes.sum(1) > 0
        measured |= _cross_entropies(votes[voted], embeddings.scores[voted])
    return measured


def _cross_entropies(votes: np.ndarray, scores: np.ndarray) -> dict:
    """Cross-entropies between distributions, both (N, labels), in nats."""

    def cross_entropy(predicted):
        return float(-(votes * np.log(np.clip(predicted, 1e-12, 1))).sum(1).mean())

    return {
        "cross_entropy": cross_entropy(scores),
        "constant": cross_entropy(votes.mean(0, keepdims=True)),
        "entropy": cross_entropy(votes),
    }


def has_original_labels(held_out: HeldOutSet) -> bool:
    """Whether both sides of the split have labels from before the votes, and the training split at least two."""
    counts = [
        len(set(side[ORIGINAL]) - set(NO_LABEL)) if side is not None and ORIGINAL in side.column_names else 0
        for side in (held_out.photos, held_out.training_photos)
    ]
    return counts[0] > 0 and counts[1] > 1


def _labelled(photos: Dataset) -> Dataset:
    """The photos with a label from before the votes."""
    return photos.select([row for row, label in enumerate(photos[ORIGINAL]) if label not in NO_LABEL])


def measure_original_labels(pipe: TerGanPipeline, held_out: HeldOutSet) -> dict:
    """
    Section 4.4 with the labels from before the votes: a logistic regression on the frozen f(e), fitted on the training
    split. It is not weighted by class. f(e) is what the model's own classifier reads, the mean with the mirror image
    if the model reads both.

    Args:
        held_out: a set with `has_original_labels`. Photos without such a label are left out.

    Returns:
        `photos`, the number measured; `fitted_on`, the number of training photos; `rows`: features → `summarize` of
        the held-out photos, for f(e) and for a few grey `pixels`; `own_classifier`, the accuracy of the model's own
        classifier against these labels; and `majority`, that of the most frequent label.
    """
    assert held_out.training_photos is not None  # by `has_original_labels`
    photos, training = _labelled(held_out.photos), _labelled(held_out.training_photos)
    detect, most = held_out.source.align, FIT_RATIO * len(photos)
    if len(training) > most:
        training = training.select(np.linspace(0, len(training) - 1, most).astype(int))
    known = read_faces(pipe, training, detect, f"{held_out.name}, training split")
    tested = read_faces(pipe, photos, detect, held_out.name)
    labels = np.array(training[ORIGINAL])[known.rows]
    shown = np.array(photos[ORIGINAL])
    true, names = shown[tested.rows], sorted(set(shown) | set(labels))
    rows = {}
    for key, (own, others) in {
        "f(e)": (known.expression, tested.expression), "pixels": (known.pixels, tested.pixels)
    }.items():  # fmt: skip
        classifier = shallow_classifier(balanced=False).fit(own, labels)
        scores = classifier.predict_proba(others)
        rows[key] = summarize(true, classifier.classes_[scores.argmax(1)], scores.max(1), names, shown)
    answers = np.array(pipe.labels)[tested.probabilities.argmax(1)]
    return {
        "photos": len(shown),
        "fitted_on": len(known.rows),
        "rows": rows,
        "own_classifier": float(np.sum(answers == true) / len(shown)),
        "majority": float(max(np.mean(shown == label) for label in names)),
    }
