"""Recognition (section 4.4): the model's own classifier on photos, and a shallow classifier on frozen features, fitted
and tested on different people in turn."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ..model.errors_tergan import InvalidInputError
from .embeddings import Embeddings
from .metrics import calibration_error, confusion_matrix


def measure_recognition(embeddings: Embeddings, expressions: list[str], labels: list[str]) -> dict:
    """
    The model's own classifier through the whole pipeline.

    Args:
        expressions: of every photo of the set, those without a found face among them.
        labels: of the model, in the order of the scores.

    Returns:
        accuracy and recall (a photo without a found face counts as wrong), confusion matrix (N, N), rows the true
        labels, of the photos with a face, expected calibration error, and what always naming the most frequent label
        would get, `majority`.
    """
    shown = np.array(expressions)
    true, best = shown[embeddings.rows], embeddings.scores.argmax(1)
    answers = np.array(labels)[best]
    return {
        **_summary(true, answers, embeddings.scores.max(1), labels, shown),
        "majority": float(max(np.mean(shown == label) for label in set(expressions))),
        "photos": len(shown),
        "photos_without_a_face": len(embeddings.unseen),
    }


def _summary(true, answers, confidences, labels: list[str], shown=None) -> dict:
    """Of answers to photos with these true labels; `shown` also counts photos nobody answered."""
    matrix = confusion_matrix(list(true), list(answers), labels)
    asked = {label: int(np.sum((true if shown is None else shown) == label)) for label in labels}
    recall = {label: float(matrix[row, row] / asked[label]) for row, label in enumerate(labels) if asked[label]}
    return {
        "accuracy": float(matrix.trace() / sum(asked.values())),
        "recall": recall,
        "calibration_error": calibration_error(confidences, np.asarray(true) == np.asarray(answers)),
        "labels": labels,
        "confusion": matrix.tolist(),
    }


def shallow_classifier():
    """Standardised features into multinomial logistic regression, classes weighted equally. Nothing of it is tuned."""
    return make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=2000))


def folds(groups, count: int):
    """(train, test) rows of each fold; no group is on both sides. Always the same.

    Raises:
        InvalidInputError: fewer than two groups.
    """
    count = min(count, len(set(groups)))
    if count < 2:
        raise InvalidInputError("folds need at least two groups")
    splitter = GroupKFold(count, shuffle=True, random_state=0)
    return list(splitter.split(np.zeros(len(groups)), groups=np.asarray(groups)))


def cross_validate(features: np.ndarray, targets, groups, count: int = 8) -> dict:
    """
    A shallow classifier on frozen features, in folds that share no group.

    Args:
        features: (N, D). targets: (N,) what to tell. groups: (N,) who it is, so that a person is on one side only.
        count: folds; fewer where there are fewer groups.

    Returns:
        mean accuracy over the folds, its sample standard deviation, each fold's, and over all test photos together
        recall, confusion and expected calibration error.
    """
    targets = np.asarray(targets)
    labels = sorted(set(targets.tolist()))
    answers, confidences, accuracies = np.empty_like(targets), np.zeros(len(targets)), []
    for train, test in folds(groups, count):
        if len(set(targets[train].tolist())) < 2:
            answers[test], confidences[test] = targets[train][0], 1.0
        else:
            classifier = shallow_classifier().fit(features[train], targets[train])
            scores = classifier.predict_proba(features[test])
            answers[test], confidences[test] = classifier.classes_[scores.argmax(1)], scores.max(1)
        accuracies.append(float(np.mean(answers[test] == targets[test])))
    summary = _summary(targets, answers, confidences, labels)
    del summary["accuracy"]
    return {
        "mean": float(np.mean(accuracies)),
        "deviation": float(np.std(accuracies, ddof=1)),
        "folds": accuracies,
        **summary,
    }
