"""Metrics of transfer and recognition."""

import numpy as np
import torch


BINS = 15  # of confidences
HIGHEST_PSNR = 60.0  # dB; rounding to whole grey levels alone gives 59
INTENSITIES = (0.0, 0.25, 0.5, 0.75, 1.0)  # at which `progress` is measured


def confusion_matrix(true: list[str], predicted: list[str], labels: list[str]) -> np.ndarray:
    """Counts (N, N) of N labels. Rows are the true labels, columns the predicted ones."""
    index = {label: position for position, label in enumerate(labels)}
    matrix = np.zeros((len(labels), len(labels)), dtype=int)
    for truth, prediction in zip(true, predicted, strict=True):
        matrix[index[truth], index[prediction]] += 1
    return matrix


def correlate(true: np.ndarray, read: np.ndarray) -> tuple[float, float]:
    """Pearson's r of two series (N,), and the slope of the regression of `read` on `true`. Both are 0 if one of the
    series is constant."""
    deviations = true.std(), read.std()
    if min(deviations) < 1e-9:
        return 0.0, 0.0
    covariance = float(((true - true.mean()) * (read - read.mean())).mean())
    return covariance / float(deviations[0] * deviations[1]), covariance / float(deviations[0] ** 2)


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


def calibration_error(confidences: np.ndarray, correct: np.ndarray) -> float:
    """
    Expected calibration error (Guo et al. 2017), Σ_b share_b · |accuracy_b − confidence_b| over `BINS` equal bins.

    Args:
        confidences: (N,) score of the predicted label, in 0 to 1.
        correct: (N,) bool.
    """
    filled = reliability(confidences, correct)
    return float(sum(share * abs(accuracy - confidence) for share, confidence, accuracy in filled))


def reliability(confidences: np.ndarray, correct: np.ndarray) -> list[tuple[float, float, float]]:
    """(share of the predictions, mean confidence, accuracy) of each bin that is not empty."""
    bin_of = np.minimum((np.asarray(confidences) * BINS).astype(int), BINS - 1)
    members = [bin_of == number for number in range(BINS)]
    return [
        (float(own.mean()), float(confidences[own].mean()), float(correct[own].mean())) for own in members if own.any()
    ]


def progress(generated: np.ndarray, target: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """
    Progress of x̄ from x_t to the truth, ⟨x̄ − x_t, truth − x_t⟩ / ‖truth − x_t‖².

    0 is the target and 1 the truth. A change unrelated to the true one is near 0.

    Args:
        generated, target, truth: (B, …) images on the same scale.

    Returns:
        (B,); NaN if target and truth are the same image.
    """
    generated, target, truth = (
        np.asarray(images, np.float32).reshape(len(images), -1) for images in (generated, target, truth)
    )
    change = truth - target
    length = (change**2).sum(1)
    with np.errstate(invalid="ignore"):
        return ((generated - target) * change).sum(1) / np.where(length > 0, length, np.nan)
