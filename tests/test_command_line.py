"""The command `tergan`, called as a function."""

import csv
import json
import shutil
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from tergan_hf import TerGanPipeline, VideoReport
from tergan_hf.cli import evaluate, export, expression_map
from tergan_hf.cli import tergan as tergan_command
from tergan_hf.model.provenance_tergan import is_marked_synthetic
from tergan_hf.model.video_tergan import FaceReport

from .conftest import NEUTRAL, ROOT, SMILING
from .exit_status import exit_status
from .video_clips import write_clip


@pytest.fixture
def clip(tmp_path_factory):
    """Four frames of a smiling face."""
    frame = Image.open(SMILING).convert("RGB").resize((200, 200))
    return write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", [frame] * 4)


@pytest.fixture
def tergan(monkeypatch, embedded_pipeline):
    """A function that runs the command and returns its exit status. The model is loaded once."""
    monkeypatch.setattr(TerGanPipeline, "from_pretrained", lambda *_: embedded_pipeline)
    return partial(exit_status, tergan_command.main)


def test_transfer_and_edit(tergan, tmp_path):
    assert tergan("transfer", SMILING, NEUTRAL, "-o", tmp_path / "c.png") == 0
    assert tergan("edit", NEUTRAL, "surprise", "-o", tmp_path / "d.jpg", "--mark", "--intensity", 0.5) == 0
    for name in ("c.png", "d.jpg"):
        assert Image.open(tmp_path / name).size == (640, 640) and is_marked_synthetic(tmp_path / name)


def test_a_bad_file_does_not_stop_a_folder(tergan, tmp_path, capsys):
    (tmp_path / "in" / "more").mkdir(parents=True)
    face = Image.open(NEUTRAL).resize((200, 200))
    for name in ("a.jpg", "a.png", "more/имя b.jpg"):
        face.save(tmp_path / "in" / name)
    (tmp_path / "in" / "bad.jpg").write_text("no picture")
    assert tergan("edit", tmp_path / "in", "anger", "-o", tmp_path / "out", "-q") == 1
    made = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*"))
    assert made == ["a.png", "a.png.png", "more/имя b.png"]
    printed = capsys.readouterr().err
    assert "bad.jpg" in printed and "1 of 4" in printed


def test_an_unforeseen_error_does_not_lose_the_other_files(tergan, embedded_pipeline, tmp_path, monkeypatch, capsys):
    (tmp_path / "in").mkdir()
    for name in ("a.png", "b.png"):
        Image.open(NEUTRAL).resize((200, 200)).save(tmp_path / "in" / name)
    original = {name: getattr(TerGanPipeline, name) for name in ("recognize_faces", "edit")}

    def failing(name):
        def work(pipe, image, *words, **options):
            if Path(image).name == "a.png":
                raise RuntimeError("out of luck")
            return original[name](pipe, image, *words, **options)

        return work

    for name in original:
        monkeypatch.setattr(TerGanPipeline, name, failing(name))
    assert tergan("recognize", tmp_path / "in", "-o", tmp_path / "c.csv", "-q") == 1
    assert "a.png: RuntimeError: out of luck" in capsys.readouterr().err
    assert [Path(row["file"]).name for row in csv.DictReader((tmp_path / "c.csv").open())] == ["b.png"]
    assert tergan("edit", tmp_path / "in", "anger", "-o", tmp_path / "out", "-q") == 1
    assert "a.png: RuntimeError: out of luck" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.png"]


def test_recognize_photos_and_clips(tergan, clip, tmp_path, capsys):
    assert tergan("recognize", SMILING, clip, "-o", tmp_path / "a.csv", "-q") == 0
    rows = list(csv.DictReader((tmp_path / "a.csv").open()))
    assert rows[0]["expression"] == "happiness" and float(rows[0]["happiness"]) > 0.5 and rows[0]["face"] == "0"
    assert len(rows) == 5 and float(rows[-1]["time"]) == pytest.approx(0.3, abs=0.01)
    assert rows[-1]["expression"] == "happiness"
    assert tergan("recognize", SMILING, "-q", "--format", "json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer[0]["faces"][0]["expression"] == "happiness" and len(answer[0]["faces"][0]["box"]) == 4
    assert tergan("recognize", SMILING) == 0
    assert "face 0  happiness" in capsys.readouterr().out


def test_a_clip_animates_a_photo(tergan, clip, tmp_path):
    import av

    Image.open(NEUTRAL).resize((200, 200)).save(tmp_path / "small.png")
    assert tergan("transfer", clip, tmp_path / "small.png", "-o", tmp_path / "moving.mp4", "-q") == 0
    with av.open(str(tmp_path / "moving.mp4")) as made:
        assert made.metadata["comment"] == "Synthetic, made with TER-GAN"


@pytest.fixture
def calls(monkeypatch, embedded_pipeline):
    """What the command asks of the pipeline for clips: a list of positional and named arguments."""
    made = []

    def answer(*given, **named):
        made.append((given, named))
        return VideoReport(
            Path("out.mp4"), 3, faces=[FaceReport(1, 0, True, 0.32), FaceReport((320.0, 200.0), 0, False)]
        )

    for name in ("transfer_video", "edit_video"):
        monkeypatch.setattr(embedded_pipeline, name, answer)
    return made


def test_faces_of_a_photo_are_paired_with_drivers(tergan, clip, calls, tmp_path, capsys):
    words = ("transfer", clip, NEUTRAL, "-o", tmp_path / "out.mp4")
    assert tergan(*words, "--pair", "0=1", "--pair", "12,7.5=0", "--no-relative", "-q") == 0
    (given, named) = calls[0]
    assert named["faces"] == {0: 1, (12.0, 7.5): 0} and given[4] is False
    assert tergan(*words) == 0 and calls[1][1]["faces"] is None and calls[1][0][4] is None
    told = capsys.readouterr().err
    assert "the expression of face 1 is carried as its change since the calm frame at 0.3 s." in told
    assert "the expression of face (320.0, 200.0) is carried as it is" in told
    assert tergan(*words, "--relative") == 0 and calls[2][0][4] is True
    assert "need a driving clip" in tergan("transfer", SMILING, NEUTRAL, "-o", tmp_path / "out.png", "--relative")
    assert "is carried" not in capsys.readouterr().err


def test_several_faces_of_a_clip_are_edited(tergan, clip, calls, tmp_path):
    photo = str(shutil.copy(SMILING, tmp_path / "fear=less.jpg"))
    words = ("edit", clip, "happiness", "-o", tmp_path / "out.mp4", "-q")
    assert tergan(*words, "--face", "1", "--also", "0=neutral", "--also", f"9,8={photo}") == 0
    given, named = calls[0]
    assert given[1] == {1: "happiness", 0: "neutral", (9.0, 8.0): photo} and named["face"] is None
    assert tergan(*words, "--face", "1") == 0 and calls[1][0][1] == "happiness" and calls[1][1]["face"] == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("transfer", SMILING, NEUTRAL, "-o", "c.png", "--pair", "0=1"), "--pair needs a driving clip"),
        (("edit", NEUTRAL, "anger", "-o", "c.png", "--also", "1=fear"), "is a photo; --also is for clips"),
        (("transfer", "gone.jpg", NEUTRAL, "-o", "c.png"), "there is no gone.jpg"),
        (("edit", NEUTRAL, "bored", "-o", "c.png"), "'bored' is neither"),
        (("edit", NEUTRAL, "anger", "-o", NEUTRAL), "over itself"),
        (("edit", NEUTRAL, "anger", "-o", "c.mp4"), "does not fit"),
        (("edit", NEUTRAL, "anger", "-o", "no/such/c.png"), "no such folder"),
        (("edit", NEUTRAL, "anger", "-o", "c.gif"), r"\.png, \.jpg or \.webp"),
        (("edit", NEUTRAL, "anger", "-o", "c.png", "--intensity", "nan"), "intensity must be a number from -3 to 3"),
        (("recognize", NEUTRAL, "-o", "c.txt"), r"\.json or \.csv"),
        (("recognize", NEUTRAL, "-o", "no/such/c.json"), "no such folder"),
        (("recognize", str(ROOT / "configs")), "holds no file"),
    ],
)  # fmt: skip
def test_a_foreseen_error_is_one_line(tergan, tmp_path, monkeypatch, words, message):
    import re

    monkeypatch.chdir(tmp_path)
    error = tergan(*words)
    assert error.startswith("tergan: ") and re.search(message, error) and "\n" not in error
    assert not list(tmp_path.iterdir())


def test_a_face_is_named_once(tergan, clip, tmp_path):
    out = tmp_path / "out.mp4"
    assert "--pair names a face twice" in tergan(
        "transfer", clip, NEUTRAL, "-o", out, "--pair", "0=1", "--pair", "0=2"
    )
    assert "--also names a face twice" in tergan("edit", clip, "fear", "-o", out, "--also", "0=anger")
    assert tergan("transfer", clip, NEUTRAL, "-o", out, "--pair", "0") == 2
    assert tergan("edit", clip, "fear", "-o", out, "--also", "x=anger") == 2


def test_any_other_error_keeps_its_traceback(tergan, embedded_pipeline, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise ValueError("a bug")

    monkeypatch.setattr(embedded_pipeline, "transfer", fail)
    with pytest.raises(ValueError, match="a bug"):
        tergan("transfer", SMILING, NEUTRAL, "-o", tmp_path / "c.png")


@pytest.mark.parametrize(
    ("main", "words"),
    [
        (tergan_command.main, ["edit", NEUTRAL, "anger", "-o", "c.png", "--model", "no/model"]),
        (evaluate.main, ["--model", "no/model"]),
        (export.main, ["no/model", "onnx"]),
        (expression_map.main, ["--model", "no/model", "--data_root", "."]),
    ],
)
def test_a_missing_model_is_one_line(main, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = exit_status(main, *words)
    assert "no/model" in answer and "\n" not in answer


def test_the_driving_face_is_another_name_of_the_source_face():
    words = ["transfer", "clip.mp4", "me.jpg", "-o", "out.mp4"]
    for name in ("--source-face", "--driving-face"):
        assert tergan_command.build_parser().parse_args([*words, name, "1"]).source_face == 1


def test_help_has_examples(tergan, capsys):
    assert tergan("--help") == 0
    assert "tergan transfer smiling.jpg me.jpg -o me_smiling.png" in capsys.readouterr().out
