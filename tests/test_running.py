"""The ways people run it: precisions, forked processes, long lists, the pipelines of transformers."""

import copy
import json
import os
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tergan_hf import InvalidInputError, TerGanPipeline
from tergan_hf.model.image_loading_tergan import read_image
from tergan_hf.model.model_loading_tergan import choose_device

from .conftest import NEUTRAL, ROOT, SMILING, WEIGHTS


EDITS = ("happiness", {"happiness": 0.5, "jawOpen": 0.4})
PHOTO, SOURCE = NEUTRAL, SMILING


@pytest.fixture(scope="module")
def expected():
    pipe = TerGanPipeline.from_pretrained(WEIGHTS, device="cpu")
    return np.asarray(pipe.transfer(SOURCE, PHOTO), int), pipe.recognize(SOURCE)[0]


def assert_same(pipe: TerGanPipeline, expected, mean: float):
    picture, answer = expected
    assert np.abs(np.asarray(pipe.transfer(SOURCE, PHOTO), int) - picture).mean() < mean
    found = pipe.recognize(SOURCE)[0]
    assert found["label"] == answer["label"] and abs(found["score"] - answer["score"]) < 0.05
    assert len(pipe.embed(PHOTO)["expression"]) == pipe.model.config.expression_embedding_size


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_precision_gives_nearly_the_same(expected, dtype):
    assert_same(TerGanPipeline.from_pretrained(WEIGHTS, device="cpu", dtype=dtype), expected, 0.5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_under_autocast(embedded_pipeline, expected, dtype):
    in_floats = copy.deepcopy(embedded_pipeline)
    in_floats.model.dequantize()
    plain = [embedded_pipeline.edit(PHOTO, wanted) for wanted in EDITS]
    with torch.autocast("cpu", dtype=dtype):
        assert_same(embedded_pipeline, expected, 0.5)
        for wanted, photo in zip(EDITS, plain):
            assert np.abs(np.asarray(in_floats.edit(PHOTO, wanted), int) - np.asarray(photo, int)).mean() < 0.5


@pytest.mark.parametrize("dtype", [None, torch.float32])
def test_with_another_default_dtype(expected, dtype):
    settings = {} if dtype is None else {"dtype": dtype}
    torch.set_default_dtype(torch.float64)
    try:
        assert_same(TerGanPipeline.from_pretrained(WEIGHTS, device="cpu", **settings), expected, 0.1)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(("version", "used"), [("2.9.1", "cpu"), ("2.13.0+cpu", "mps"), ("3.0.0a0", "mps")])
def test_apples_gpu_is_used_where_it_can_compute_the_model(monkeypatch, version, used):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch, "__version__", version)
    assert choose_device().type == used
    if used == "cpu":
        real = torch.zeros
        monkeypatch.setattr(torch, "zeros", lambda *size, device=None: real(*size))
        with pytest.raises(InvalidInputError, match="device 'mps' cannot be used: this machine has cpu"):
            choose_device("mps")


@pytest.mark.parametrize(
    ("modules", "others"),
    [
        (
            "train_accelerate tergan_hf.cli.tergan tergan_hf.cli.hub tergan_hf.cli.model_card tergan_hf.cli.data "
            "tergan_hf.annotation.run tergan_hf.training.stage2",
            "sklearn matplotlib scipy av numba cv2",
        ),
        (
            "tergan_hf.cli.evaluate tergan_hf.cli.benchmark tergan_hf.cli.model_card",
            "accelerate tensorboard",
        ),
    ],
    ids=["train", "evaluate"],
)
def test_commands_start_without_the_packages_of_other_extras(bare_python, modules, others):
    program = """
import importlib, sys
from importlib.machinery import PathFinder
absent = {"onnx", "onnxruntime", "onnxscript", "c2pa", "trustmark", "mediapipe", *sys.argv[2].split()}
assert not absent & set(sys.modules)
find = PathFinder.find_spec
PathFinder.find_spec = staticmethod(
    lambda name, *more, **named: None if name.partition(".")[0] in absent else find(name, *more, **named)
)
for module in sys.argv[1].split():
    importlib.import_module(module)
print("all start")
"""
    done = bare_python.run(["-c", program, modules, others], ROOT)
    assert "all start" in done.stdout, done.stderr


@pytest.fixture(scope="module")
def small_photos(tmp_path_factory) -> list[Path]:
    """Two photos with small faces."""
    paths = [tmp_path_factory.mktemp("photos") / f"{number}.jpg" for number in range(2)]
    for path, photo in zip(paths, (PHOTO, SOURCE)):
        Image.open(photo).resize((240, 240)).save(path)
    return paths


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_forked_processes_go_on_after_use_in_the_parent(python, small_photos):
    program = """
import multiprocessing, sys, torch
torch.set_num_threads(2)
from tergan_hf import InvalidInputError, TerGanPipeline
pipe = TerGanPipeline.from_pretrained(sys.argv[1], device="cpu")
def work(path):
    return pipe.recognize(path)[0]["label"], pipe.edit(path, "happiness").size[0]
here = [work(path) for path in sys.argv[2:]]
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map_async(work, sys.argv[2:]).get(timeout=90) == here
import datasets
data = datasets.Dataset.from_dict({"path": sys.argv[2:]})
mapped = data.map(lambda row: {"label": work(row["path"])[0]}, num_proc=2)
assert mapped["label"] == [label for label, _ in here]
print("the same")
"""
    done = python.run(["-c", program, WEIGHTS, *small_photos], ROOT)
    assert "the same" in done.stdout, done.stderr


def test_memory_does_not_grow_with_the_length_of_a_list(tiny_pipeline, tmp_path, monkeypatch):
    monkeypatch.setattr("tergan_hf.model.pipeline_base_tergan.BATCH_SIZE", 2)
    alive: list[weakref.ref] = []
    most = 0

    def counted(image, name):
        nonlocal most
        photo = read_image(image, name)
        alive.append(weakref.ref(photo))
        most = max(most, sum(reference() is not None for reference in alive))
        return photo

    monkeypatch.setattr("tergan_hf.model.pipeline_base_tergan.read_image", counted)
    assert len(tiny_pipeline.recognize([PHOTO] * 12, detect=False)) == 12
    assert len(alive) == 12 and most <= 3
    most = 0
    assert len(tiny_pipeline.embed([PHOTO] * 12, detect=False)) == 12
    assert most <= 3


def test_the_transfer_pipeline_of_transformers_takes_batches_and_saves_its_code(python, small_photos, tmp_path):
    program = """
import numpy, sys, tergan_hf
from pathlib import Path
from tergan_hf.publishing.hub import write_model_repository
from transformers import pipeline
weights, repository, saved, *photos = sys.argv[1:]
write_model_repository(weights, repository)
pipe = pipeline("facial-expression-transfer", model=repository, trust_remote_code=True)
alone = [pipe(photo, expression="happiness") for photo in photos]
for settings in ({"batch_size": 2}, {"batch_size": 3}, {}):
    together = pipe(photos, expression="happiness", **settings)
    assert [a.tobytes() for a in together] == [a.tobytes() for a in alone], settings
pipe.save_pretrained(saved)
missing = {path.name for path in Path(repository).glob("*.py")} - {path.name for path in Path(saved).glob("*.py")}
assert not missing, missing
again = pipeline("facial-expression-transfer", model=saved, trust_remote_code=True)
# Weights that lie elsewhere in memory may be summed in another order.
difference = numpy.asarray(again(photos[0], expression="happiness"), int) - numpy.asarray(alone[0], int)
assert abs(difference).max() <= 1
print("the same")
"""
    done = python.run(["-c", program, WEIGHTS, tmp_path / "repository", tmp_path / "saved", *small_photos], ROOT)
    assert "the same" in done.stdout, done.stderr
    assert json.loads((tmp_path / "saved" / "config.json").read_text())["model_type"] == "tergan"
