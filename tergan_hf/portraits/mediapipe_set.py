"""The set `mediapipe`: photos of another set with the blendshapes that MediaPipe reads in them."""

import hashlib
import io
import json
from argparse import ArgumentParser
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from datasets import Features, List, Value, config
from PIL import Image
from pyarrow import parquet
from tqdm.auto import tqdm

from ..data.building import RECORD, BuildError, Plan, Shard, list_source, require_finished
from ..data.dataset_card import SetDescription
from ..data.image_cells import decode
from ..data.loading import parquet_files
from ..data.packages import optional_packages
from ..expressions.blendshapes import COLUMN_NAMES
from .landmarks import Landmarker
from .score_calibration import SMALL_SIDE, ScoreCalibration, fit_calibration, reduce_like, score_photo


DESCRIPTION = SetDescription(
    name="mediapipe",
    title="Photos with the blendshapes that MediaPipe reads",
    home="https://ai.google.dev/edge/mediapipe/solutions/vision/face_landmarker",
    licence="That of the photos; its card is beside them. MediaPipe is Apache-2.0.",
    licence_id="other",
    attribution="Blendshapes: MediaPipe Face Landmarker (Google), calibrated on portraits with known blendshapes.",
    citation="",
    layout="the folder of a set that `python -m tergan_hf.data` has made, such as fer2013 or london",
)
SPLITS = ("train", "validation", "test")
CALIBRATION_ROWS = 3000
PHOTO = "a photo of the set"  # in messages
MARGIN = 1.4  # of `portraits`, by default
CALIBRATION_VERSION = 1  # part of the cache key; raise it with each change of the calibration


@dataclass(frozen=True)
class Assets:
    """Paths that every shard needs."""

    calibration: Path
    landmarker: Path


def add_options(parser: ArgumentParser):
    """Add the command-line options of the set."""
    parser.add_argument(
        "--reference", required=True, help="folder of a set `portraits`: its true blendshapes calibrate the scores"
    )
    parser.add_argument("--landmarker", default="face_landmarker.task", help="as for portraits (%(default)s)")


def plan(source: Path, options: dict) -> Plan:
    """
    Plan the set: the rows of the source with the column `blendshapes`.

    Raises:
        BuildError, InvalidInputError: source or reference is no built set, or the landmarker is missing.
    """
    landmarker, reference = Path(options["landmarker"]), Path(options["reference"])
    for folder in (source, reference):
        require_finished(folder, folder)
    files = {split: [Path(file) for file in parquet_files(source, split)] for split in SPLITS}
    everything = [file for found in files.values() for file in found]
    if not everything:
        raise BuildError(f"{source} holds no parquet files: expected {DESCRIPTION.layout}")
    known = [Path(file) for file in parquet_files(reference, "train")]
    if not known or "blendshapes" not in parquet.read_schema(known[0]).names:
        raise BuildError(f"--reference {reference}: expected the folder of a set `portraits` with true blendshapes")
    first = parquet.ParquetFile(everything[0]).schema_arrow
    features = Features({**Features.from_arrow_schema(first), "blendshapes": List(Value("float32"))})
    with Image.open(io.BytesIO(_first_image(everything))) as photo:
        side = max(photo.size)
    lines = (
        [*list_source(reference, known), *list_source(landmarker.parent, [landmarker])] if landmarker.is_file() else []
    )
    path, calibration = _cached_calibration(known, landmarker, side, lines)
    reliable = [
        f"{name} {r:.2f}"
        for name, r, known_well in zip(COLUMN_NAMES, calibration.correlation, calibration.reliable)
        if known_well
    ]
    note = (
        "`blendshapes` holds MediaPipe's scores, mapped linearly to ARKit's weights on portraits whose weights are "
        "known; NaN where the map is unreliable or no face was found. Correlations with the truth on people kept out: "
        f"{', '.join(reliable)}."
    )
    shards = [
        Shard(split, (file, Assets(path, landmarker)), parquet.ParquetFile(file).metadata.num_rows)
        for split, paths in files.items()
        for file in paths
    ]
    return Plan(
        description=replace(DESCRIPTION, title=f"{DESCRIPTION.title}: {source.resolve().name}"),
        features=features,
        shards=shards,
        make_rows=add_blendshapes,
        settings={"reference": reference.resolve().name, "seed": options["seed"]},
        source=[*list_source(source, everything), *lines],
        notes=[note],
    )


def add_blendshapes(job: tuple[Path, Assets]) -> list[dict]:
    """The rows of one parquet file with their blendshapes."""
    path, assets = job
    rows = parquet.read_table(path).to_pylist()
    if not rows:  # no photo of the shard shows a face
        return []
    landmarker = _load_landmarker(assets.landmarker)
    scores = np.stack([score_photo(decode(row["image"], PHOTO), landmarker) for row in rows])
    estimated = ScoreCalibration.load(assets.calibration).estimate(scores)
    return [{**row, "blendshapes": values.tolist()} for row, values in zip(rows, estimated)]


def _cached_calibration(
    known: list[Path], landmarker: Path, side: int, lines: list[str]
) -> tuple[Path, ScoreCalibration]:
    """The calibration for photos of this size and its path. Fits it unless it is cached."""
    small = side if side <= SMALL_SIDE else 0
    digest = hashlib.sha256("\n".join([str(CALIBRATION_VERSION), str(small), *lines]).encode()).hexdigest()
    path = Path(config.HF_DATASETS_CACHE) / "tergan_portraits" / f"scores-{digest[:20]}.npz"
    if not path.is_file():
        detector = _load_landmarker(landmarker)
        total = sum(parquet.ParquetFile(file).metadata.num_rows for file in known)
        step = max(1, total // CALIBRATION_ROWS)
        margin = _margin_of(known[0].parent)
        scores, true, people = [], [], []
        for file in tqdm(known, desc="Calibrating MediaPipe's scores", dynamic_ncols=True):
            table = parquet.read_table(file, columns=["image", "blendshapes", "identity"])
            for row in table.take(pa.array(range(0, table.num_rows, step), pa.int64())).to_pylist():
                photo = decode(row["image"], PHOTO)
                scores.append(score_photo(reduce_like(photo, margin, small) if small else photo, detector))
                true.append(row["blendshapes"])
                people.append(row["identity"])
        fitted = fit_calibration(np.stack(scores), np.array(true), np.array(people))
        path.parent.mkdir(parents=True, exist_ok=True)
        fitted.save(path)
    return path, ScoreCalibration.load(path)


def _margin_of(portraits: Path) -> float:
    """The side of the portraits of a set over that of their faces."""
    record = portraits / RECORD
    settings = json.loads(record.read_text())["settings"] if record.is_file() else {}
    return float(settings.get("margin", MARGIN))


@lru_cache(maxsize=1)
def _load_landmarker(file: Path):
    with optional_packages("MediaPipe needs", "portraits"):
        return Landmarker(file)


def _first_image(files: list[Path]) -> bytes:
    """A photo of a set, whose first shard may be empty."""
    for file in files:
        for batch in parquet.ParquetFile(file).iter_batches(1, columns=["image"]):
            return batch.to_pylist()[0]["image"]["bytes"]
    raise BuildError(f"{files[0].parent} holds no photos")
