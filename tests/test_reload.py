"""What is saved comes back in a fresh process: the same tensors, the same pixels."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from tergan_hf import TerGanConfig, TerGanForImageClassification, TerGanImageProcessor, TerGanModel
from tergan_hf.model.quantization_tergan import measure_ranges

from .conftest import ROOT
from .tiny_models import pipeline_of, save_pipeline, tiny_model


# For each folder: the tensors, and the pixels of the example, are those that were saved.
COMPARE = """
for folder in sys.argv[1:]:
    model = {load}
    saved = load_file(folder + "/model.safetensors")
    loaded = model.state_dict()
    assert set(saved) == set(loaded), set(saved) ^ set(loaded)
    for name, tensor in saved.items():
        assert torch.equal(tensor, loaded[name]), name
    example = load_file(folder + "/../example.safetensors")
    with torch.inference_mode():
        pixels = model.eval()(example["source"], example["target"]).pixel_values
    assert torch.equal(pixels, example["result"]), (pixels - example["result"]).abs().max()
    print("the same", len(saved))
"""
PRESETS = ("paper", "photo")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder with a saved model of each preset, and the example of what it makes beside it."""
    return {preset: save_with_example(preset, tmp_path_factory.mktemp(preset)) for preset in PRESETS}


@pytest.fixture(params=PRESETS)
def saved(folders, request):
    return folders[request.param]


def save_with_example(preset, folder):
    model = tiny_model(preset)
    # Values that no initialisation would give, in every tensor, statistics included.
    for name, tensor in model.state_dict().items():
        if name.endswith(".scale"):
            tensor.copy_(1 + torch.rand_like(tensor))
        elif tensor.is_floating_point():
            uniform = torch.rand_like(tensor)
            tensor.copy_(0.1 + 0.2 * uniform if tensor.ndim < 2 else 0.8 * (uniform - 0.5))
        else:
            tensor.fill_(7)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the fresh process: sums in another order differ in the last bit
    source, target = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)
    encoder = model.eval().expression_encoder
    if encoder.activation_ranges is not None:
        encoder.activation_ranges.copy_(measure_ranges(encoder, [source, target]))
    with torch.inference_mode():
        result = model.eval()(source, target).pixel_values
    torch.set_num_threads(threads)
    save_file({"source": source, "target": target, "result": result.clone()}, folder / "example.safetensors")
    for kind, auto in ((TerGanConfig, "AutoConfig"), (TerGanModel, "AutoModel")):
        kind.register_for_auto_class(auto)
    try:
        return save_pipeline(pipeline_of(model), folder / "model")
    finally:
        for kind in (TerGanConfig, TerGanModel):
            kind._auto_class = None


def test_the_example_is_worth_comparing(saved):
    example = load_file(saved.parent / "example.safetensors")
    assert example["result"].std() > 1e-3
    assert (example["result"] - example["target"]).abs().mean() > 0.01


IN_A_FRESH_PROCESS = f"""
import sys
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoModelForImageClassification, AutoImageProcessor, pipeline
import tergan_hf
{COMPARE.format(load="tergan_hf.TerGanModel.from_pretrained(folder)")}
for folder in sys.argv[1:]:
    assert type(AutoModelForImageClassification.from_pretrained(folder)) is tergan_hf.TerGanForImageClassification
    processor = AutoImageProcessor.from_pretrained(folder)
    assert type(processor) is tergan_hf.TerGanImageProcessor and processor.size["height"] == 32
    answer = pipeline("image-classification", model=folder)(Image.new("RGB", (50, 40)), top_k=7)
    assert abs(sum(entry["score"] for entry in answer) - 1) < 1e-4, answer
    print("known", [entry["label"] for entry in answer])
"""


def test_a_fresh_process_its_auto_classes_and_the_standard_pipeline_know_it(folders, python):
    done = python.run(["-c", IN_A_FRESH_PROCESS, *folders.values()], ROOT)
    assert done.stdout.count("the same") == done.stdout.count("known") == len(folders), done.stderr


AS_REMOTE_CODE = f"""
import sys
sys.modules["tergan_hf"] = None  # an editable install would make it importable
from torchvision_compat import ensure_torchvision
ensure_torchvision()
import torch
from safetensors.torch import load_file
from transformers import AutoModel
def load(folder):
    model = AutoModel.from_pretrained(folder, trust_remote_code=True)
    assert type(model).__module__.startswith("transformers_modules"), type(model)
    assert sys.modules["tergan_hf"] is None
    return model
{COMPARE.format(load="load(folder)")}
"""


def test_as_remote_code_without_the_package(folders, tmp_path):
    # The stranger's own torchvision may be as broken as this machine's; only the repair is lent to them.
    shutil.copy(ROOT / "tergan_hf" / "model" / "torchvision_compat.py", tmp_path)
    environment = {**os.environ, "HF_HOME": str(tmp_path / "hf"), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", AS_REMOTE_CODE, *map(str, folders.values())],
        cwd=tmp_path, capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("the same") == len(folders)


def test_training_networks_are_not_saved(saved):
    names = load_file(saved / "model.safetensors")
    assert not [name for name in names if "discriminator" in name or "frozen" in name]
    assert json.loads((saved / "config.json").read_text())["model_type"] == "tergan"


def test_image_processor_round_trip():
    processor = TerGanImageProcessor(size={"height": 8, "width": 8})
    image = torch.linspace(-1, 1, 8).expand(1, 3, 8, 8)
    again = processor(processor.to_images(image), return_tensors="pt")["pixel_values"]
    assert (again - image).abs().max() <= 1 / 255 + 1e-6


def test_classifier_takes_what_it_needs_and_nothing_is_missing(saved):
    _, report = TerGanForImageClassification.from_pretrained(saved, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"] and not report["mismatched_keys"]
