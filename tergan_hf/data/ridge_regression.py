"""Ridge regression with an intercept."""

import numpy as np


RIDGE = 1e-3  # of the mean variance of the inputs


def fit_ridge(inputs: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    Fit wanted ≈ inputs @ weight + bias with a penalty of `RIDGE` on the weight (Hoerl & Kennard 1970).

    Args:
        inputs: (N, D). wanted: (N,) or (N, K).

    Returns:
        weight (D,) or (D, K), and bias () or (K,).
    """
    mean, middle = inputs.mean(0), wanted.mean(0)
    centred = inputs - mean
    covariance = centred.T @ centred / len(inputs)
    penalty = RIDGE * np.diag(covariance).mean() * np.eye(len(covariance))
    weight = np.linalg.solve(covariance + penalty, centred.T @ (wanted - middle) / len(inputs))
    return weight, middle - mean @ weight
