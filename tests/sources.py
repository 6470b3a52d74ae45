"""Miniature copies of the public sources, in their real layouts."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from .conftest import EXAMPLES


EMOTIONS = {
    "oulu": ("Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise"),
    "bu": ("Angry", "Disgust", "Fear", "Happy", "Sad", "Surprise"),
}


def write_photo(path: Path, number: int = 0, side: int = 16) -> Path:
    """Write a picture of one grey tone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (side, side), (number % 256,) * 3).save(path)
    return path


def write_face(path: Path, number: int = 0) -> Path:
    """Write a photo of a face."""
    path.parent.mkdir(parents=True, exist_ok=True)
    faces = sorted(EXAMPLES.glob("*.jpg"))
    Image.open(faces[number % len(faces)]).convert("RGB").resize((160, 160)).save(path)
    return path


def write_recordings(root: Path, subjects, emotions, frames: int = 6, suffix: str = "jpeg") -> Path:
    """Write `root/subject/emotion/000.jpeg …`. The tone of a frame is its number."""
    for subject in subjects:
        for emotion in emotions:
            for frame in range(frames):
                write_photo(root / subject / emotion / f"{frame:03d}.{suffix}", frame)
    return root


def write_fer2013(path: Path, spaces: bool = False) -> Path:
    """Write the Kaggle table. With `spaces`, its header has spaces like that of icml_face_data.csv."""
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    with open(path, "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["emotion", " Usage", " pixels"] if spaces else ["emotion", "pixels", "Usage"])
        for number, usage in enumerate(("Training",) * 7 + ("PublicTest", "PrivateTest")):
            pixels = " ".join(map(str, random.integers(0, 256, 48 * 48)))
            table.writerow([number % 7, usage, pixels] if spaces else [number % 7, pixels, usage])
    return path
