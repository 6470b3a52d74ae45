"""Score a model, or saved results of any system, on the benchmark."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, Image, load_dataset
from datasets.exceptions import DatasetsError
from PIL import Image as PILImage

from ..data.loading import HUB_PREFIX
from ..data.tables import read_csv
from ..model.errors_tergan import InvalidInputError, MissingFileError
from ..model.image_loading_tergan import read_image
from ..model.pipeline_tergan import TerGanPipeline
from .benchmark_set import KINDS, METRICS
from .embeddings import CachedDetector, embed_photos
from .judges import Judges
from .perceptual import PerceptualMetrics
from .recognition import measure_recognition, summarize
from .systems import COPY_TARGET, MODEL, CopiesTarget
from .transfer import TRUTH, measure_transfer


def score_model(dataset: str, pipe: TerGanPipeline, judges: Judges | None = None) -> dict:
    """
    Score a model by the rule of the report, with the whole pipeline and its defaults.

    Args:
        dataset: the benchmark, a folder or `hub://owner/name`.
        judges: SFace measures `identity_…`; without it these tasks are left out.

    Returns:
        `date`; `tasks`: task → `metric`, `value` and `rows`, the number of values behind it; and `details`:
        task → further numbers, among them the `gain` or cosine of handing the target back and of the truth.

    Raises:
        MissingFileError, InvalidInputError: there is no such benchmark, or the model does not know a label of it.
    """
    judges = judges or Judges()
    pipe.detector = judges.detector = CachedDetector(judges.detector)  # type: ignore[assignment]
    copies = CopiesTarget(pipe.model, pipe.image_processor, pipe.detector)
    scores = _Scores()
    for kind in KINDS:
        pairs = load_task(dataset, f"transfer_{kind}")
        scores.add_transfer(kind, _measure_pairs({MODEL: pipe, COPY_TARGET: copies}, pairs, judges))
        photos = load_task(dataset, f"recognition_{kind}")
        unknown = sorted(set(photos["expression"]) - set(pipe.labels))
        if unknown:
            raise InvalidInputError(f"the model has no label {', '.join(unknown)}, which recognition_{kind} asks for")
        embeddings = embed_photos(pipe, photos, detect=True, name=f"recognition_{kind}")
        scores.add_recognition(kind, measure_recognition(embeddings, list(photos["expression"]), pipe.labels))
    return scores.as_dict()


def score_results(dataset: str, results: str | Path, judges: Judges | None = None) -> dict:
    """
    Score saved results of any system. Tasks without results are left out.

    Args:
        dataset, judges: as for `score_model`.
        results: folder with the pictures `transfer_heads/0000.png` … and the tables `recognition_heads.csv` (columns
            `row` and `label`), and the same for portraits.

    Returns:
        as `score_model`.

    Raises:
        MissingFileError: the folder has no results, or one is missing.
        InvalidInputError: a picture has another size than its target, or a table names a row that is not there.
    """
    results, judges, scores = Path(results), judges or Judges(), _Scores()
    judges.detector = CachedDetector(judges.detector)  # type: ignore[assignment]
    for kind in KINDS:
        if (results / f"transfer_{kind}").is_dir():
            pairs = load_task(dataset, f"transfer_{kind}")
            saved: dict[str, Any] = {MODEL: _SavedTransfers(results / f"transfer_{kind}")}
            scores.add_transfer(kind, _measure_pairs(saved, pairs, judges))
        table = results / f"recognition_{kind}.csv"
        if table.is_file():
            shown = list(load_task(dataset, f"recognition_{kind}")["expression"])
            named = _read_labels(table, len(shown))
            labels = sorted({*shown, *named.values()})
            rows = sorted(named)
            true, predicted = (np.array([labels_of[row] for row in rows]) for labels_of in (shown, named))
            summary = summarize(true, predicted, np.ones(len(rows)), labels, np.array(shown))
            del summary["calibration_error"]  # there are no scores
            scores.add_recognition(kind, {**summary, "photos": len(shown)})
    if not scores.tasks:
        raise MissingFileError(f"{results} has neither transfer_heads/0000.png … nor recognition_heads.csv")
    return scores.as_dict()


def load_task(dataset: str, config: str) -> Dataset:
    """
    The rows of one configuration of the benchmark, with images that are not decoded.

    Raises:
        MissingFileError: there is no such benchmark.
        InvalidInputError: it cannot be read.
    """
    try:
        if dataset.startswith(HUB_PREFIX):
            rows = load_dataset(dataset.removeprefix(HUB_PREFIX), config, split="test")
        else:
            files = sorted(str(path) for path in (Path(dataset) / config).glob("test-*.parquet"))
            if not files:
                raise MissingFileError(
                    f"{dataset} holds no benchmark: build one with python -m tergan_hf.benchmark build, or name one "
                    f"on the Hub ({HUB_PREFIX}owner/name)"
                )
            rows = load_dataset("parquet", data_files={"test": files}, split="test")
    except (ValueError, DatasetsError, ConnectionError, OSError) as error:
        if isinstance(error, MissingFileError):
            raise
        raise InvalidInputError(f"{dataset}, {config}: {str(error).splitlines()[0]}") from error
    for column in {"image", "source", "target", "truth"} & set(rows.column_names):
        rows = rows.cast_column(column, Image(decode=False))
    return rows


class _Scores:
    """Collects the scores of all tasks."""

    def __init__(self):
        self.tasks: dict[str, dict] = {}
        self.details: dict[str, dict] = {}

    def add_transfer(self, kind: str, rows: dict[str, dict]):
        for task, key in (("transfer", "gain"), ("identity", "to_target")):
            if key in rows[MODEL]:
                self._add(f"{task}_{kind}", METRICS[task], rows[MODEL][key], rows[MODEL]["counts"][key])
        keys = {MODEL: rows[MODEL], **{name: rows[name] for name in (COPY_TARGET, TRUTH) if name in rows}}
        self.details[f"transfer_{kind}"] = keys

    def add_recognition(self, kind: str, summary: dict):
        name = f"recognition_{kind}"
        self._add(name, METRICS["recognition"], summary["accuracy"], summary["photos"])
        self.details[name] = {key: value for key, value in summary.items() if key not in ("confusion", "labels")}

    def _add(self, task: str, metric: str, value: float, count: int):
        self.tasks[task] = {"metric": metric, "value": round(value, 5), "rows": count}

    def as_dict(self) -> dict:
        return {"date": datetime.now(UTC).date().isoformat(), "tasks": self.tasks, "details": self.details}


def _measure_pairs(systems: dict[str, Any], rows: Dataset, judges: Judges) -> dict[str, dict]:
    parts = ("source", "target", "truth")
    photos: Any = [{"image": row[part], "expression": row["expression"]} for row in rows for part in parts]
    pairs = [(at, at + 1, at + 2) for at in range(0, len(photos), 3)]
    return measure_transfer(systems, photos, pairs, True, judges, PerceptualMetrics(enabled=False))


class _SavedTransfers:
    """A system whose results lie in a folder, in the order of the rows."""

    def __init__(self, folder: Path):
        self.folder, self.next = folder, 0

    def transfer(self, sources: list, targets: list, **_) -> list[PILImage.Image]:
        """The next results."""
        results = []
        for target in targets:
            path = self.folder / f"{self.next:04d}.png"
            result = read_image(path, "result")
            if result.size != target.size:
                raise InvalidInputError(
                    f"{path} has {result.width}×{result.height} pixels, its target {target.width}×{target.height}"
                )
            results.append(result)
            self.next += 1
        return results


def _read_labels(table: Path, rows: int) -> dict[int, str]:
    named = {}
    for line, cells in read_csv(table, ("row", "label")):
        row, label = cells["row"], cells["label"]
        if not row.isdecimal() or int(row) >= rows or not label:
            raise InvalidInputError(f"{table}, line {line}: needs a row from 0 to {rows - 1} and a label")
        named[int(row)] = label
    return named
