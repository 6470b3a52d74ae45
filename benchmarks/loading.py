"""Compare the images per second of the training loader with reading JPEG files one by one.

`python benchmarks/loading.py data/heads` needs a set with landmarks, as `python -m tergan_hf.data` writes it.
"""

import argparse
import io
import logging
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from torch.utils.data import DataLoader

from tergan_hf.data.loading import load_photos
from tergan_hf.data.padded_crops import PADDED_CROP_MARGIN, make_padded_crops, padded_crop_size
from tergan_hf.data.photo_set import label_photo_sets
from tergan_hf.data.sampling import BalancedPhotos, ExpressionPairs
from tergan_hf.model.configuration_tergan import EXPRESSIONS_WITH_NEUTRAL
from tergan_hf.model.face_alignment_tergan import crop_face, fit_crop_transform, zoom_out


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="folder of the set")
    parser.add_argument("--photos", type=int, default=420, help="photos of the set to use (%(default)s)")
    parser.add_argument("--image_size", type=int, default=128)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--workers", type=int, default=0)
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    photos = load_photos(options.data)
    photos = photos.select(range(min(options.photos, len(photos))))
    side = padded_crop_size(options.image_size)

    with tempfile.TemporaryDirectory() as folder:
        paths = write_files(photos, Path(folder))
        report("JPEG files one by one, whole", len(paths), lambda: read_files(paths))
        report("JPEG files one by one, cropped each time", len(paths), lambda: crop_files(paths, photos, side))
    started = time.perf_counter()
    sets, _ = label_photo_sets({"set": make_padded_crops(photos, options.image_size)}, list(EXPRESSIONS_WITH_NEUTRAL))
    print(f"{'padded crops, made once and cached':45}{time.perf_counter() - started:8.1f} s")
    for name, kind, each in (("photos", BalancedPhotos, 1), ("pairs with truth", ExpressionPairs, 3)):
        items = kind(sets, 4 * len(photos), side)
        loader = DataLoader(items, options.batch_size, num_workers=options.workers)
        report(f"loader, {name}, first time", each * len(items), lambda loader=loader: exhaust(loader))
        report(f"loader, {name}, decoded", each * len(items), lambda loader=loader: exhaust(loader))


def write_files(photos, folder: Path) -> list[Path]:
    """Write the photos as JPEG files."""
    paths = []
    for number, row in enumerate(photos.select_columns(["image"])):
        paths.append(folder / f"{number}.jpg")
        Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB").save(paths[-1], quality=95)
    return paths


def read_files(paths: list[Path]):
    """Decode every file."""
    for path in paths:
        with Image.open(path) as image:
            np.asarray(image.convert("RGB"))


def crop_files(paths: list[Path], photos, side: int):
    """Decode and crop every file, as a loader without a cache does."""
    landmarks = np.array(photos["landmarks"][:])
    for path, points in zip(paths, landmarks):
        with Image.open(path) as image:
            crop_transform = zoom_out(fit_crop_transform(points), PADDED_CROP_MARGIN)
            np.asarray(crop_face(image.convert("RGB"), crop_transform, side))


def exhaust(loader: DataLoader):
    for _ in loader:
        pass


def report(name: str, count: int, work):
    started, used = time.perf_counter(), processor_seconds()
    work()
    seconds, busy = time.perf_counter() - started, processor_seconds() - used
    print(f"{name:45}{count / seconds:8.0f} images/s   {count / busy:8.0f} per second of processor time", flush=True)


def processor_seconds() -> float:
    """Processor seconds of this process and of its workers that have ended."""
    return sum(os.times()[:4])


if __name__ == "__main__":
    main()
