"""Set single blendshapes by name, and read what else moves.

`python benchmarks/editing_by_name.py SOURCE --weights FOLDER --output FOLDER` edits neutral photos of people whom the
model has not seen. SOURCE is a folder of neutral photos, or a built set (a parquet file, or a folder with one), of
which it takes the first photo of each person labelled `neutral`.

Every name is asked for at every value. `changes.csv` has the mean change of each blendshape, `changes.png` shows it as
a heat map, and `summary.md` has the change of the blendshape asked for beside the largest change of another one.

The model reads the results itself, and is no independent judge of them. `--reader mediapipe --landmarker
face_landmarker.task` reads them with MediaPipe (`pip install mediapipe`), which is one unless the model was trained on
its scores.
"""

import argparse
import csv
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import torch
from PIL import Image
from tqdm.auto import tqdm

from tergan_hf import TerGanPipeline
from tergan_hf.data.image_cells import decode
from tergan_hf.data.loading import load_photos
from tergan_hf.data.media_files import PHOTO, find_media
from tergan_hf.evaluation.markdown import markdown_table
from tergan_hf.expressions.blendshapes import COLUMN_NAMES, column_units
from tergan_hf.model.blendshapes_tergan import EYE_LOOK_NAMES, GAZE_NAMES
from tergan_hf.model.errors_tergan import InvalidInputError
from tergan_hf.model.image_loading_tergan import read_image


matplotlib.use("Agg")
from matplotlib import pyplot as plt


ROOT = Path(__file__).resolve().parents[1]
SIDE = 512  # larger photos are reduced to this many pixels
CHUNK = 32  # edits of a photo at a time

# A photo and a (2, 3) crop transform → a value for each of `blendshape_names`, weights and degrees.
Reader = Callable[[Image.Image, np.ndarray], np.ndarray]


@dataclass
class Changes:
    """
    What was asked for and what changed, means over people.

    A reading is lost if the reader finds no face in the photo or in the edited one. It counts nowhere; a row of which
    all readings are lost is NaN.

    Args:
        names: (R,) blendshapes asked for. values: (R,) the values.
        asked: (R,) change asked for: the value less what the model reads from the photo.
        read: (R, K) change of each of the model's blendshapes.
        columns: the K names.
        people: number of photos.
        lost: (R,) number of lost readings.
    """

    names: list[str]
    values: list[float]
    asked: np.ndarray
    read: np.ndarray
    columns: list[str]
    people: int
    lost: np.ndarray

    def in_weights(self) -> np.ndarray:
        """`read` with gaze in the units of the column `blendshapes`, so that names can be compared."""
        return self.read / np.array(column_units(self.columns))

    def summary(self) -> list[list[str]]:
        """For each request: name, value, change asked for, own change, its share, and the largest other change."""
        lines = []
        for row, (name, value, asked) in enumerate(zip(self.names, self.values, self.asked)):
            own = self.read[row, self.columns.index(name)]
            unit = "°" if name in GAZE_NAMES else ""
            if np.isnan(own):
                lines.append([name, f"{value:g}{unit}", "–", "–", "–", "–"])
                continue
            # The eyes' own blendshapes are the gaze.
            same = {name, *(EYE_LOOK_NAMES if name in GAZE_NAMES else ())}
            others = np.array([0.0 if column in same else 1.0 for column in self.columns]) * self.in_weights()[row]
            largest = int(np.argmax(np.abs(others)))
            share = f"{own / asked:.2f}" if abs(asked) > 1e-6 else "–"
            lines.append([
                name, f"{value:g}{unit}", f"{asked:+.2f}{unit}", f"{own:+.2f}{unit}", share,
                f"{self.columns[largest]} {others[largest]:+.2f}",
            ])  # fmt: skip
        return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", help="folder of neutral photos, or a built set")
    parser.add_argument("--weights", default=str(ROOT / "weights" / "ter-gan"))
    parser.add_argument("--output", default="runs/editing_by_name", help="folder for the tables and the heat map")
    parser.add_argument("--values", nargs="+", type=float, default=[0.5, 1.0], help="weights to ask for")
    parser.add_argument("--degrees", nargs="+", type=float, default=[-20.0, 20.0], help="gaze to ask for")
    parser.add_argument("--most", type=int, default=20, help="number of photos")
    parser.add_argument("--split", default="train", help="split of a built set")
    parser.add_argument("--reader", choices=["model", "mediapipe"], default="model")
    parser.add_argument("--landmarker", help="MediaPipe's face_landmarker.task, for --reader mediapipe")
    parser.add_argument("--one-view", action="store_true", help="no test-time augmentation: faster, as for clips")
    parser.add_argument("--device", help="default: cuda, else mps, else cpu")
    options = parser.parse_args()
    pipe = TerGanPipeline.from_pretrained(options.weights, device=options.device)
    pipe.model.require_blendshape_directions()
    requests = list_requests(pipe, options.values, options.degrees)
    photos = neutral_photos(options.source, options.most, options.split)
    if options.reader == "mediapipe":
        if not options.landmarker:
            parser.error("--reader mediapipe needs --landmarker face_landmarker.task")
        from blendshapes import MediaPipeScores

        with MediaPipeScores(options.landmarker) as scores:
            changes = measure(pipe, photos, requests, media_pipe_reader(scores, pipe), not options.one_view)
    else:
        changes = measure(pipe, photos, requests, model_reader(pipe), not options.one_view)
    write(changes, Path(options.output), options.reader)
    print((Path(options.output) / "summary.md").read_text())


def list_requests(pipe: TerGanPipeline, weights: list[float], degrees: list[float]) -> list[tuple[str, float]]:
    """Name and value of each edit: every blendshape that the model can set, at every value."""
    names = [name for name in pipe.blendshape_names if name in pipe.editable_names]
    return [(name, value) for name in names for value in (degrees if name in GAZE_NAMES else weights)]


def neutral_photos(source: str, most: int, split: str = "train") -> list[Image.Image]:
    """
    At most `most` photos of a folder at equal distances, or the first neutral one of as many people of a built set.

    Raises:
        InvalidInputError: there are none.
    """
    path = Path(source)
    if path.is_file() or (path.is_dir() and (list(path.glob("metadata.*")) or list(path.rglob("*.parquet")))):
        photos = load_photos(source, split)
        rows: dict[str, int] = {}
        for row, (identity, label) in enumerate(zip(photos["identity"], photos["expression"])):
            if label == "neutral":
                rows.setdefault(identity or f"photo {row}", row)
        found = [decode(photos[row]["image"], f"{source}[{row}]") for row in list(rows.values())[:most]]
    else:
        paths = list(find_media(path, [PHOTO]).files)
        chosen = np.unique(np.linspace(0, len(paths) - 1, min(most, len(paths))).astype(int)) if paths else []
        found = [read_image(paths[row], str(paths[row])) for row in chosen]
    if not found:
        raise InvalidInputError(f"{source} holds no neutral photos")
    return found


def model_reader(pipe: TerGanPipeline) -> Reader:
    """Reads with the model itself."""

    @torch.inference_mode()
    def read(photo, crop_transform):
        pixel_values = pipe.pixel_values([pipe.cut_out(photo, crop_transform)])
        return pipe.model.read_blendshapes(pixel_values)[0].float().cpu().numpy()

    return read


def media_pipe_reader(scores, pipe: TerGanPipeline) -> Reader:
    """Reads with MediaPipe. NaN where it finds no face."""
    columns = [COLUMN_NAMES.index(name) for name in pipe.blendshape_names]

    def read(photo, crop_transform):
        found = scores.scores(photo)
        return np.full(len(columns), np.nan) if found is None else found[columns]

    return read


@torch.inference_mode()
def measure(
    pipe: TerGanPipeline, photos: list[Image.Image], requests: list[tuple[str, float]], read: Reader, augment: bool
) -> Changes:
    """
    Edit every photo by every request, and read the change.

    Args:
        augment: use test-time augmentation.

    Raises:
        InvalidInputError: no photo shows a face.
    """
    names, own_reader = pipe.blendshape_names, model_reader(pipe)
    places = [names.index(name) for name, _ in requests]
    values = np.array([value for _, value in requests])
    asked, changed = [], []
    with tqdm(total=len(photos) * len(requests), desc="edits", dynamic_ncols=True) as bar:
        for photo in photos:
            photo = photo.copy()
            photo.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
            faces = pipe.detector.detect(photo)
            if not faces:
                tqdm.write("no face was found in a photo; left out")
                bar.update(len(requests))
                continue
            transform = faces[0].crop_transform
            before, rows = read(photo, transform), []
            asked.append(values - own_reader(photo, transform)[places])
            for start in range(0, len(requests), CHUNK):
                wanted = [{name: value} for name, value in requests[start : start + CHUNK]]
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # an edit that changes nothing is a result here
                    edited = pipe.edit(photo, wanted, test_time_augmentation=augment)
                rows += [read(result, transform) - before for result in edited]
                bar.update(len(wanted))
            changed.append(np.stack(rows))
    if not changed:
        raise InvalidInputError("no photo shows a face")
    read_changes, asked_changes = np.stack(changed), np.stack(asked)  # (people, R, K) and (people, R)
    seen = np.isfinite(read_changes).all(2)
    counts = seen.sum(0)
    with np.errstate(invalid="ignore"):  # all readings of a request may be lost
        read_mean = np.where(seen[..., None], read_changes, 0).sum(0) / counts[:, None]
        asked_mean = np.where(seen, asked_changes, 0).sum(0) / counts
    return Changes(
        [name for name, _ in requests], values.tolist(), asked_mean, read_mean, list(names), len(changed),
        len(changed) - counts,
    )  # fmt: skip


def write(changes: Changes, folder: Path, reader: str):
    """Write `changes.csv`, `summary.md` and `changes.png`."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "changes.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "value", "asked_change", *changes.columns])
        for name, value, asked, row in zip(changes.names, changes.values, changes.asked, changes.read):
            numbers = np.round([asked, *row], 4).tolist()
            writer.writerow([name, value, *("" if np.isnan(number) else number for number in numbers)])
    head = ["name", "value", "change asked for", "own change", "share", "largest change of another"]
    sentences = (
        f"Mean change over {changes.people} neutral photos, read by {reader}. The change of another is a weight; 1 is "
        "30° of gaze."
    )
    if lost := int(changes.lost.sum()):
        sentences += (
            f" {lost} of {len(changes.names) * changes.people} readings are lost, because {reader} found no face, and "
            "count nowhere."
        )
    (folder / "summary.md").write_text(f"{markdown_table(head, changes.summary())}\n\n{sentences}\n", encoding="utf-8")
    plot(changes, folder / "changes.png")


def plot(changes: Changes, path: Path):
    """Draw the changes as a heat map, a row for each request."""
    values = changes.in_weights()
    size = (3 + 0.22 * values.shape[1], 2.5 + 0.18 * values.shape[0])
    figure, axis = plt.subplots(figsize=size, layout="constrained")
    image = axis.imshow(values, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto", interpolation="nearest")
    axis.set_xticks(range(len(changes.columns)), changes.columns, rotation=90, fontsize=7)
    labels = [f"{name} {value:g}" for name, value in zip(changes.names, changes.values)]
    axis.set_yticks(range(len(labels)), labels, fontsize=7)
    axis.set(xlabel="read", ylabel="asked for", title="Mean change (weights; gaze in units of 30°)")
    figure.colorbar(image, ax=axis, shrink=0.5)
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
