"""Plots of the report. `sheets` draws its pictures."""

from pathlib import Path

import matplotlib
import numpy as np


matplotlib.use("Agg")
from matplotlib import pyplot as plt

from .metrics import INTENSITIES


MOST_LEGEND_ENTRIES = 10  # a plot with more colours has no legend


def plot_recognition(recognition: dict, bins: list[tuple[float, float, float]], path: Path):
    """
    Plot the confusion matrix, in percent of each row, and the reliability of the scores.

    Args:
        recognition: result of `measure_recognition`.
        bins: result of `metrics.reliability`.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), width_ratios=(1.2, 1), layout="constrained")
    _draw_confusion(left, recognition, f"accuracy {recognition['accuracy']:.1%}")
    bin_shares, confidence, accuracy = (np.array(values) for values in zip(*bins))
    right.plot([0, 1], [0, 1], color="grey", linewidth=1, linestyle="--", label="perfectly calibrated")
    right.plot(confidence, accuracy, color="tab:blue", linewidth=1)
    size = 20 + 600 * bin_shares
    right.scatter(confidence, accuracy, s=size, color="tab:blue", alpha=0.6, label="size: share of predictions")
    right.set(xlabel="score of the predicted label", ylabel="accuracy", xlim=(0, 1.03), ylim=(0, 1.03))
    right.set_title(f"expected calibration error {recognition['calibration_error']:.3f}")
    right.legend(loc="upper left")
    _save(figure, path)


def plot_confusions(rows: dict[str, dict], path: Path):
    """
    Plot several confusion matrices, in percent of each row.

    Args:
        rows: title → a dictionary with `labels`, `recall` and `confusion` of `recognition.summarize`.
    """
    columns = min(3, len(rows))
    lines = -(-len(rows) // columns)
    figure, axes = plt.subplots(
        lines, columns, figsize=(5.2 * columns, 4.4 * lines), squeeze=False, layout="constrained"
    )
    for axis in axes.flat[len(rows) :]:
        axis.set_axis_off()
    for axis, (title, summary) in zip(axes.flat, rows.items()):
        _draw_confusion(axis, summary, f"{title}\nbalanced accuracy {summary['balanced_accuracy']:.1%}")
    _save(figure, path)


def _draw_confusion(axis, summary: dict, title: str):
    """Draw the confusion matrix of a `recognition.summarize` in percent of each row."""
    labels = [label for label in summary["labels"] if label in summary["recall"]]
    counts = np.array(summary["confusion"])[[summary["labels"].index(label) for label in labels]]
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axis.set_xticks(range(len(summary["labels"])), summary["labels"], rotation=35, ha="right")
    axis.set_yticks(range(len(labels)), [f"{label} ({count})" for label, count in zip(labels, counts.sum(1))])
    axis.set(xlabel="predicted", ylabel="true (photos)", title=title)
    for row, column in np.ndindex(shares.shape):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axis.text(column, row, f"{100 * shares[row, column]:.0f}", ha="center", va="center", color=colour, fontsize=9)


def plot_tsne(panels: dict[str, tuple[np.ndarray, np.ndarray]], expressions, identities, path: Path):
    """
    Plot each code twice: coloured by expression on the left, by identity on the right.

    Args:
        panels: title → rows used (M,) and their points (M, 2).
        expressions, identities: (N,) of all rows.
    """
    figure, axes = plt.subplots(len(panels), 2, figsize=(10.5, 4.6 * len(panels)), squeeze=False, layout="constrained")
    for line, (title, (rows, points)) in zip(axes, panels.items()):
        for axis, factor, values in zip(line, ("expression", "identity"), (expressions, identities)):
            values = np.asarray(values)[rows]
            names = sorted(set(values.tolist()))
            colours = plt.get_cmap("tab10" if len(names) <= 10 else "hsv")
            for number, name in enumerate(names):
                colour = colours(number % 10 if len(names) <= 10 else number / len(names))
                own = points[values == name]
                axis.scatter(*own.T, s=9, color=colour, label=name)
            axis.set_title(f"{title}, coloured by {factor}")
            axis.set_xticks([])
            axis.set_yticks([])
            if len(names) <= MOST_LEGEND_ENTRIES:
                axis.legend(fontsize=8, loc="best", markerscale=1.5)
    _save(figure, path)


def plot_intensity(curves: dict[str, list[float]], path: Path):
    """Plot the progress from the target (0) to the truth (1) at each intensity, one line per system."""
    figure, axis = plt.subplots(figsize=(5.5, 4.2), layout="constrained")
    axis.plot([0, 1], [0, 1], color="grey", linewidth=1, linestyle="--", label="ideal")
    for name, values in curves.items():
        axis.plot(INTENSITIES, values, marker="o", label=name)
    lowest = min(-0.1, *map(min, curves.values()))
    axis.set(xlabel="intensity α", ylabel="progress from target to truth", ylim=(lowest, 1.05))
    axis.legend()
    _save(figure, path)


def _save(figure, path: Path):
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
