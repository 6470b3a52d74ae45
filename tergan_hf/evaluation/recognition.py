"""Recognition (section 4.4): the model's own classifier, and a shallow classifier on frozen features.

The shallow classifier is fitted and tested on different people in turn.
"""

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
    Measure the model's own classifier.

    Args:
        expressions: true labels of all photos of the set, including those without a detected face.
        labels: the model's, in the order of its scores.

    Returns:
        as `summarize`, and `majority`, the accuracy of always predicting the most frequent label; `photos`; and
        `photos_without_a_face`, which count as wrong.
    """
    shown = np.array(expressions)
    true, best = shown[embeddings.rows], embeddings.scores.argmax(1)
    predicted = np.array(labels)[best]
    return {
        **summarize(true, predicted, embeddings.scores.max(1), labels, shown),
        "majority": float(max(np.mean(shown == label) for label in set(expressions))),
        "photos": len(shown),
        "photos_without_a_face": len(embeddings.without_face),
    }


def summarize(true, predicted, confidences, labels: list[str], shown=None) -> dict:
    """
    Summarise predictions.

    Args:
        true, predicted, confidences: (N,) labels, and the scores of the predicted ones.
        labels: all labels that occur.
        shown: true labels of all photos, also of those without a prediction, which count as wrong. Default: `true`.

    Returns:
        `accuracy`; `recall` by label; `balanced_accuracy`, the mean recall; `calibration_error`; `labels`; and
        `confusion` (labels, labels) of the predictions, whose rows are the true labels.
    """
    matrix = confusion_matrix(list(true), list(predicted), labels)
    counts = {label: int(np.sum((true if shown is None else shown) == label)) for label in labels}
    recall = {label: float(matrix[row, row] / counts[label]) for row, label in enumerate(labels) if counts[label]}
    return {
        "accuracy": float(matrix.trace() / sum(counts.values())),
        "recall": recall,
        "balanced_accuracy": float(np.mean(list(recall.values()))),
        "calibration_error": calibration_error(confidences, np.asarray(true) == np.asarray(predicted)),
        "labels": labels,
        "confusion": matrix.tolist(),
    }


def shallow_classifier(balanced: bool = True):
    """
    Multinomial logistic regression on standardised features. Nothing is tuned.

    Args:
        balanced: weigh all classes equally, whatever their number of photos.
    """
    weights = "balanced" if balanced else None
    return make_pipeline(StandardScaler(), LogisticRegression(class_weight=weights, max_iter=2000))


def folds(groups, count: int):
    """
    (train, test) rows of each fold. No group is on both sides, and the folds are always the same.

    Raises:
        InvalidInputError: there are fewer than two groups.
    """
    count = min(count, len(set(groups)))
    if count < 2:
        raise InvalidInputError("folds need at least two groups")
    splitter = GroupKFold(count, shuffle=True, random_state=0)
    return list(splitter.split(np.zeros(len(groups)), groups=np.asarray(groups)))


def cross_validate(features: np.ndarray, targets, groups, count: int = 8, rows: np.ndarray | None = None) -> dict:
    """
    Cross-validate a shallow classifier on frozen features.

    Args:
        features: (M, D) of the photos in which a face was detected.
        targets: (N,) the class of each photo.
        groups: (N,) the person of each photo; no person is in both the training and the test part of a fold.
        count: number of folds; fewer if there are fewer groups.
        rows: (M,) which photos the features are of; default: all. The others count as wrong.

    Returns:
        `mean` accuracy over the folds, its sample standard `deviation`, the accuracy of each of the `folds`, and
        `recall`, `confusion` and `calibration_error` over all test photos together.
    """
    targets = np.asarray(targets)
    rows = np.arange(len(targets)) if rows is None else rows
    labels = sorted(set(targets.tolist()))
    place = np.full(len(targets), -1)  # of a photo among the features
    place[rows] = np.arange(len(rows))
    predicted, confidences = np.empty_like(targets), np.zeros(len(targets))
    answered, accuracies = np.zeros(len(targets), bool), []
    for train, test in folds(groups, count):
        size, train, test = len(test), train[place[train] >= 0], test[place[test] >= 0]
        classes = set(targets[train].tolist())
        if len(classes) == 1:
            predicted[test], confidences[test] = targets[train][0], 1.0
        elif len(test) and classes:
            classifier = shallow_classifier().fit(features[place[train]], targets[train])
            scores = classifier.predict_proba(features[place[test]])
            predicted[test], confidences[test] = classifier.classes_[scores.argmax(1)], scores.max(1)
        answered[test] = bool(classes)
        accuracies.append(float(np.sum((predicted == targets)[test] & answered[test]) / size))
    summary = summarize(targets[answered], predicted[answered], confidences[answered], labels, targets)
    del summary["accuracy"]
    return {
        "mean": float(np.mean(accuracies)),
        "deviation": float(np.std(accuracies, ddof=1)),
        "folds": accuracies,
        **summary,
    }
