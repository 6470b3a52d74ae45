"""The scripts in benchmarks/: what they measure, and in which unit."""

import importlib
import json
import sys
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml

from tergan_hf import TerGanModel

from .conftest import ROOT
from .faces import posed_people
from .tiny_models import save_pipeline, tiny_model


@pytest.fixture
def script(monkeypatch):
    """A function that imports a script by name."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    loaded = []

    def load(name):
        loaded.append(name)
        return importlib.import_module(name)

    yield load
    for name in loaded:
        del sys.modules[name]


def test_clips_without_faces_do_not_cost_the_other_numbers(script, monkeypatch, tmp_path, capsys):
    clips = script("clips")
    random = np.random.default_rng(0)
    face = random.uniform(60, 180, (478, 2))
    driver = face + random.normal(0, 0.5, (50, 478, 2))
    still = np.repeat(face[None], 50, axis=0)
    half = driver.copy()
    half[25:] = np.nan
    known = {"driver": driver, "still": still, "half": half, "nobody": np.full_like(driver, np.nan)}
    monkeypatch.setattr(clips, "Landmarker", lambda path: None)
    monkeypatch.setattr(clips, "read_landmarks", lambda landmarker, clip: (known[clip.stem], 25.0))
    pairs = ["driver.mp4=half.mp4", "driver.mp4=nobody.mp4", "still.mp4=driver.mp4"]
    output = tmp_path / "numbers.json"
    monkeypatch.setattr(sys, "argv", ["clips.py", *pairs, "--landmarker", "x", "--output", str(output)])
    clips.main()
    refuse = {"parse_constant": lambda name: pytest.fail(f"{name} is no JSON")}
    numbers = json.loads(output.read_text(), **refuse)
    assert numbers["nobody.mp4"] is None and numbers["mean"]["features"]["mouth opening"]["r"] == pytest.approx(1)
    assert numbers["half.mp4"]["frames"] == 25 and numbers["half.mp4"]["share"] == 0.5
    assert numbers["driver.mp4"]["features"]["gaze"]["r"] is None  # its driver does not move
    assert "half.mp4, 25 frames with a face (50%)" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["clips.py", pairs[1], "--landmarker", "x", "--output", str(output)])
    clips.main()
    assert json.loads(output.read_text()) == {"nobody.mp4": None, "mean": None}


def test_figures_of_an_earlier_report_do_not_stay(script, monkeypatch, tmp_path, tiny_photo_pipeline):
    figures = script("figures")
    posed_people(tmp_path / "set.parquet", people=2)
    save_pipeline(tiny_photo_pipeline, tmp_path / "weights")
    (tmp_path / "weights" / "training.yaml").write_text(yaml.safe_dump({"sources": []}))
    stale = [tmp_path / "out" / f"figure_{n}_{side}.png" for n in (3, 4) for side in ("kept_out", "trained_on")]
    stale[0].parent.mkdir()
    for path in stale:
        path.touch()
    for name in ("align_people", "draw_transfers_between_people", "draw_edits_by_example"):
        monkeypatch.setattr(figures, name, lambda *_: None)  # nobody has what the figures need
    arguments = ["--model", tmp_path / "weights", "--dataset", tmp_path / "set.parquet", "--output", tmp_path / "out"]
    figures.main([*map(str, arguments), "--device", "cpu"])
    assert not any(path.exists() for path in stale)


def test_onnx_is_compared_with_pytorch_in_floats(script, monkeypatch, tmp_path, capsys):
    """The graphs hold floats. What 8-bit integers change is no error of theirs."""
    export = script("export")
    model = tiny_model()
    model.quantize(torch.rand(8, 3, 32, 32) * 2 - 1)
    model.save_pretrained(tmp_path)

    class Session:
        """Computes what a graph does, in PyTorch."""

        def __init__(self, path, settings):
            self.is_recognition = "recognition" in str(path)
            self.model = TerGanModel.from_pretrained(tmp_path).eval().dequantize()

        def run(self, names, inputs):
            tensors = {name: torch.from_numpy(value) for name, value in inputs.items()}
            if self.is_recognition:
                embedding = self.model.read_expression(tensors["pixel_values"])
                return [self.model.classify(embedding).softmax(1).numpy()]
            return [self.model(tensors["source"], tensors["target"], tensors["intensity"]).pixel_values.numpy()]

    monkeypatch.setattr(
        export, "export_onnx", lambda model, folder: {name: name for name in ("recognition", "transfer")}
    )
    monkeypatch.setattr(export.onnxruntime, "InferenceSession", Session)
    arguments = ["export.py", "--weights", str(tmp_path), "--repeats", "1", "--threads", "1"]
    monkeypatch.setattr(sys, "argv", arguments)
    export.main()
    lines = capsys.readouterr().out.splitlines()[1:]
    assert len(lines) == 2
    precision = "8-bit G_es" if export.is_supported() else "floats"
    for line in lines:
        assert f"PyTorch ({precision})" in line and "ONNX (floats)" in line
        assert float(line.split()[-1]) < 1e-5


def test_clocks_wait_for_the_gpu(script, monkeypatch):
    latency = script("latency")
    events = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: events.append("wait"))
    gpu, cpu = torch.device("cuda"), torch.device("cpu")
    latency.median_ms(lambda: events.append("call"), 1, gpu)
    assert events == [*(3 * ["wait", "call"]), "wait"]  # two calls warm up

    class Network:
        def change(self):
            events.append("call")

    for device, expected in ((gpu, ["wait", "call", "wait"]), (cpu, ["call"])):
        parts = latency.Parts(device)
        parts.watch(Network, "change", "network")
        events.clear()
        with parts:
            Network().change()
        assert events == expected and parts.seconds["network"] >= 0


def test_the_second_visit_is_by_the_same_visitor(script, capsys):
    page = script("page")
    events = []

    class Context:
        def new_page(self):
            events.append("open")
            shown = SimpleNamespace(wait_for=lambda: None)
            return SimpleNamespace(
                set_default_timeout=lambda ms: None, goto=lambda url: events.append(url),
                locator=lambda selector: shown, close=lambda: events.append("close"),
            )  # fmt: skip

    def new_context():
        events.append("context")
        return Context()

    page.visit_twice(SimpleNamespace(new_context=new_context), "url")
    assert events == ["context", "open", "url", "close", "open", "url"]
    assert "second visit" in capsys.readouterr().out


def test_memory_is_in_the_unit_that_is_printed(script, monkeypatch, capsys):
    video, visitors = script("video"), script("visitors")
    with monkeypatch.context() as patch:
        patch.setattr(visitors.Path, "read_text", lambda path: "VmRSS:\t 3072 kB\n")
        assert visitors.resident_mebibytes(1) == 3
    pool = SimpleNamespace(apply=lambda function, arguments: (10.0, 3.0))
    context = SimpleNamespace(Pool=lambda count: nullcontext(pool))
    for name, stand_in in {
        "moving_face": lambda weights: [], "make_clip": lambda *_: 0, "get_context": lambda method: context,
    }.items():  # fmt: skip
        monkeypatch.setattr(video, name, stand_in)
    monkeypatch.setattr(sys, "argv", ["video.py", "--seconds", "1"])
    video.main()
    assert "peak memory 3 MiB" in capsys.readouterr().out
