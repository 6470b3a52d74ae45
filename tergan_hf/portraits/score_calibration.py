"""Calibrate MediaPipe's blendshape scores on faces whose blendshapes are known."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ..data.ridge_regression import fit_ridge
from ..expressions.blendshapes import COLUMN_NAMES
from ..model.atomic_file_tergan import write_whole
from ..model.blendshapes_tergan import GAZE_NAMES
from .landmarks import Landmarker


SMALL_SIDE = 100  # a photo up to this size is a tight face crop, enlarged and padded for the landmarker
ENLARGED_SIDE, PADDING = 192, 48  # pixels
IS_GAZE = np.isin(COLUMN_NAMES, GAZE_NAMES)
MIN_CORRELATION = 0.5  # a blendshape that is predicted worse stays unknown


@dataclass(frozen=True)
class ScoreCalibration:
    """
    A linear map from MediaPipe's scores to blendshapes in the order of `COLUMN_NAMES`.

    Args:
        weight: (52, 53). bias: (53,).
        correlation: (53,) with the true values, on people the map was not fitted on; NaN if the value never moves.
    """

    weight: np.ndarray
    bias: np.ndarray
    correlation: np.ndarray

    @property
    def reliable(self) -> np.ndarray:
        """(53,) bool, the blendshapes that are predicted well enough."""
        return np.nan_to_num(self.correlation) >= MIN_CORRELATION

    def estimate(self, scores: np.ndarray) -> np.ndarray:
        """Scores (N, 52) → blendshapes (N, 53) float32. NaN for unreliable blendshapes and rows of NaN."""
        values = scores @ self.weight + self.bias
        values = np.where(IS_GAZE, np.clip(values, -1, 1), np.clip(values, 0, 1.2))
        return np.where(self.reliable, values, np.nan).astype(np.float32)

    def save(self, path: Path):
        """Write the map to an npz file."""
        content = io.BytesIO()
        np.savez(content, weight=self.weight, bias=self.bias, correlation=self.correlation)
        write_whole(path, content.getvalue())

    @classmethod
    def load(cls, path: Path) -> "ScoreCalibration":
        """The inverse of `save`."""
        with np.load(path) as stored:
            return cls(stored["weight"], stored["bias"], stored["correlation"])


def fit_calibration(scores: np.ndarray, true: np.ndarray, people: np.ndarray) -> ScoreCalibration:
    """
    Fit the map by ridge regression on all rows. Its correlation is measured by halves: each half of the people is
    predicted from the other.

    Args:
        scores: (N, 52), NaN rows for photos without a face. true: (N, 53). people: (N,) identities.
    """
    seen = np.isfinite(scores).all(1)
    scores, true, people = scores[seen].astype(float), true[seen].astype(float), people[seen]
    names = np.unique(people)
    first = np.isin(people, names[::2])
    predicted = np.zeros_like(true)
    for part in (first, ~first):
        if part.any() and (~part).any():
            weight, bias = fit_ridge(scores[~part], true[~part])
            predicted[part] = scores[part] @ weight + bias
    correlation = [
        np.corrcoef(wanted, values)[0, 1] if wanted.std() > 0.01 and values.std() > 1e-6 else np.nan
        for wanted, values in zip(true.T, predicted.T)
    ]
    weight, bias = fit_ridge(scores, true)
    return ScoreCalibration(weight, bias, np.array(correlation))


def score_photo(image: Image.Image, landmarker: Landmarker) -> np.ndarray:
    """MediaPipe's 52 scores (52,) of an RGB photo, NaN without a face. A small photo is enlarged and padded."""
    pixels = np.asarray(image)
    if max(image.size) <= SMALL_SIDE:
        enlarged = np.asarray(image.resize((ENLARGED_SIDE, ENLARGED_SIDE), Image.Resampling.BICUBIC))
        pixels = np.pad(enlarged, ((PADDING, PADDING), (PADDING, PADDING), (0, 0)), mode="edge")
    found = landmarker.find(pixels)
    return np.full(52, np.nan) if found is None else np.array(list(found[1].values()), float)


def reduce_like(image: Image.Image, margin: float, side: int) -> Image.Image:
    """Cut the aligned face out of a portrait with a margin, as a grey photo of `side` pixels in RGB."""
    width, height = image.size
    left, top = (1 - 1 / margin) / 2 * width, (1 - 1 / margin) / 2 * height
    face = image.resize((side, side), Image.Resampling.BOX, (left, top, width - left, height - top))
    return face.convert("L").convert("RGB")
