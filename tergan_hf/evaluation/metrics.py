"""Numbers that say how well a model transfers and recognises."""

import numpy as np
import torch


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


HIGHEST_PSNR = 60.0  # dB; rounding to whole grey levels alone leaves 59


def psnr(images: torch.Tensor | np.ndarray, truth: torch.Tensor | np.ndarray) -> torch.Tensor:
    """
    Peak signal-to-noise ratio 10 log10(255² / MSE) in dB, at most `HIGHEST_PSNR`.

    Args:
        images, truth: (B, …) in 0 to 255.

    Returns:
        (B,).
    """
    images, truth = (torch.as_tensor(stack).float() for stack in (images, truth))
    error = (images - truth).square().flatten(1).mean(1)
    return (10 * torch.log10(255**2 / error.clamp(min=1e-9))).clamp(max=HIGHEST_PSNR)


def calibration_error(confidences: np.ndarray, right: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error (Guo et al. 2017): Σ_b share_b · |accuracy_b − confidence_b| over equal bins of the
    confidence in the answer given.

    Args:
        confidences: (N,) in 0 to 1. right: (N,) whether that answer was right.
    """
    return float(sum(share * abs(accuracy - said) for share, said, accuracy in reliability(confidences, right, bins)))


def reliability(confidences: np.ndarray, right: np.ndarray, bins: int = 15) -> list[tuple[float, float, float]]:
    """(share of the answers, mean confidence, accuracy) of each bin that has any."""
    bin_of = np.minimum((np.asarray(confidences) * bins).astype(int), bins - 1)
    groups = [bin_of == number for number in range(bins)]
    return [
        (float(own.mean()), float(confidences[own].mean()), float(right[own].mean())) for own in groups if own.any()
    ]


def progress(generated: np.ndarray, target: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """
    How far x̄ has come on the way from x_t to the truth: ⟨x̄ − x_t, truth − x_t⟩ / ‖truth − x_t‖². 0 is the target,
    1 the truth; a change that has nothing to do with the wanted one is near 0.

    Args:
        generated, target, truth: (B, …) images on any one scale.

    Returns:
        (B,); NaN where target and truth are the same image.
    """
    generated, target, truth = (
        np.asarray(images, np.float32).reshape(len(images), -1) for images in (generated, target, truth)
    )
    way = truth - target
    length = (way**2).sum(1)
    with np.errstate(invalid="ignore"):
        return ((generated - target) * way).sum(1) / np.where(length > 0, length, np.nan)
