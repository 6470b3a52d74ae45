"""Tracking in clips: people who cross, leave and come back; cuts."""

from functools import cache

import numpy as np
import pytest
import torch
from PIL import Image

from tergan_hf import TerGanPipeline
from tergan_hf.model.face_animation_tergan import ExpressionReader
from tergan_hf.model.face_tracking_tergan import CutDetector

from .conftest import ROOT


EXAMPLES = ROOT / "assets" / "examples"
INTERVAL = 1 / 25
WIDTH, HEIGHT, SIDE = 640, 240, 200


@pytest.fixture(scope="module")
def pipeline():
    return TerGanPipeline.from_pretrained(ROOT / "weights" / "ter-gan", device="cpu")


@cache
def portrait(name: str) -> Image.Image:
    photo = Image.open(EXAMPLES / f"{name}.jpg").convert("RGB")
    side = min(photo.size)
    left, top = (photo.width - side) // 2, (photo.height - side) // 2
    return photo.crop((left, top, left + side, top + side)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def scene(*people: tuple[str, int], background: int = 120) -> Image.Image:
    """People by name and left edge; later ones are in front."""
    frame = Image.new("RGB", (WIDTH, HEIGHT), (background, background, background))
    for name, left in people:
        frame.paste(portrait(name), (left, (HEIGHT - SIDE) // 2))
    return frame


def follow(reader: ExpressionReader, frames) -> list[float | None]:
    """Horizontal position of the tracked face in each frame."""
    positions = []
    for frame in frames:
        landmarks = reader.tracker(frame, INTERVAL)
        positions.append(None if landmarks is None else float(landmarks.mean(0)[0]))
    return positions


ONE, OTHER = "london_014_neutral", "london_043_neutral"


@pytest.mark.parametrize("tracked", [ONE, OTHER])
def test_the_same_person_is_followed_when_two_cross(pipeline, tracked):
    other = OTHER if tracked == ONE else ONE
    steps = np.linspace(0, WIDTH - SIDE, 30).astype(int)
    # The tracked person stays behind the other one, who walks past in the opposite direction.
    frames = [scene((tracked, left), (other, WIDTH - SIDE - left)) for left in steps]
    reader = ExpressionReader(pipeline, (SIDE // 2, HEIGHT // 2))
    positions = follow(reader, frames)
    assert abs(positions[0] - SIDE / 2) < 15
    assert abs(positions[-1] - (WIDTH - SIDE / 2)) < 15
    hidden = [abs(left - (WIDTH - SIDE - left)) < SIDE * 0.7 for left in steps]
    for left, position, covered in zip(steps, positions, hidden, strict=True):
        if not covered and position is not None:
            assert abs(position - left - SIDE / 2) < 25, left
    assert sum(position is None for position in positions) <= 12


def test_a_stranger_who_comes_instead_is_not_followed(pipeline):
    empty = scene()
    frames = [*[scene((ONE, 0))] * 3, *[empty] * 2, *[scene((OTHER, 20))] * 8, *[scene((OTHER, 20), (ONE, 400))] * 3]
    positions = follow(ExpressionReader(pipeline), frames)
    assert all(position is not None for position in positions[:3])
    assert positions[3:13] == [None] * 10
    assert all(abs(position - 400 - SIDE / 2) < 15 for position in positions[13:])


def test_after_a_cut_the_person_is_found_again_at_once(pipeline):
    frames = [*[scene((ONE, 0), (OTHER, 400))] * 5, *[scene((OTHER, 0), (ONE, 400), background=20)] * 3]
    positions = follow(ExpressionReader(pipeline, (SIDE // 2, HEIGHT // 2)), frames)
    assert all(abs(position - SIDE / 2) < 15 for position in positions[:5])
    assert all(abs(position - 400 - SIDE / 2) < 15 for position in positions[5:])


def test_smoothing_starts_anew_after_a_cut(pipeline):
    smiling = "london_120_happiness"
    calm = Image.fromarray(np.asarray(portrait(smiling))[:, ::-1].copy())

    def frames():
        for _ in range(6):
            frame = scene(background=200)
            frame.paste(calm, (0, 20))
            yield frame
        yield scene((smiling, 300), background=20)

    @torch.inference_mode()
    def last(reader, sequence):
        for frame in sequence:
            face = reader.find_face(frame, INTERVAL)
            expression = pipeline.model.encode_expression(pipeline.pixel_values([face]))
            smoothed = reader.smooth(expression, INTERVAL)
        return face.crop_transform, expression, smoothed

    transform, expression, smoothed = last(ExpressionReader(pipeline), frames())
    alone, _, _ = last(ExpressionReader(pipeline), list(frames())[-1:])
    assert np.allclose(transform, alone, atol=1e-6)
    assert (expression - smoothed).abs().max() < 1e-6


def test_cuts_are_told_from_movement():
    rng = np.random.default_rng(0)
    texture = Image.fromarray(rng.integers(0, 256, (9, 16, 3), np.uint8)).resize((640, 360), Image.Resampling.BICUBIC)
    found = CutDetector()
    moved = [texture.transform(texture.size, Image.Transform.AFFINE, (1, 0, 6 * i, 0, 1, 3 * i)) for i in range(5)]
    assert not any(found(frame) for frame in moved)
    assert found(texture.transpose(Image.Transpose.ROTATE_180))
    assert not found(texture.transpose(Image.Transpose.ROTATE_180))
