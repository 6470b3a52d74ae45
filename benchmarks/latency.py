"""Measure milliseconds per photo and frames per second of every use and of its parts.

With the photo preset, `transfer` and `edit` average over four views of a photo. The parts are measured for one view,
as in a clip. `python benchmarks/latency.py` uses the example photos and a clip made from them, and downloads nothing.
"""

import argparse
import inspect
import json
import platform
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tergan_hf import TerGanPipeline
from tergan_hf.model.face_tracking_tergan import FaceTracker
from tergan_hf.model.video_tergan import map_video


ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "assets" / "examples"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default=str(ROOT / "weights" / "ter-gan"))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--repeats", type=int, default=20, help="repeats of each measurement on photos; prints the median"
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="length of the clip")
    parser.add_argument("--output", help="JSON file for the numbers")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    pipe = TerGanPipeline.from_pretrained(options.weights)
    size = pipe.model.config.image_size
    print(f"{platform.processor() or platform.machine()}, {options.threads} threads, {pipe.model.device}, {size} px")
    measured = {"threads": options.threads, "image_size": size, "photo_ms": photo_times(pipe, options.repeats)}
    print_table("milliseconds per 640×640 photo (median)", measured["photo_ms"])
    measured["video_fps"], measured["video_parts_ms"] = video_times(pipe, options.seconds)
    print_table(f"frames per second, {options.seconds:g} s of 640×480", measured["video_fps"])
    print_table("milliseconds per video frame", measured["video_parts_ms"])
    if options.output:
        Path(options.output).write_text(json.dumps(measured, indent=2))


def print_table(title: str, numbers: dict[str, float]):
    print(f"\n{title}")
    for name, value in numbers.items():
        print(f"    {name:42s} {value:8.1f}")


@torch.inference_mode()
def photo_times(pipe: TerGanPipeline, repeats: int) -> dict[str, float]:
    """Median milliseconds of every use of photos, and of its parts."""
    smiling, neutral = (
        Image.open(EXAMPLES / name).convert("RGB") for name in ("london_099_happiness.jpg", "london_014_neutral.jpg")
    )
    crop_transform = pipe.faces(neutral)[0].crop_transform
    face = pipe.cut_out(neutral, crop_transform)
    pixels = pipe.pixel_values([face])
    target = pipe.model.encode_target(pixels)
    expression = pipe.model.expression_prototypes[pipe.labels.index("happiness")][None]
    change = pipe.model.change(expression, target)
    parts = {
        "recognize": lambda: pipe.recognize(neutral),
        "transfer": lambda: pipe.transfer(smiling, neutral),
        "edit": lambda: pipe.edit(neutral, "happiness"),
        "part: detection": lambda: pipe.detector.detect(neutral),
        "part: alignment": lambda: pipe.cut_out(neutral, crop_transform),
        "part: network, G_es and classifier": lambda: pipe.model.classify(pipe.model.encode_expression(pixels)),
        "part: network, G_es and G_et of the target": lambda: pipe.model.encode_target(pixels),
        "part: network, G_de": lambda: pipe.model.change(expression, target),
        "part: paste-back": lambda: pipe.paste(face, change, 0),
    }
    return {name: median_ms(call, repeats, pipe.model.device) for name, call in parts.items()}


def clock(device: torch.device) -> float:
    """Seconds, read when a GPU has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def median_ms(call, repeats: int, device: torch.device) -> float:
    """Median milliseconds of a call, after two calls to warm up."""
    times = []
    for number in range(repeats + 2):
        start = clock(device)
        call()
        if number >= 2:
            times.append(1000 * (clock(device) - start))
    return float(np.median(times))


def video_times(pipe: TerGanPipeline, seconds: float) -> tuple[dict[str, float], dict[str, float]]:
    """Frames per second of both uses of clips, and milliseconds per frame of the parts of `edit_video`."""
    with tempfile.TemporaryDirectory() as folder:
        clip, output = Path(folder) / "clip.mp4", Path(folder) / "output.mp4"
        frames = make_clip(clip, seconds)
        device = pipe.model.device
        rates, parts = {}, Parts(device)
        start = clock(device)
        pipe.transfer_video(clip, EXAMPLES / "london_014_neutral.jpg", output, progress=False)
        rates["transfer_video"] = frames / (clock(device) - start)
        start = clock(device)
        pipe.edit_video(clip, "surprise", output, progress=False)
        rates["edit_video"] = frames / (clock(device) - start)
        start = clock(device)
        map_video(clip, output, lambda frame, interval: frame, progress=False)
        parts.seconds["decode and encode"] = clock(device) - start
        parts.watch(FaceTracker, "__call__", "tracking")
        parts.watch(TerGanPipeline, "cut_out", "alignment")
        parts.watch(type(pipe.model), "encode_target", "network, G_es and G_et")
        parts.watch(type(pipe.model), "change", "network, G_de")
        parts.watch(TerGanPipeline, "paste", "paste-back")
        with parts:
            pipe.edit_video(clip, "surprise", output, progress=False)
    return rates, {name: 1000 * spent / frames for name, spent in parts.seconds.items()}


def make_clip(path: Path, seconds: float, rate: int = 25, faces: list[Image.Image] | None = None) -> int:
    """
    Write an H.264 clip, 640×480, of a face that moves and turns.

    Args:
        faces: photos to repeat, one per frame; default: a smiling face.

    Returns:
        the number of frames.
    """
    import av

    faces = faces or [Image.open(EXAMPLES / "london_099_happiness.jpg").convert("RGB")]
    count = round(seconds * rate)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
        for number in range(count):
            turned = faces[number % len(faces)].rotate(
                6 * np.sin(number / 15), Image.Resampling.BILINEAR, translate=(30 * np.sin(number / 20), 0),
                fillcolor="white",
            )  # fmt: skip
            frame = av.VideoFrame.from_image(turned.crop((0, 80, 640, 560)))
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return count


class Parts:
    """A context in which the seconds spent in the watched methods add up."""

    def __init__(self, device: torch.device):
        self.device = device
        self.seconds: dict[str, float] = {}
        self._watched: list[tuple[type, str, str]] = []

    def watch(self, owner: type, method: str, name: str):
        self._watched.append((owner, method, name))

    def __enter__(self):
        self._originals = [(owner, method, owner.__dict__.get(method)) for owner, method, _ in self._watched]
        for owner, method, name in self._watched:
            self.seconds[name] = 0.0
            is_static = isinstance(inspect.getattr_static(owner, method), staticmethod)
            setattr(owner, method, self._timed(getattr(owner, method), name, is_static))
        return self

    def __exit__(self, *_):
        for owner, method, original in self._originals:
            setattr(owner, method, original) if original is not None else delattr(owner, method)

    def _timed(self, call, name: str, is_static: bool):
        def timed(*args, **kwargs):
            start = clock(self.device)
            result = call(*args, **kwargs)
            self.seconds[name] += clock(self.device) - start
            return result

        return staticmethod(timed) if is_static else timed


if __name__ == "__main__":
    main()
