"""Measure peak memory and frames per second of `transfer_video` for clips of several lengths.

`python benchmarks/video.py --seconds 10 60 --strip strip.jpg` makes 640×480 driving clips of an example photo that
goes from expression to expression. `--strip` writes a picture with frames of the first clip and of its result.
"""

import argparse
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from latency import EXAMPLES, ROOT, make_clip
from PIL import Image

from tergan_hf import TerGanPipeline
from tergan_hf.evaluation.memory import peak_memory_gib
from tergan_hf.model.video_tergan import read_frames


DRIVING, PHOTO = EXAMPLES / "london_136_neutral.jpg", EXAMPLES / "london_014_neutral.jpg"
SHOWN = 8
RATE = 25


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default=str(ROOT / "weights" / "ter-gan"))
    parser.add_argument("--seconds", type=float, nargs="+", default=[10.0, 60.0])
    parser.add_argument("--strip", help="picture of frames to write")
    options = parser.parse_args()
    print(f"transfer_video, 640×480, 25 frames per second of clip, {torch.get_num_threads()} threads")
    faces = moving_face(options.weights)
    with tempfile.TemporaryDirectory() as folder:
        for seconds in options.seconds:
            clip, output = Path(folder) / f"{seconds:g}.mp4", Path(folder) / f"{seconds:g} out.mp4"
            make_clip(clip, seconds, RATE, faces)
            # Each clip needs a new process, because peak memory never falls.
            with get_context("spawn").Pool(1) as pool:
                rate, mebibytes = pool.apply(transfer, (options.weights, clip, output))
            print(f"    {seconds:5g} s of clip: {rate:5.1f} frames per second, peak memory {mebibytes:.0f} MiB")
            if options.strip and seconds == options.seconds[0]:
                draw_strip(clip, output, options.strip)


def moving_face(weights: str) -> list[Image.Image]:
    """Photos of a face that takes on one expression after the other, for a second each."""
    pipe = TerGanPipeline.from_pretrained(weights)
    labels = ("happiness", "surprise", "sadness", "anger")
    alphas = np.sin(np.pi * np.arange(RATE) / RATE) ** 2
    return [pipe.edit(DRIVING, label, float(alpha)) for label in labels for alpha in alphas]


def transfer(weights: str, clip: Path, output: Path) -> tuple[float, float]:
    """Frames per second, and peak memory of the process in MiB."""
    pipe = TerGanPipeline.from_pretrained(weights)
    start = time.perf_counter()
    report = pipe.transfer_video(clip, PHOTO, output, progress=False)
    seconds = time.perf_counter() - start
    return report.frames / seconds, 1024 * peak_memory_gib()


def draw_strip(clip: Path, output: Path, path: str):
    """Draw frames from the first four seconds of the clip above those of the result."""
    rows = []
    for video in (clip, output):
        frames = [frame for time, _, frame in read_frames(video, progress=False) if time < 4]
        rows.append([frames[len(frames) * number // SHOWN] for number in range(SHOWN)])
    side = 240
    strip = Image.new("RGB", (SHOWN * side, 2 * side))
    for top, row in enumerate(rows):
        for left, frame in enumerate(row):
            edge = min(frame.size)
            x, y = (frame.width - edge) // 2, (frame.height - edge) // 2
            strip.paste(frame.crop((x, y, x + edge, y + edge)).resize((side, side)), (left * side, top * side))
    strip.save(path)


if __name__ == "__main__":
    main()
