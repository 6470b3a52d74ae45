"""The expression map: the plane through the training photos' f(e) on which they spread most.

`python -m tergan_hf.expression_map --model weights/ter-gan --data_root data` writes `expression_map.safetensors`
beside the weights. The app draws it, and a place on it gives an f(e).
"""

import argparse
import json
import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from tqdm.auto import tqdm

from .face_detection_tergan import NoFaceFoundError
from .pipeline_tergan import TerGanPipeline


# The app needs the map alone; to load `datasets` takes a second, so that only what makes the map does it.
if TYPE_CHECKING:
    from datasets import Dataset


logger = logging.getLogger(__name__)

FILE_NAME = "expression_map.safetensors"
PHOTOS_PER_EXPRESSION = 60
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
            ValueError: fewer than three photos, or they do not span a plane.
        """
        embeddings, labels = np.asarray(embeddings, np.float32), np.asarray(labels, np.int64)
        if len(embeddings) < 3:
            raise ValueError(f"a map needs at least three photos, got {len(embeddings)}")
        counts = np.bincount(labels, minlength=len(expressions))
        weights = 1 / counts[labels]
        weights = (weights / weights.sum())[:, None]
        mean = (weights * embeddings).sum(0)
        _, spread, axes = np.linalg.svd(np.sqrt(weights) * (embeddings - mean), full_matrices=False)
        if spread[1] < 1e-6:
            raise ValueError("the photos' f(e) lie on a line: there is no plane to draw")
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


def map_of_photos(
    pipe: TerGanPipeline, sources: "list[tuple[Dataset, bool]]", count: int = PHOTOS_PER_EXPRESSION, seed: int = 0
) -> ExpressionMap:
    """
    Draw photos evenly over expressions and sets, and fit the map to their f(e).

    Args:
        sources: labelled photos as `load_photos` gives them, and whether their faces are to be found and aligned.
        count: photos of each expression.
    """
    from .data.framing import decode

    random = np.random.default_rng(seed)
    embeddings, labels = [], []
    with tqdm(total=count * len(pipe.labels), desc="f(e) of training photos", unit="photo") as bar:
        for index, expression in enumerate(pipe.labels):
            rows = [np.flatnonzero(np.array(photos["expression"]) == expression) for photos, _ in sources]
            having = [at for at, found in enumerate(rows) if len(found)]
            for at in having:
                photos, detect = sources[at]
                for row in random.permutation(rows[at])[: -(-count // len(having))]:
                    try:
                        found = pipe.embed(decode(photos[int(row)]["image"]), detect=detect)
                    except NoFaceFoundError:
                        continue
                    embeddings.append(found["expression"])
                    labels.append(index)
                    bar.update()
    return ExpressionMap.fit(np.array(embeddings), np.array(labels), pipe.labels)


def training_photos(weights: str | Path, data_root: str | Path) -> "dict[str, tuple[Dataset, bool]]":
    """
    The sets a model was trained on, without the people kept out, by the `training.yaml` saved beside its weights.

    Returns:
        name → (photos, whether they are aligned); a set that is not there is left out with a warning.

    Raises:
        FileNotFoundError: there is no record, or none of the sets.
    """
    from .data.loading import load_photos, source_path
    from .evaluation.held_out import is_kept_out, read_record, recorded_sources

    record = read_record(weights)
    found = {}
    for name, source in recorded_sources(record).items():
        try:
            photos = load_photos(source_path(source.path, data_root), source.split, **source.extra)
        except FileNotFoundError:
            logger.warning("%s is not in %s; it is left out of the map", source.path, data_root)
            continue
        kept_out = record["kept_out"].get(name)
        if kept_out:
            photos = photos.select(np.flatnonzero(~is_kept_out(photos, source, kept_out)))
        found[name] = photos, source.align
    if not found:
        raise FileNotFoundError(f"none of the sets named in {weights}/training.yaml is in {data_root}")
    return found


def main(argv: list[str] | None = None):
    parser = argparse.ArgumentParser(
        prog="python -m tergan_hf.expression_map", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="weights/ter-gan", help="folder with the weights and their training.yaml")
    parser.add_argument("--data_root", "--data", required=True, help="folder the run's data paths start from")
    parser.add_argument("--count", type=int, default=PHOTOS_PER_EXPRESSION, help="photos of each expression")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    try:
        sources = training_photos(options.model, options.data_root)
        pipe = TerGanPipeline.from_pretrained(options.model)
        fitted = map_of_photos(pipe, list(sources.values()), options.count, options.seed)
    except (OSError, ValueError) as error:
        sys.exit(f"tergan_hf.expression_map: {error}")
    path = fitted.save(options.model)
    print(f"{len(fitted.labels)} photos of {', '.join(sources)} in {path}")


if __name__ == "__main__":
    main()
