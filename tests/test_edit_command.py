"""`tergan edit --set` and `tergan names`."""

import json
from functools import partial

import numpy as np
import pytest
from PIL import Image

from tergan_hf import TerGanPipeline
from tergan_hf.cli import tergan as command
from tergan_hf.cli.named_values import read_values
from tergan_hf.model.errors_tergan import InvalidInputError
from tergan_hf.model.provenance_tergan import is_marked_synthetic

from .conftest import NEUTRAL
from .exit_status import exit_status
from .video_clips import write_clip


@pytest.fixture
def tergan(settable_pipeline, monkeypatch, tmp_path):
    """A function that runs the command in `tmp_path` and returns its exit status."""
    monkeypatch.setattr(TerGanPipeline, "from_pretrained", lambda *_: settable_pipeline)
    monkeypatch.chdir(tmp_path)
    return partial(exit_status, command.main)


def pixels(image):
    return np.asarray(Image.open(image) if isinstance(image, str) else image, int)


def test_blendshapes_are_set_with_and_without_a_label(tergan, settable_pipeline):
    assert tergan("edit", NEUTRAL, "--set", "jawOpen=0.8", "eyeBlinkLeft=1", "gazeLeft=20", "-o", "set.png") == 0
    expected = settable_pipeline.edit(NEUTRAL, {"jawOpen": 0.8, "eyeBlinkLeft": 1, "gazeLeft": 20})
    assert np.abs(pixels("set.png") - pixels(expected)).max() <= 1 and is_marked_synthetic("set.png")
    assert tergan("edit", NEUTRAL, "anger", "--set", "jawOpen=0.8", "-o", "label.png") == 0
    expected = settable_pipeline.edit(NEUTRAL, {"anger": 1, "jawOpen": 0.8})
    assert np.abs(pixels("label.png") - pixels(expected)).max() <= 1
    assert np.abs(pixels("label.png") - pixels("set.png")).max() > 5


def test_a_preset_serves_a_folder_of_photos_and_clips(tergan, tmp_path, neutral):
    (tmp_path / "in").mkdir()
    small = neutral.convert("RGB").resize((200, 200))
    small.save(tmp_path / "in" / "a.png")
    write_clip(tmp_path / "in" / "b.mp4", [small] * 2)
    (tmp_path / "preset.json").write_text(json.dumps({"neutral": 1, "mouthFunnel": 1}))
    words = ("--set", "@preset.json", "jawOpen=1", "-q")
    assert tergan("edit", "in", *words, "-o", "out") == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "b.mp4"]
    assert np.abs(pixels("out/a.png") - pixels(small)).max() > 5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "name an expression (a label or a photo), or --set NAME=VALUE"),
        (("--set", "jawOpen"), "--set takes NAME=VALUE or @preset.json, got 'jawOpen'"),
        (("--set", "=1"), "--set takes NAME=VALUE"),
        (("--set", "jawOpen=wide"), "--set: the value of jawOpen must be a number, got 'wide'"),
        (("--set", "jawOpen=3"), "--set: jawOpen must be a number from 0 to 1.2, got 3.0"),
        (("--set", "jawOpen=nan"), "--set: jawOpen must be a number from 0 to 1.2, got nan"),
        (("--set", "jawOpne=1"), "--set: 'jawOpne' is no known name. Did you mean jawOpen"),
        (("--set", "@gone.json"), "the preset gone.json does not exist"),
        (("--set", "@list.json"), "the preset list.json must be a JSON object"),
        (("--set", "@broken.json"), "the preset broken.json must be"),
        (("--set", "@words.json"), "--set: jawOpen must be a number from 0 to 1.2, got wide"),
        (("nobody", "--set", "jawOpen=1"), "--set: 'nobody' is no known name"),
        (("anger", "--set", "anger=0.5"), "--set names anger, which is given as the expression already"),
        ((NEUTRAL, "--set", "jawOpen=1"), "is a photo: leave one of them out"),
        (("Anger", "--set", "anger=0.5"), "--set names Anger, which is given as the expression already"),
        (("hapiness",), "'hapiness' is neither a known expression nor an existing file"),
        (("anger", "--intensity", "5"), "intensity must be a number from -3 to 3"),
        (("anger", "--source-face", "1"), "--source-face is for a photo that shows the expression"),
    ],
)
def test_what_cannot_be_set_is_one_line(tergan, tmp_path, words, message):
    (tmp_path / "list.json").write_text("[1, 2]")
    (tmp_path / "broken.json").write_bytes(b"\xff{")
    (tmp_path / "words.json").write_text('{"jawOpen": "wide"}')
    (tmp_path / "in").mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (16, 16)).save(tmp_path / "in" / name)
    answer = tergan("edit", "in", *words, "-o", "out")
    assert answer.startswith("tergan: ") and message in answer and "\n" not in answer
    assert not (tmp_path / "out").exists()


def test_later_values_replace_those_of_a_preset(tmp_path):
    (tmp_path / "a=b.json").write_text('{"jawOpen": 1, "gazeUp": 5}')
    words = [f"@{tmp_path / 'a=b.json'}", "jawOpen=0.2"]
    assert read_values(words, "neutral") == {"neutral": 1, "jawOpen": 0.2, "gazeUp": 5}
    for later, expected in {
        "JAWOPEN=0.2": {"gazeUp": 5, "JAWOPEN": 0.2},
        "gazeDown=3": {"jawOpen": 1, "gazeDown": 3},
        "gazeY=-3": {"jawOpen": 1, "gazeY": -3},
    }.items():
        assert read_values([*words[:1], later]) == expected
    assert read_values(["mouthSmile=0.5", "mouthSmileLeft=0.1"]) == {"mouthSmileRight": 0.5, "mouthSmileLeft": 0.1}
    assert read_values(["mouthSmileLeft=0.1", "mouthSmile=0.5"]) == {"mouthSmile": 0.5}
    assert read_values(["Anger=0.5", "anger=0.1"]) == {"anger": 0.1}
    (tmp_path / "long.json").write_text('{"jawOpen": 1' + " " * 200_000 + "}")
    with pytest.raises(InvalidInputError, match="must be a JSON object"):
        read_values([f"@{tmp_path / 'long.json'}"])


def test_the_expression_may_follow_the_options(tergan, settable_pipeline, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(
        settable_pipeline, "edit", lambda photo, wanted, **_: asked.append(wanted) or Image.open(photo)
    )
    orders = (("edit", NEUTRAL, "-o", "a.png", "anger"), ("edit", "-o", "b.png", NEUTRAL, "anger"))
    for words in (*orders, ("edit", NEUTRAL, "anger", "-o", "c.png")):
        assert tergan(*words) == 0
    assert asked == ["anger"] * 3
    assert tergan("edit", NEUTRAL, "anger", "-o", "d.png", "surplus") == 2
    assert "unrecognized arguments: surplus" in capsys.readouterr().err
    assert tergan("edit", NEUTRAL, "-o", "d.png", "--nonsense") == 2


def test_quiet_is_quiet_while_weights_are_loaded(capsys):
    assert exit_status(command.main, "names", "-q") == 0
    printed = capsys.readouterr()
    assert printed.err == "" and "jawOpen" in printed.out


def test_names_lists_every_name_with_its_range(tergan, settable_pipeline, capsys):
    assert tergan("names") == 0
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert [name for name, _ in lines] == list(settable_pipeline.editable_names)
    assert dict(lines)["gazeX"] == "-45 to 45" and dict(lines)["jawOpen"] == "0 to 1.2"
