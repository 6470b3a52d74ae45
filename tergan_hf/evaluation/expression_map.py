"""The expression map: the plane through the training photos' f(e) on which they spread most.

It lies beside the weights as `expression_map.safetensors`. The app draws it, and a point on it gives an f(e).
"""

import json
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ..model.errors_tergan import InvalidInputError


logger = logging.getLogger(__name__)

FILE_NAME = "expression_map.safetensors"
NEIGHBOURHOOD = 0.08  # of the map's width: how far around a place the photos lend it what the plane does not hold


@dataclass
class ExpressionMap:
    """
    Training photos on a plane.

    Args:
        embeddings: (N, D) f(e) of the photos.
        labels: of the photos, N indices into `expressions`.
        expressions: the labels.
        mean: (D,). axes: (2, D), orthonormal: a place is axes · (f(e) − mean).
    """

    embeddings: np.ndarray
    labels: np.ndarray
    expressions: list[str]
    mean: np.ndarray
    axes: np.ndarray

    @classmethod
    def fit(cls, embeddings: np.ndarray, labels: np.ndarray, expressions: list[str]) -> "ExpressionMap":
        """
        Principal components of the f(e) themselves. Every expression counts the same, however many photos it has.

        Raises:
            InvalidInputError: fewer than three photos, or they do not span a plane.
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
            raise InvalidInputError("the photos' f(e) lie on a line: there is no plane to draw")
        # The sign of a component is free; fixed, so that the map does not flip from run to run.
        axes = axes[:2] * np.sign(axes[:2][np.arange(2), np.abs(axes[:2]).argmax(1)])[:, None]
        return cls(embeddings, labels, list(expressions), mean, np.ascontiguousarray(axes))

    @property
    def places(self) -> np.ndarray:
        """(N, 2) of the photos."""
        return self.locate(self.embeddings)

    def locate(self, embeddings: np.ndarray) -> np.ndarray:
        """(..., D) f(e) → (..., 2) places."""
        return (np.asarray(embeddings, np.float32) - self.mean) @ self.axes.T

    def expression_at(self, place) -> np.ndarray:
        """
        f(e) of a place: the point of the plane, and across the plane what the training photos around it have on
        average, so that it looks like one of them. It is mapped back to the same place.

        Args:
            place: (2,).

        Returns:
            (D,) f(e).
        """
        place = np.asarray(place, np.float32)
        on_plane = self.mean + place @ self.axes
        places = self.places
        across = self.embeddings - (self.mean + places @ self.axes)
        reach = NEIGHBOURHOOD * float(np.ptp(places, axis=0).max())
        distance = ((places - place) ** 2).sum(1)
        # From the nearest photo on, so that a place far outside takes after the border and not after nothing.
        weights = np.exp((distance.min() - distance) / (2 * reach**2))
        return on_plane + weights @ across / weights.sum()

    def save(self, folder: str | Path) -> Path:
        """Write it beside the weights; returns the file's path."""
        path = Path(folder) / FILE_NAME
        tensors = {"embeddings": self.embeddings.astype(np.float16), "labels": self.labels.astype(np.int64)}
        tensors |= {"mean": self.mean.astype(np.float32), "axes": self.axes.astype(np.float32)}
        save_file(tensors, path, metadata={"expressions": json.dumps(self.expressions)})
        return path

    @classmethod
    def from_pretrained(cls, model: str | Path) -> "ExpressionMap | None":
        """
        The map that came with a model.

        Args:
            model: a folder or a model id on the Hub.

        Returns:
            `None` where it has none, or one that cannot be read.
        """
        path = Path(model) / FILE_NAME
        if not Path(model).is_dir():
            try:
                path = Path(hf_hub_download(str(model), FILE_NAME))
            except (EntryNotFoundError, LocalEntryNotFoundError, HFValidationError, OSError):
                return None
        if not path.is_file():
            return None
        try:
            with safe_open(path, "numpy") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  no mapping
                expressions = json.loads(file.metadata()["expressions"])
            embeddings = tensors["embeddings"].astype(np.float32)
            return cls(embeddings, tensors["labels"], expressions, tensors["mean"], tensors["axes"])
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            logger.warning("%s cannot be read: %s", path, error)
            return None
