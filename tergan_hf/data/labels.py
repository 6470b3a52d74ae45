"""Numbers for the labels of a set: classes, votes, second labels and blendshapes."""

import numpy as np
from datasets import Dataset

from ..expressions.blendshapes import COLUMN_NAMES
from ..expressions.sampling import OTHER
from ..model.configuration_tergan import EXPRESSIONS_WITH_NEUTRAL
from ..model.errors_tergan import InvalidInputError


UNLABELLED = -1


def class_indices(labels: list[str], expressions: list[str], name: str) -> np.ndarray:
    """
    The class of each label, (N,). An empty label and `other`, unless it is a class, are `UNLABELLED`.

    Args:
        expressions: labels in the order of the classes.
        name: name of the set, for the message.

    Raises:
        InvalidInputError: a label is not in `expressions`.
    """
    class_of = {"": UNLABELLED, OTHER: UNLABELLED} | {label: index for index, label in enumerate(expressions)}
    unknown = sorted(set(labels) - set(class_of))
    if unknown:
        raise InvalidInputError(
            f"{name}: unknown expressions {unknown}; the model has {list(expressions)}. Add them to "
            "`model.expressions` in the configuration, or remove their photos from the set"
        )
    return np.array([class_of[label] for label in labels])


def label_distributions(photos: Dataset, expressions: list[str], name: str) -> np.ndarray | None:
    """
    The column `label_distribution` as (N, classes) float32, or `None` without it or if `expressions` lacks one of its
    classes.

    Raises:
        InvalidInputError: a row has not one share for each of `EXPRESSIONS_WITH_NEUTRAL`.
    """
    if "label_distribution" not in photos.column_names or not set(EXPRESSIONS_WITH_NEUTRAL) <= set(expressions):
        return None
    shares = _matrix(photos, "label_distribution", len(EXPRESSIONS_WITH_NEUTRAL), name)
    distributions = np.zeros((len(shares), len(expressions)), np.float32)
    distributions[:, [expressions.index(label) for label in EXPRESSIONS_WITH_NEUTRAL]] = shares
    return distributions


def original_expressions(photos: Dataset, expressions: list[str]) -> np.ndarray | None:
    """The classes (N,) of the column `original_expression`, `UNLABELLED` for other labels, or `None` without it."""
    if "original_expression" not in photos.column_names:
        return None
    class_of = {label: index for index, label in enumerate(expressions)}
    return np.array([class_of.get(label, UNLABELLED) for label in photos["original_expression"]])


def blendshape_values(photos: Dataset, name: str) -> np.ndarray | None:
    """
    The column `blendshapes` as (N, K) float32 in the order of `COLUMN_NAMES`, or `None` without it.

    Raises:
        InvalidInputError: a row has another number of values.
    """
    if "blendshapes" not in photos.column_names:
        return None
    return _matrix(photos, "blendshapes", len(COLUMN_NAMES), name)


def _matrix(photos: Dataset, column: str, width: int, name: str) -> np.ndarray:
    rows = photos[column][:]
    if any(row is None or len(row) != width for row in rows):
        wrong = next(0 if row is None else len(row) for row in rows if row is None or len(row) != width)
        raise InvalidInputError(f"{name}: a row of `{column}` has {wrong} values, not {width}; build the set again")
    return np.array(rows, dtype=np.float32).reshape(len(rows), width)
