"""Numbers that say how well a model transfers and recognises."""

import numpy as np
import torch


def expression_gain(
    generated: torch.Tensor | np.ndarray, target: torch.Tensor | np.ndarray, truth: torch.Tensor | np.ndarray
) -> torch.Tensor:
    """
    1 − Σ|x̄ − truth| / Σ|x_t − truth| for each pair: 1 is perfect, 0 is what handing x_t back gets, negative is worse
    than doing nothing.

    Args:
        generated, target, truth: (B, …) images on any one scale.

    Returns:
        (B,); NaN where target and truth are the same image.
    """
    generated, target, truth = (torch.as_tensor(images).float() for images in (generated, target, truth))
    miss = (generated - truth).abs().flatten(1).sum(1)
    nothing = (target - truth).abs().flatten(1).sum(1)
    return torch.where(nothing > 0, 1 - miss / nothing, torch.nan)


def confusion_matrix(true: list[str], answered: list[str], labels: list[str]) -> np.ndarray:
    """(N, N) counts, rows the true labels, columns the answers."""
    index = {label: position for position, label in enumerate(labels)}
    matrix = np.zeros((len(labels), len(labels)), dtype=int)
    for right, answer in zip(true, answered, strict=True):
        matrix[index[right], index[answer]] += 1
    return matrix


def accuracy(matrix: np.ndarray) -> float:
    """Share of right answers in a confusion matrix."""
    return float(matrix.trace() / matrix.sum())


def recall_per_class(matrix: np.ndarray, labels: list[str]) -> dict[str, float]:
    """Share of right answers among the photos of each label that occurs."""
    return {
        label: float(matrix[row, row] / matrix[row].sum()) for row, label in enumerate(labels) if matrix[row].sum()
    }
