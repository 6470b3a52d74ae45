"""Blendshapes that the model reads against those that a face was rendered with."""

import numpy as np
from sklearn.linear_model import LinearRegression

from ..expressions.blendshapes import COLUMN_NAMES, column_units
from ..model.errors_tergan import InvalidInputError, NoFaceFoundError
from ..model.pipeline_tergan import TerGanPipeline
from .metrics import correlate
from .readings import read_faces
from .recognition import folds
from .systems import FROM_PROBABILITIES, MEAN, MODEL


COLUMN = "blendshapes"
LEAST_DEVIATION = 0.05  # standard deviation of a blendshape that moves; of gaze in units of `GAZE_DEGREES`
FEWEST_PHOTOS = 8


def true_blendshapes(photos, names: list[str]) -> np.ndarray:
    """
    The column `blendshapes` in the units of the model: weights, and gaze in degrees.

    Args:
        names: blendshapes to return.

    Returns:
        (N, len(names)); a row is NaN if the photo's blendshapes are not known.

    Raises:
        InvalidInputError: a row has another number of values than `COLUMN_NAMES`, or a name is not one of them.
    """
    unknown = [name for name in names if name not in COLUMN_NAMES]
    if unknown:
        raise InvalidInputError(f"the column '{COLUMN}' has no {', '.join(unknown)}")
    values = np.full((len(photos), len(COLUMN_NAMES)), np.nan)
    for row, own in enumerate(photos[COLUMN]):
        if own is None:
            continue
        if len(own) != len(COLUMN_NAMES):
            raise InvalidInputError(
                f"row {row}: the column '{COLUMN}' must hold {len(COLUMN_NAMES)} values, not {len(own)}"
            )
        values[row] = own
    values *= column_units(COLUMN_NAMES)
    return values[:, [COLUMN_NAMES.index(name) for name in names]]


def measure_blendshapes(pipe: TerGanPipeline, photos, detect: bool, name: str, count: int) -> dict:
    """
    Measure the blendshapes that a model reads.

    Args:
        pipe: a model with `config.blendshape_names`.
        photos: with the column `blendshapes`; photos whose blendshapes are not known are left out.
        detect: find and align the face; `False` takes each photo as an aligned crop.
        name: of the set.
        count: folds of people in which the baseline is fitted.

    Returns:
        as `compare_blendshapes`. Empty if the blendshapes of fewer than `FEWEST_PHOTOS` photos are known, or fewer
        show a face.
    """
    names = list(pipe.model.config.blendshape_names)
    true = true_blendshapes(photos, names)
    known = np.flatnonzero(np.isfinite(true).all(1))
    if len(known) < FEWEST_PHOTOS:
        return {}
    try:
        read = read_faces(pipe, photos.select(known), detect, name, blendshapes=True)
    except NoFaceFoundError:
        return {}
    if len(read.rows) < FEWEST_PHOTOS:
        return {}
    rows = known[read.rows]
    identities = np.array(photos["identity"])[rows]
    # If only one person is named, or nobody, every photo counts as a person of its own.
    groups = identities if len(set(identities)) > 1 else rows
    return compare_blendshapes(true[rows], read.blendshapes, read.probabilities, groups, names, count)


def compare_blendshapes(true, read, probabilities, groups, names: list[str], count: int) -> dict:
    """
    Compare read with true blendshapes, beside two baselines: the mean of each blendshape, and a linear regression from
    the class probabilities to the true blendshapes, fitted on other people of the set.

    Args:
        true, read: (N, K) weights, and gaze in degrees.
        probabilities: (N, labels) of the model's classifier.
        groups: (N,) the person of each photo.
        names: of the K blendshapes.
        count: number of folds.

    Returns:
        `photos`; `moving`, the names whose standard deviation is at least `LEAST_DEVIATION`; `deviation` of each name;
        `systems`: system → `names`: name → `r` (Pearson), `slope` of the regression of the read on the true value,
        and `error`, the mean absolute error; and `r` and `slope`, means over the moving names. `error` and
        `deviation` of gaze are in degrees. r and slope of a name that does not move are `None`, and 0 if the same
        value is read everywhere.
    """
    predicted = np.empty_like(true)
    for train, test in folds(groups, count):
        predicted[test] = LinearRegression().fit(probabilities[train], true[train]).predict(probabilities[test])
    units = np.array(column_units(names))
    deviation = true.std(0)
    moves = deviation >= LEAST_DEVIATION * units
    systems = {MODEL: read, FROM_PROBABILITIES: predicted, MEAN: np.broadcast_to(true.mean(0), true.shape)}
    return {
        "photos": len(true),
        "moving": [name for name, moving in zip(names, moves) if moving],
        "deviation": {name: float(value) for name, value in zip(names, deviation)},
        "systems": {
            system: _compare(true, np.asarray(values, float), names, moves) for system, values in systems.items()
        },
    }


def _compare(true: np.ndarray, read: np.ndarray, names: list[str], moves: np.ndarray) -> dict:
    by_name = {}
    for column, name in enumerate(names):
        r, slope = correlate(true[:, column], read[:, column]) if moves[column] else (None, None)
        error = float(np.abs(read[:, column] - true[:, column]).mean())
        by_name[name] = {"r": r, "slope": slope, "error": error}
    means = {
        key: float(np.mean([row[key] for row in by_name.values() if row[key] is not None])) if moves.any() else None
        for key in ("r", "slope")
    }
    return {**means, "names": by_name}
