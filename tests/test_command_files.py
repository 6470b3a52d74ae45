"""Inputs and outputs of the command `tergan`: which files are taken, what is refused, what is never lost."""

import csv
import errno
import io
import json
import os
import re
import shutil
import signal
import sys
from concurrent.futures import ThreadPoolExecutor

import av
import pytest
import torch
from PIL import Image

from tergan_hf import InvalidInputError, MissingFileError, TerGanPipeline, VideoReport
from tergan_hf.cli import tergan as command
from tergan_hf.cli.errors import one_line_errors
from tergan_hf.data.media_files import CLIP, PHOTO, find_media
from tergan_hf.evaluation.loading import load_model
from tergan_hf.model.atomic_file_tergan import AtomicFile
from tergan_hf.model.model_loading_tergan import choose_device
from tergan_hf.training.warm_start import load_saved

from .conftest import NEUTRAL, ROOT, WEIGHTS
from .exit_status import exit_status


NOT_UTF8 = os.fsdecode(b"face \xff.png")
PHOTO_KINDS = {
    "a.jfif": "JPEG", "b.jpe": "JPEG", "c.avif": "AVIF", "d.gif": "GIF", "e.jp2": "JPEG2000", "f.JPEG": "JPEG",
    "without ending": "PNG", "12.05.2024": "JPEG", "a clip by its name.mp4": "PNG", "g.ts": "WEBP",
}  # fmt: skip
CLIP_KINDS = {
    "a.3gp": "3gp", "b.mts": "mpegts", "c.ts": "mpegts", "d.flv": "flv", "e.mpg": "mpeg", "f.MP4": "mp4",
    "clip without ending": "matroska", "a photo by its name.jpg": "mp4",
}  # fmt: skip


@pytest.fixture
def tergan(monkeypatch, tmp_path):
    """A function that runs the command in `tmp_path`, with results that need no model, and returns its exit status."""

    class Pipe:
        labels = ["anger", "happiness"]

        def match_label(self, wanted, *_):
            return wanted if wanted in self.labels else None

        def edit(self, image, *_, **__):
            return Image.open(image).convert("RGB")

        def transfer(self, source, target, *_, **__):
            return Image.open(target).convert("RGB")

        def edit_video(self, clip, expression, output, **_):
            shutil.copy(clip, output)
            return VideoReport(output, 3)

        def transfer_video(self, driving, target, output, *_, **__):
            shutil.copy(driving, output)
            return VideoReport(output, 3, damaged_packets=2, notes=["The sound is left out."])

        blendshape_names: list[str] = []

        def recognize_faces(self, image, **_):
            scores = [{"label": "happiness", "score": 0.75}, {"label": "anger", "score": 0.25}]
            return [{"box": [0, 0, 1, 1], "confidence": 1.0, "scores": scores}]

    loaded = []
    monkeypatch.setattr(TerGanPipeline, "from_pretrained", lambda *_: loaded.append(1) or Pipe())
    monkeypatch.chdir(tmp_path)

    def run(*words):
        loaded.clear()
        status = exit_status(command.main, *words)
        run.loaded = bool(loaded)
        return status

    return run


def write_photo(path, kind=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (16, 16), "red").save(path, kind)
    return path


def write_clip(path, kind):
    with av.open(str(path), "w", format=kind) as container:
        codecs = {"mpeg": "mpeg1video", "flv": "flv", "mpegts": "mpeg2video"}
        stream = container.add_stream(codecs.get(kind, "mpeg4"), rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(30):
            container.mux(stream.encode(av.VideoFrame.from_image(Image.new("RGB", (64, 64), "red"))))
        container.mux(stream.encode(None))
    return path


# Models and devices


@pytest.mark.parametrize("device", ["gpu", "cuda:7", "CUDA:99", "tpu", "meta", "", "cpu,cuda", "xyz:1"])
def test_a_device_that_is_not_there_is_named_with_those_that_are(device):
    with pytest.raises(InvalidInputError, match=rf"device '{device}' cannot be used: this machine has .*cpu"):
        TerGanPipeline.from_pretrained(WEIGHTS, device=device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has it")
def test_cuda_on_a_build_without_it_is_one_line(tmp_path):
    with pytest.raises(SystemExit, match=r"tergan: device 'cuda' cannot be used: this machine has [^\n]*cpu"):
        command.main(["edit", NEUTRAL, "anger", "-o", str(tmp_path / "a.png"), "--device", "cuda"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("device", [None, "cpu", "CPU ", torch.device("cpu")])
def test_a_device_may_be_written_in_several_ways(device):
    assert choose_device(device).type in (("cpu", "cuda", "mps") if device is None else ("cpu",))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("/nowhere", "^/nowhere is neither a folder nor an id on the Hub"),
        ("./gone", "^./gone is neither"),
        ("runs/photo/model", "^runs/photo/model is neither"),
        ("my model", "^my model is neither"),
        ("https://huggingface.co/org/model", "is neither"),
        ("", "name of the model is empty"),
        ("empty", r"^empty holds no complete model: it has no config\.json, .*model\.safetensors"),
        ("half", r"^half holds no complete model: it has no .*model\.safetensors"),
        ("file", "^file is a file"),
        ("org/never-cached", "org/never-cached is neither a folder nor a model that can be loaded"),
    ],
)
def test_a_model_that_is_not_there_is_named(tmp_path, monkeypatch, name, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "half").mkdir()
    shutil.copy(WEIGHTS / "config.json", tmp_path / "half")
    (tmp_path / "file").write_text("no model")
    for load in (TerGanPipeline.from_pretrained, load_model):
        with pytest.raises((MissingFileError, InvalidInputError), match=message) as caught:
            load(name)
        assert "\n" not in str(caught.value)


def test_a_training_argument_names_a_model_that_is_not_there():
    with pytest.raises(InvalidInputError, match=r"^pretrained: /nowhere is neither a folder nor an id on the Hub"):
        load_saved("/nowhere")


def test_the_app_names_a_model_that_is_not_there(python, tmp_path):
    done = python.run([ROOT / "app.py"], tmp_path, TERGAN_MODEL="/nowhere")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("app.py: /nowhere is neither") and "Traceback" not in done.stderr


# Folders


def test_a_folder_with_one_photo_and_a_new_output_folder(tergan, tmp_path):
    write_photo(tmp_path / "in" / "deep" / "a.jpg")
    assert tergan("edit", "in", "anger", "-o", "new/out", "-q") == 0
    assert (tmp_path / "new" / "out" / "deep" / "a.png").is_file()
    assert tergan("edit", "in/deep/a.jpg", "anger", "-o", "other/", "-q") == 0
    assert (tmp_path / "other" / "a.png").is_file()


def test_results_inside_the_inputs_are_not_worked_on_again(tergan, tmp_path):
    write_photo(tmp_path / "in" / "a.jpg")
    os.symlink("in", tmp_path / "link")
    for source, output in (("in", "in/out"), ("link", "in/out"), ("in", "link/out"), ("in/.", "./in/x/../out")):
        (tmp_path / "in" / "x").mkdir(exist_ok=True)
        assert tergan("edit", source, "anger", "-o", output, "-q", "--overwrite") == 0
        made = [path.name for path in (tmp_path / "in" / "out").rglob("*") if path.is_file()]
        assert made == ["a.png"], (source, output)
    for output in ("in", "link", "in/../in/"):
        assert "folder of the inputs" in tergan("edit", "in", "anger", "-o", output, "-q")
    assert tergan("recognize", "in", "-o", "in/a.json") == 0
    assert tergan("recognize", "in", "-o", "in/a.json", "--overwrite") == 0
    assert {answer["file"] for answer in json.loads((tmp_path / "in" / "a.json").read_text())} == {
        "in/a.jpg", "in/out/a.png",
    }  # fmt: skip


def test_hidden_files_are_left_out_without_a_word(tergan, tmp_path, capsys):
    write_photo(tmp_path / "in" / "a.jpg")
    for name in ("._a.jpg", ".DS_Store", ".thumbnails/a.jpg"):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"\0\5\x16\7" + bytes(100))
    assert tergan("edit", "in", "anger", "-o", "out", "-q") == 0
    assert [path.name for path in (tmp_path / "out").rglob("*")] == ["a.png"] and capsys.readouterr().err == ""


def test_photos_and_clips_are_told_by_content_and_the_rest_is_named(tergan, tmp_path, capsys):
    folder = tmp_path / "in"
    for name, kind in PHOTO_KINDS.items():
        write_photo(folder / name, kind)
    for name, kind in CLIP_KINDS.items():
        write_clip(folder / name, kind)
    others = {
        "main.ts": b"const x = 1;\n" * 9,
        "notes.txt": "да\n".encode(),
        "list.m3u8": b"#EXTM3U\nc.ts\n",
        "x.zip": b"PK",
    }
    for name, content in others.items():
        (folder / name).write_bytes(content)
    os.mkfifo(folder / "pipe.jpg")
    found = find_media(folder)
    assert {path.name for path, kind in found.files.items() if kind == PHOTO} == set(PHOTO_KINDS)
    assert {path.name for path, kind in found.files.items() if kind == CLIP} == set(CLIP_KINDS)
    assert found.skipped == sorted([*others, "pipe.jpg"])
    assert tergan("edit", "in", "anger", "-o", "out", "-q") == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert len(names) == len(PHOTO_KINDS) + len(CLIP_KINDS)
    assert {"a.png", "12.05.2024.png", "without ending.png", "clip without ending.mp4"} <= names
    assert capsys.readouterr().err == (
        "tergan: in: skipped, because they are no photos or clips: list.m3u8, main.ts, notes.txt, pipe.jpg, x.zip\n"
    )
    assert tergan("transfer", "in/c.ts", "in/a.jfif", "-o", "moving.mp4") == 0
    told = capsys.readouterr().err
    assert "tergan: moving.mp4: 2 damaged packets of the clip were left out.\n" in told
    assert "tergan: moving.mp4: The sound is left out.\n" in told


def test_a_damaged_photo_counts_as_failed(tergan, tmp_path, capsys):
    write_photo(tmp_path / "in" / "a.jpg")
    (tmp_path / "in" / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    (tmp_path / "in" / "cut.jpg").write_bytes(b"\xff\xd8")
    found = find_media(tmp_path / "in")
    assert set(found.files.values()) == {PHOTO} and len(found.files) == 3 and not found.skipped


# Results


def test_an_input_is_never_written_over(tergan, tmp_path):
    photo = write_photo(tmp_path / "in" / "b.png")
    source = write_photo(tmp_path / "x.png")
    before = photo.read_bytes()
    os.symlink(photo, tmp_path / "symlink.png")
    os.link(photo, tmp_path / "hard link.png")
    os.symlink("in", tmp_path / "folder")
    for output in (photo, "in/b.png", "./in/../in/b.png", "symlink.png", "hard link.png", "folder/b.png"):
        for overwrite in ((), ("--overwrite",)):
            for words in (("edit", photo, "anger"), ("transfer", source, photo), ("transfer", photo, source),
                          ("edit", source, photo)):  # fmt: skip
                assert "over itself" in tergan(*words, "-o", output, *overwrite) and not tergan.loaded
    clip = write_clip(tmp_path / "clip.mp4", "mp4")
    assert "over itself" in tergan("transfer", clip, photo, "-o", clip, "--overwrite")
    (tmp_path / "out").mkdir()
    os.link(photo, tmp_path / "out" / "b.png")
    assert "over itself" in tergan("edit", "in", "anger", "-o", "out", "--overwrite")
    assert photo.read_bytes() == before
    table = tmp_path / "in" / "a.json"
    shutil.copy(photo, table)
    assert "over itself" in tergan("recognize", table, "-o", table, "--overwrite") and table.read_bytes() == before


def test_existing_results_are_kept_without_overwrite(tergan, tmp_path):
    write_photo(tmp_path / "in" / "a.jpg")
    write_photo(tmp_path / "in" / "b.jpg")
    for path in ("c.png", "out/b.png", "folder/a.png", "a.csv", "c.mp4"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("mine")
    os.symlink("nowhere", tmp_path / "dangling.png")
    clip = write_clip(tmp_path / "clip.mp4", "mp4")
    commands = {
        "c.png": ("edit", "in/a.jpg", "anger", "-o", "c.png"),
        "dangling.png": ("edit", "in/a.jpg", "anger", "-o", "dangling.png"),
        "out/b.png": ("edit", "in", "anger", "-o", "out"),
        "folder/a.png": ("edit", "in/a.jpg", "anger", "-o", "folder"),
        "a.csv": ("recognize", "in", "-o", "a.csv"),
        "c.mp4": ("transfer", clip, "in/a.jpg", "-o", "c.mp4"),
    }
    for name, words in commands.items():
        error = tergan(*words, "-q")
        assert name in error and "--overwrite" in error and not tergan.loaded
        assert not (tmp_path / name).exists() or (tmp_path / name).read_text() == "mine"
        assert tergan(*words, "-q", "--overwrite") == 0
        assert (tmp_path / name).stat().st_size > 4


def test_an_output_that_cannot_be_written_is_refused_before_the_work(tergan, tmp_path):
    write_photo(tmp_path / "in" / "a.jpg")
    (tmp_path / "a.json").mkdir()
    (tmp_path / "file").write_text("")
    long = "x" * 252 + ".png"
    for words, message in (
        (("edit", "in/a.jpg", "anger", "-o", long), "cannot be written"),
        (("edit", "in/a.jpg", "anger", "-o", "/proc/a.png"), "/proc/a.png cannot be written"),
        (("edit", "in/a.jpg", "anger", "-o", "file/a.png"), "no such folder|not a folder"),
        (("edit", "in", "anger", "-o", "file"), "not a folder"),
        (("edit", "in", "anger", "-o", "file/out"), "not a folder"),
        (("edit", "in", "anger", "-o", "/proc/out"), "nothing can be written to /proc/out"),
        (("recognize", "in", "-o", "/proc/a.json"), "/proc/a.json cannot be written"),
        (("recognize", "in", "-o", "a.json"), "a.json is a folder"),
        (("recognize", "in", "-o", "gone/a.json"), "no such folder: gone"),
        (("edit", "in/a.jpg", "anger", "-o", "a.gif"), r"saved as \.png, \.jpg or \.webp"),
    ):
        error = tergan(*words, "-q")
        assert re.search(message, error) and "\n" not in error and not tergan.loaded, (words, error)
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".tergan*"))


def test_names_of_255_bytes_are_written(tergan, tmp_path):
    write_photo(tmp_path / ("я" * 125 + "y.jpg"))
    assert tergan("edit", "я" * 125 + "y.jpg", "anger", "-o", "x" * 251 + ".png") == 0
    assert (tmp_path / ("x" * 251 + ".png")).is_file()


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tergan, tmp_path, monkeypatch, capsys):
    for name in "abc":
        write_photo(tmp_path / "in" / f"{name}.jpg")

    def fail(self):
        raise OSError(errno.ENOSPC, "No space left on device")

    plain = tergan("edit", "in/a.jpg", "anger", "-o", "before.png")
    monkeypatch.setattr(os, "fsync", lambda _: fail(None))
    for words in (
        ("edit", "in/a.jpg", "anger", "-o", "c.png"),
        ("edit", "in", "anger", "-o", "out", "-q"),
        ("recognize", "in", "-o", "a.json", "-q"),
    ):
        error = tergan(*words)
        assert "No space left" in error and "\n" not in error and error.count("cannot be written") == 1
    assert plain == 0 and capsys.readouterr().err == ""
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"before.png", "in/a.jpg", "in/b.jpg", "in/c.jpg"}


def test_sigterm_leaves_nothing_half_written(tmp_path):
    with pytest.raises(SystemExit) as ended, one_line_errors("tergan"), AtomicFile(tmp_path / "a.png") as file:
        file.stream.write(b"half")
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()
    assert ended.value.code == 128 + signal.SIGTERM and not list(tmp_path.iterdir())
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


# Names


class Console(io.TextIOWrapper):
    """A standard output in an old encoding."""

    def __init__(self, encoding):
        super().__init__(io.BytesIO(), encoding=encoding)

    def text(self) -> str:
        self.flush()
        return self.buffer.getvalue().decode(self.encoding)


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
@pytest.mark.parametrize("name", ["имя.png", "😀.png", NOT_UTF8])
def test_results_with_any_name_are_printed_on_any_console(tergan, tmp_path, monkeypatch, encoding, name):
    write_photo(tmp_path / name)
    for kind in ("table", "json", "csv"):
        console = Console(encoding)
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", console)
            assert tergan("recognize", name, "--format", kind) == 0
        assert "happiness" in console.text()
        if kind == "json":
            assert json.loads(console.text())[0]["file"] == name


@pytest.mark.parametrize("name", ["имя.png", NOT_UTF8])
def test_results_with_any_name_are_written(tergan, tmp_path, name):
    write_photo(tmp_path / name)
    assert tergan("recognize", name, "-o", "a.json") == 0 and tergan("recognize", name, "-o", "a.csv") == 0
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))[0]["file"] == name
    row = next(csv.DictReader((tmp_path / "a.csv").open(encoding="utf-8")))
    assert row["file"] == name.encode("utf-8", "backslashreplace").decode() and row["expression"] == "happiness"
    assert tergan("edit", name, "anger", "-o", f"out {name}") == 0 and (tmp_path / f"out {name}").is_file()


def test_output_to_a_pipe_is_written_directly(tergan, tmp_path):
    write_photo(tmp_path / "a.png")
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor() as pool:
        written = pool.submit((tmp_path / "pipe").read_text)
        assert tergan("recognize", "a.png", "-o", "pipe", "--format", "json") == 0
        [answer] = json.loads(written.result())
    assert answer["file"] == "a.png" and not (tmp_path / "pipe").is_file()
