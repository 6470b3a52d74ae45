"""Blendshapes that a model reads from a face."""

import csv
import json
from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageOps

from tergan_hf import (
    TerGanConfig,
    TerGanForImageClassification,
    TerGanModel,
    TerGanPipeline,
)
from tergan_hf.cli import tergan as command
from tergan_hf.demo.views import MOST_BLENDSHAPES, blendshape_tables
from tergan_hf.model.blendshapes_tergan import (
    ARKIT_BLENDSHAPES,
    GAZE_LIMIT,
    GAZE_NAMES,
    describe_gaze,
    strongest_blendshapes,
)
from tergan_hf.model.errors_tergan import InvalidInputError

from .app_handlers import built_app, handlers_of, shows_sliders
from .conftest import SMILING
from .exit_status import exit_status
from .tiny_models import TINY, pipeline_of, save_pipeline
from .video_clips import write_clip


NAMES = [*ARKIT_BLENDSHAPES, *GAZE_NAMES]


def test_blendshapes_of_a_face_and_its_mirror_image_change_sides():
    torch.manual_seed(0)
    names = ("jawOpen", "eyeBlinkLeft", "eyeBlinkRight", "gazeX", "gazeY")
    config = TerGanConfig.photo(**TINY, blendshape_names=names)
    model, classifier = TerGanModel(config).eval(), TerGanForImageClassification(config).eval()
    model.blendshape_regressor.bias.data += torch.tensor([0.5, 0.4, 0.6, 3.0, 100.0])
    classifier.load_state_dict({name: model.state_dict()[name] for name in classifier.state_dict()})
    pixels = torch.rand(3, 3, 32, 32)
    read, mirrored = model.read_blendshapes(pixels), model.read_blendshapes(pixels.flip(3))
    assert read.shape == (3, 5) and (read[:, :3] >= 0).all() and (read[:, :3] <= 1).all()
    assert (read[:, 4] == GAZE_LIMIT).all()
    torch.testing.assert_close(mirrored, read[:, [0, 2, 1, 3, 4]] * torch.tensor([1, 1, 1, -1, 1]))
    assert (read[:, 1] - read[:, 2]).abs().max() > 0.01
    torch.testing.assert_close(classifier(pixels).blendshapes, read)
    model.config.mirror_recognition = False
    torch.testing.assert_close(
        model.read_blendshapes(pixels), model.regress_blendshapes(model.encode_expression(pixels))
    )


def test_a_model_without_blendshapes_says_so():
    model = TerGanForImageClassification(TerGanConfig(**TINY))
    with pytest.raises(InvalidInputError, match="read no blendshapes"):
        model.read_blendshapes(torch.zeros(1, 3, 32, 32))
    assert model(torch.zeros(2, 3, 32, 32)).blendshapes is None


def test_blendshapes_by_name_of_images_lists_and_faces(blendshape_pipeline, smiling, neutral):
    pipe = blendshape_pipeline
    read = pipe.blendshapes(smiling)
    assert list(read) == NAMES == pipe.blendshape_names
    assert all(0 <= read[name] <= 1 for name in ARKIT_BLENDSHAPES)
    assert pipe.blendshapes(SMILING) == read
    together = pipe.blendshapes([neutral, smiling])
    assert together[1] == pytest.approx(read, abs=1e-4) and together[0] != pytest.approx(read, abs=1e-3)
    both = Image.new("RGB", (640, 320), "white")
    both.paste(smiling.resize((320, 320)))
    both.paste(neutral.resize((250, 250)), (360, 30))
    faces = pipe.recognize_faces(both, blendshapes=True)
    for number, face in enumerate(faces):
        assert face["blendshapes"] == pytest.approx(pipe.blendshapes(both, face=number), abs=1e-4)
    assert len(faces) == 2 and "blendshapes" not in pipe.recognize_faces(both)[0]


def test_a_mirrored_face_swaps_its_sides(blendshape_pipeline, smiling):
    crop = smiling.convert("RGB").resize((32, 32))
    read, mirrored = (blendshape_pipeline.blendshapes(image, detect=False) for image in (crop, ImageOps.mirror(crop)))
    for name, other in (("eyeBlinkLeft", "eyeBlinkRight"), ("mouthSmileRight", "mouthSmileLeft")):
        assert mirrored[name] == pytest.approx(read[other], abs=1e-4)
        assert mirrored[name] != pytest.approx(read[name], abs=1e-3)
    assert mirrored["jawOpen"] == pytest.approx(read["jawOpen"], abs=1e-4)
    assert mirrored["gazeX"] == pytest.approx(-read["gazeX"], abs=1e-4) and abs(read["gazeX"]) > 1e-3
    assert mirrored["gazeY"] == pytest.approx(read["gazeY"], abs=1e-4)


@pytest.fixture
def clip(tmp_path, smiling, neutral):
    """A clip of two faces and then none."""
    faces = [photo.convert("RGB").resize((240, 240)) for photo in (smiling, neutral)]
    return write_clip(tmp_path / "clip.mp4", [*faces, *[Image.new("RGB", (240, 240))] * 6])


def test_blendshapes_over_a_clip(blendshape_pipeline, clip, smiling):
    timeline = blendshape_pipeline.recognize_video(clip, progress=False, blendshapes=True)
    assert list(timeline[0]["blendshapes"]) == NAMES
    assert timeline[-1]["scores"] is None and timeline[-1]["blendshapes"] is None
    assert timeline[0]["blendshapes"] != timeline[1]["blendshapes"]
    plain = blendshape_pipeline.recognize_video(clip, progress=False)
    assert [entry["scores"] for entry in plain] == [entry["scores"] for entry in timeline]
    assert "blendshapes" not in plain[0]


@pytest.fixture
def plain(tiny_config, tmp_path):
    """A folder with a model that reads no blendshapes."""
    return save_pipeline(pipeline_of(TerGanModel(tiny_config)), tmp_path / "plain")


def test_a_model_without_blendshapes_refuses_before_it_looks_at_images(plain, tmp_path, capsys):
    pipe = TerGanPipeline.from_pretrained(plain, device="cpu")
    assert pipe.blendshape_names == []
    for ask in (
        lambda: pipe.blendshapes("no such file"),
        lambda: pipe.recognize_faces("no such file", blendshapes=True),
        lambda: pipe.recognize_video("no such file", blendshapes=True),
    ):
        with pytest.raises(InvalidInputError, match="read no blendshapes"):
            ask()
    answer = run_command("recognize", SMILING, "-o", tmp_path / "b.csv", "--blendshapes", "--model", plain)
    assert answer.startswith("tergan: these weights read no blendshapes") and not (tmp_path / "b.csv").exists()


def test_strongest_blendshapes_and_gaze_in_words():
    values = {"jawOpen": 0.3, "cheekPuff": 0.01, "mouthLeft": 0.9, "gazeX": -12.2, "gazeY": 0.3}
    assert list(strongest_blendshapes(values, 5).items()) == [("mouthLeft", 0.9), ("jawOpen", 0.3)]
    assert list(strongest_blendshapes(values, 1)) == ["mouthLeft"]
    assert describe_gaze(values) == "gaze 12° left"
    assert describe_gaze({"gazeX": 5.0, "gazeY": -7.0}) == "gaze 5° right, 7° down"
    assert (
        describe_gaze({"gazeX": 0.0, "gazeY": 0.0}) == "gaze straight ahead" and describe_gaze({"jawOpen": 1.0}) == ""
    )


run_command = partial(exit_status, command.main)


@pytest.fixture(scope="module")
def saved(blendshape_pipeline, tmp_path_factory):
    """A folder with the weights of `blendshape_pipeline`."""
    return save_pipeline(blendshape_pipeline, tmp_path_factory.mktemp("saved"))


def test_the_command_writes_blendshapes(saved, blendshape_pipeline, clip, tmp_path, capsys):
    expected = blendshape_pipeline.blendshapes(SMILING)
    options = ("--model", saved, "--device", "cpu", "-q", "--blendshapes")
    assert run_command("recognize", SMILING, clip, "-o", tmp_path / "a.csv", *options) == 0
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    assert list(rows[0])[-len(NAMES) :] == NAMES
    assert {name: float(rows[0][name]) for name in NAMES} == pytest.approx(expected, abs=1e-4)
    assert float(rows[1]["jawOpen"]) >= 0 and rows[-1]["jawOpen"] == rows[-1]["gazeX"] == ""
    assert run_command("recognize", SMILING, clip, "-o", tmp_path / "a.json", *options) == 0
    photo, frames = json.loads((tmp_path / "a.json").read_text())
    assert photo["faces"][0]["blendshapes"] == pytest.approx(expected, abs=1e-4)
    assert list(frames["frames"][0]["blendshapes"]) == NAMES and frames["frames"][-1]["blendshapes"] is None
    assert run_command("recognize", SMILING, *options) == 0
    first = next(iter(strongest_blendshapes(expected, 1)))
    assert f"{first} {expected[first]:.2f}" in capsys.readouterr().out


def test_the_command_writes_no_blendshapes_unasked(saved, tmp_path):
    assert run_command("recognize", SMILING, "-o", tmp_path / "a.csv", "--model", saved, "--device", "cpu") == 0
    assert "jawOpen" not in (tmp_path / "a.csv").read_text()


def test_the_app_shows_bars_and_a_timeline(blendshape_pipeline, saved, clip, tmp_path):
    read = blendshape_pipeline.blendshapes(SMILING)
    with built_app(blendshape_pipeline, saved, tmp_path / "gradio") as app:
        handlers = handlers_of(app)
        _, tables, _ = handlers["recognize_photo"](None, SMILING)
        answer = handlers["recognize"](SMILING)
        _, _, moves, table = handlers["recognize_clip"](None, str(clip))
    assert "Strongest blendshapes" in tables and "gaze" in tables
    assert all(name in tables for name in strongest_blendshapes(read, MOST_BLENDSHAPES))
    assert sum(name in tables for name in ARKIT_BLENDSHAPES) == MOST_BLENDSHAPES
    assert answer[0]["blendshapes"] == pytest.approx(read, abs=1e-3)
    curves = moves["value"]
    assert moves["visible"] and 1 <= curves["blendshape"].nunique() <= 6 and curves["weight"].between(0, 1).all()
    rows = list(csv.DictReader(Path(table["value"]).read_text().splitlines()))
    assert list(rows[0])[-len(NAMES) :] == NAMES and float(rows[0]["eyeBlinkLeft"]) >= 0
    assert rows[-1]["eyeBlinkLeft"] == ""


def test_bars_of_calm_and_of_several_faces():
    calm = {"jawOpen": 0.01, "gazeX": 0.0, "gazeY": 4.0}
    assert "No strong blendshapes, gaze 4° up" in blendshape_tables([{"blendshapes": calm}])
    tables = blendshape_tables([{"blendshapes": calm}, {"blendshapes": {"jawOpen": 0.62}}])
    assert "Face 1, no strong" in tables and "Face 2, strongest" in tables and "62 %" in tables


def test_the_app_hides_what_a_model_does_not_read(plain, clip, tmp_path):
    with built_app(TerGanPipeline.from_pretrained(plain, device="cpu"), plain, tmp_path / "gradio") as app:
        handlers = handlers_of(app)
        assert "blendshapes" not in handlers["recognize_photo"](None, SMILING)[1].lower()
        assert "blendshapes" not in handlers["recognize"](SMILING)[0]
        text, curves, moves, _ = handlers["recognize_clip"](None, str(clip))
        assert not shows_sliders(app)
    assert "with a face" in text and len(curves) and not moves["visible"]
