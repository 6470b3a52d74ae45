"""Paste-back of a large photo: in strips, with the same result and in little memory."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from tergan_hf.model.face_blending_tergan import paste_change, paste_crop

from .conftest import ROOT


WHOLE = np.array([[1 / 80, 0, 0], [0, 1 / 80, 0]])  # of a photo of 80 pixels
CROP_TRANSFORM = np.array([[1 / 500, 1 / 4000, -0.2], [-1 / 4000, 1 / 500, -0.1]])


def example_photo(width: int, height: int) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("magnification", [1, 2, 8])
def test_strips_give_the_same_photo(monkeypatch, magnification):
    random, size = np.random.default_rng(1), 512 // magnification
    photo = example_photo(800, 640)
    residual = random.normal(0, 20, (size, size, 3)).astype(np.float32)
    flow = random.normal(0, 0.02, (size, size, 2)).astype(np.float32)
    crop = random.uniform(0, 255, (size, size, 3)).astype(np.float32)

    def paste_all() -> list[np.ndarray]:
        results = [
            paste_change(photo, CROP_TRANSFORM, residual, flow),
            paste_change(photo, CROP_TRANSFORM, residual, flow, fades=False),
            paste_change(photo, CROP_TRANSFORM, residual),
            paste_crop(photo, CROP_TRANSFORM, crop),
        ]
        return [np.asarray(result, int) for result in results]

    whole = paste_all()
    monkeypatch.setattr("tergan_hf.model.face_blending_tergan.STRIP_PIXELS", 30_000)
    in_strips = paste_all()
    for one, other in zip(whole[:2], in_strips[:2]):
        # Looking up moved pixels rounds a little differently in a strip.
        assert np.abs(one - other).max() <= 1 and (one != other).mean() < 1e-3
    for one, other in zip(whole[2:], in_strips[2:]):
        assert (one == other).all()
    assert np.abs(whole[0] - np.asarray(photo, int)).max() > 5


@pytest.mark.skipif(sys.platform == "win32", reason="the peak of memory is read the way of Unix")
def test_a_face_that_fills_a_large_photo_needs_little_memory():
    program = """
import resource, sys, numpy as np
from PIL import Image
from tergan_hf.model.face_blending_tergan import paste_change
unit = 1 if sys.platform == "darwin" else 1024
peak = lambda: unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
random = np.random.default_rng(0)
residual, flow = random.normal(0, 9, (128, 128, 3)), random.normal(0, 0.01, (128, 128, 2))
transform = lambda side: np.array([[1 / side, 0, 0], [0, 1 / side, 0]])
paste_change(Image.new("RGB", (300, 300)), transform(300), residual, flow)
photo = Image.new("RGB", (4000, 4000), "teal")
before = peak()
paste_change(photo, transform(4000), residual, flow)
print((peak() - before) / (3 * 4000**2))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 6, "photos' worth of memory"


def test_pixels_stay_on_the_cpu_whatever_the_default_device():
    photo, random = example_photo(80, 80), np.random.default_rng(2)
    residual, flow = (random.normal(0, 0.02, (32, 32, count)).astype(np.float32) for count in (3, 2))
    expected = paste_change(photo, WHOLE, residual, flow)
    with torch.device("meta"):
        assert paste_change(photo, WHOLE, residual, flow).tobytes() == expected.tobytes()
