"""Measure what of a driving clip's face reaches an animated photo, and whether the result trembles.

`python benchmarks/clips.py --landmarker face_landmarker.task driver.mp4=result.mp4 …` needs `pip install mediapipe`.
With `--render FOLDER --photos a.jpg b.jpg` the arguments are driving clips: first they animate the photos in turn.

MediaPipe reads the landmarks of both clips. For lids, mouth, brows and gaze, r and slope of the result on the driver
are printed; a perfect transfer has 1 and 1. Trembling is what is faster than 4 Hz in the landmarks, after the head's
motion is removed: its energy in the result over that in the driver, over all frames and in the quarter of the frames
in which the driver moves least. Above 1, the result trembles more than its driver. See
`tergan_hf/evaluation/driving.py`.
"""

import argparse
import json
from itertools import cycle
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from tergan_hf import TerGanPipeline
from tergan_hf.evaluation.driving import compare_clips, mean_comparison
from tergan_hf.model.errors_tergan import InvalidInputError
from tergan_hf.model.video_tergan import read_frames
from tergan_hf.portraits.landmarks import Landmarker


ROOT = Path(__file__).resolve().parents[1]
POINTS = 478


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+", metavar="DRIVER=RESULT", help="pairs of clips; with --render, drivers")
    parser.add_argument("--landmarker", required=True, help="MediaPipe's face_landmarker.task")
    parser.add_argument("--render", metavar="FOLDER", help="animate --photos with the clips and keep the results here")
    parser.add_argument("--photos", nargs="+", help="with --render: photos to animate, in turn")
    parser.add_argument("--relative", action=argparse.BooleanOptionalAction, help="with --render: as in `tergan`")
    parser.add_argument("--weights", default=str(ROOT / "weights" / "ter-gan"))
    parser.add_argument("--output", help="JSON file for the numbers")
    options = parser.parse_args()
    if bool(options.render) != bool(options.photos):
        raise SystemExit("--render and --photos go together")
    pairs = render(options) if options.render else [named_pair(text) for text in options.clips]
    try:
        landmarker = Landmarker(options.landmarker)
    except ImportError as error:
        raise SystemExit(f"MediaPipe needs the package {error.name}: pip install mediapipe") from error
    everything = compare_pairs(landmarker, pairs)
    for name, numbers in everything.items():
        print_numbers(name, numbers)
    if options.output:
        Path(options.output).write_text(json.dumps(without_nan(everything), indent=1, allow_nan=False))


def compare_pairs(landmarker: Landmarker, pairs: list[tuple[Path, Path]]) -> dict[str, dict | None]:
    """Path of the result → its comparison with the driver, `None` with too few faces. `mean` is over the others."""
    found: dict[str, dict | None] = {}
    for driver, result in tqdm(pairs, desc="pairs", unit="pair"):
        (before, rate), (after, _) = (read_landmarks(landmarker, clip) for clip in (driver, result))
        try:
            found[str(result)] = compare_clips(before, after, rate)
        except InvalidInputError as error:
            tqdm.write(f"{result} is left out: {error}")
            found[str(result)] = None
    known = [numbers for numbers in found.values() if numbers]
    return {**found, "mean": mean_comparison(known) if known else None}


def without_nan(value):
    """The same numbers for JSON, which has no NaN: `None` instead."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    return None if isinstance(value, float) and np.isnan(value) else value


def named_pair(text: str) -> tuple[Path, Path]:
    """DRIVER=RESULT as two paths."""
    driver, equals, result = text.partition("=")
    if not equals:
        raise SystemExit(f"{text} is not DRIVER=RESULT; to animate photos first, use --render")
    return Path(driver), Path(result)


def render(options) -> list[tuple[Path, Path]]:
    """Animate the photos with the driving clips. Returns each driver and its result."""
    pipe = TerGanPipeline.from_pretrained(options.weights, device="cpu")
    folder = Path(options.render)
    folder.mkdir(parents=True, exist_ok=True)
    pairs = []
    for number, (driver, photo) in enumerate(zip(map(Path, options.clips), cycle(map(Path, options.photos)))):
        result = folder / f"{number}_{driver.stem}_on_{photo.stem}.mp4"  # two clips may have the same name
        report = pipe.transfer_video(driver, photo, result, relative=options.relative)
        tqdm.write(f"{result}: {report.frames} frames, relative {report.faces[0].relative}")
        pairs.append((driver, result))
    return pairs


def read_landmarks(landmarker: Landmarker, clip: Path) -> tuple[np.ndarray, float]:
    """Landmarks of every frame, (T, 478, 2), NaN without a face, and the frames per second."""
    rows, seconds = [], 0.0
    for time, _, frame in read_frames(clip, description=clip.name):
        found = landmarker.find(np.asarray(frame))
        rows.append(np.full((POINTS, 2), np.nan) if found is None else found[0])
        seconds = time
    return np.stack(rows).astype(float), (len(rows) - 1) / seconds if seconds else 25.0


def print_numbers(name: str, numbers: dict | None):
    """Print the numbers of one pair, or the mean of all."""
    if numbers is None:
        print(f"{name}: hardly a face in both clips")
        return
    frames = f", {numbers['frames']} frames with a face ({numbers['share']:.0%})" if "frames" in numbers else ""
    print(f"{name}{frames}\n  r / slope: " + ", ".join(
        f"{feature} {one['r']:.2f} / {one['slope']:.2f}" for feature, one in numbers["features"].items()
    ))  # fmt: skip
    print("  trembling, all / still frames: " + ", ".join(
        f"{region} {one['ratio']:.2f} / {one['still_ratio']:.2f}" for region, one in numbers["trembling"].items()
    ))  # fmt: skip


if __name__ == "__main__":
    main()
