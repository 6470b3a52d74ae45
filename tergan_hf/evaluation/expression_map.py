"""The expression map: the plane through f(e) on which the training photos spread most.

It is stored beside the weights as `expression_map.safetensors`. The app draws it, and every point of it has an f(e).
"""

import json
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ..model.atomic_file_tergan import write_whole
from ..model.configuration_tergan import TerGanConfig
from ..model.errors_tergan import InvalidInputError


logger = logging.getLogger(__name__)

MAX_PHOTOS = 100_000
FILE_NAME = "expression_map.safetensors"
_TENSORS = ("embeddings", "labels", "mean", "axes")
NEIGHBOURHOOD = 0.08  # of the map's width; standard deviation of the weights of the photos around a point


@dataclass
class ExpressionMap:
    """
    Training photos on a plane.

    Args:
        embeddings: (N, D) f(e) of the photos.
        labels: (N,) index of each photo's expression.
        expressions: the labels.
        mean: (D,).
        axes: (2, D), orthonormal. The point of an f(e) is axes · (f(e) − mean).
    """

    embeddings: np.ndarray
    labels: np.ndarray
    expressions: list[str]
    mean: np.ndarray
    axes: np.ndarray

    @classmethod
    def fit(cls, embeddings: np.ndarray, labels: np.ndarray, expressions: list[str]) -> "ExpressionMap":
        """
        Fit the first two principal components of f(e). Every expression has the same weight, whatever its number of
        photos.

        Raises:
            InvalidInputError: there are fewer than three photos, or they do not span a plane.
        """
        embeddings, labels = np.asarray(embeddings, np.float32), np.asarray(labels, np.int64)
        if len(embeddings) < 3:
            raise InvalidInputError(f"a map needs at least three photos, got {len(embeddings)}")
        counts = np.bincount(labels, minlength=len(expressions))
        weights = 1 / counts[labels]
        weights = (weights / weights.sum())[:, None]
        mean = (weights * embeddings).sum(0)
        _, spread, axes = np.linalg.svd(np.sqrt(weights) * (embeddings - mean), full_matrices=False)
        if spread[1] < 1e-6:
            raise InvalidInputError("the photos' f(e) lie on a line and span no plane: use photos of more expressions")
        # The sign of a component is arbitrary. Fix it, so that the map does not flip from run to run.
        axes = axes[:2] * np.sign(axes[:2][np.arange(2), np.abs(axes[:2]).argmax(1)])[:, None]
        return cls(embeddings, labels, list(expressions), mean, np.ascontiguousarray(axes))

    @property
    def points(self) -> np.ndarray:
        """The points of the photos, (N, 2)."""
        return self.locate(self.embeddings)

    def locate(self, embeddings: np.ndarray) -> np.ndarray:
        """Project f(e) (..., D) to points (..., 2)."""
        return (np.asarray(embeddings, np.float32) - self.mean) @ self.axes.T

    def expression_at(self, point) -> np.ndarray:
        """
        The f(e) of a point of the map.

        On the plane it is the point itself. Across the plane it is the weighted mean of the training photos around the
        point, so that the f(e) resembles theirs. `locate` maps it back to the same point.

        Args:
            point: (2,).

        Returns:
            f(e), (D,).
        """
        point = np.asarray(point, np.float32)
        on_plane = self.mean + point @ self.axes
        points = self.points
        across = self.embeddings - (self.mean + points @ self.axes)
        deviation = NEIGHBOURHOOD * float(np.ptp(points, axis=0).max())
        distance = ((points - point) ** 2).sum(1)
        # Relative to the nearest photo, so that the weights do not vanish far outside the photos.
        weights = np.exp((distance.min() - distance) / (2 * deviation**2))
        return on_plane + weights @ across / weights.sum()

    def save(self, folder: str | Path) -> Path:
        """Write the map beside the weights and return the file's path."""
        path = Path(folder) / FILE_NAME
        tensors: dict[str, np.ndarray] = {
            "embeddings": self.embeddings.astype(np.float16),
            "labels": self.labels.astype(np.int64),
            "mean": self.mean.astype(np.float32),
            "axes": self.axes.astype(np.float32),
        }
        write_whole(path, save(tensors, metadata={"expressions": json.dumps(self.expressions)}))
        return path

    @classmethod
    def from_pretrained(cls, model: str | Path, config: TerGanConfig | None = None, **found) -> "ExpressionMap | None":
        """
        Load the map of a model.

        Args:
            model: folder or Hub id.
            config: of the model; a map that does not fit it counts as unreadable.
            found: `revision`, `token` and `cache_dir` for the Hub, as in huggingface_hub.

        Returns:
            `None` if the model has no map, or an unreadable one, which is logged.
        """
        path = Path(model) / FILE_NAME
        if not Path(model).is_dir():
            try:
                path = Path(hf_hub_download(str(model), FILE_NAME, **found))
            except (EntryNotFoundError, LocalEntryNotFoundError, HFValidationError, OSError):
                return None
        if not path.is_file():
            return None
        try:
            with safe_open(path, "numpy") as file:
                _check_shapes({name: file.get_slice(name).get_shape() for name in file.keys()}, config)  # noqa: SIM118
                tensors = {name: file.get_tensor(name) for name in _TENSORS}
                expressions = json.loads(file.metadata()["expressions"])
            _check_values(tensors, expressions, config)
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            logger.warning("%s cannot be used: %s", path, error)
            return None
        floats = {name: tensors[name].astype(np.float32) for name in ("embeddings", "mean", "axes")}
        return cls(**floats, labels=tensors["labels"], expressions=expressions)


def _check_shapes(shapes: dict[str, list[int]], config: TerGanConfig | None):
    """
    Raises:
        InvalidInputError: the tensors are not those of a map.
        KeyError: one is missing.
    """
    photos, *rest = shapes["embeddings"]
    length = config.expression_embedding_size if config else (rest or [0])[0]
    expected = {"embeddings": [photos, length], "labels": [photos], "mean": [length], "axes": [2, length]}
    for name, shape in expected.items():
        if list(shapes[name]) != shape:
            raise InvalidInputError(f"{name} has the shape {list(shapes[name])}, not {shape}")
    if not 3 <= photos <= MAX_PHOTOS:
        raise InvalidInputError(f"a map has 3 to {MAX_PHOTOS} photos, not {photos}")


def _check_values(tensors: dict[str, np.ndarray], expressions: list[str], config: TerGanConfig | None):
    if config and expressions != config.expressions:
        raise InvalidInputError(f"its expressions {expressions} are not the model's {config.expressions}")
    if not all(np.isfinite(tensors[name]).all() for name in ("embeddings", "mean", "axes")):
        raise InvalidInputError("it holds values that are not finite")
    labels = tensors["labels"]
    if labels.dtype.kind != "i" or labels.min() < 0 or labels.max() >= len(expressions):
        raise InvalidInputError(f"its labels are not indices of {len(expressions)} expressions")
