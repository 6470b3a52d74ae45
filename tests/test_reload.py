"""What is saved comes back in a fresh process: the same tensors, the same pixels."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from tergan_hf import TerGanConfig, TerGanForImageClassification, TerGanImageProcessor, TerGanModel
from tergan_hf.model.quantization_tergan import measure_ranges

from .conftest import ROOT, TINY


COMPARE = """
import sys
import torch
from safetensors.torch import load_file
from {package} import *
{load}
saved = load_file(sys.argv[1] + "/model.safetensors")
loaded = model.state_dict()
assert set(saved) == set(loaded), set(saved) ^ set(loaded)
for name, tensor in saved.items():
    assert torch.equal(tensor, loaded[name]), name
example = load_file(sys.argv[1] + "/../example.safetensors")
with torch.inference_mode():
    pixels = model.eval()(example["source"], example["target"]).pixel_values
assert torch.equal(pixels, example["result"]), (pixels - example["result"]).abs().max()
print("the same", len(saved))
"""


@pytest.fixture(params=["paper", "photo"])
def saved(tmp_path, request):
    from safetensors.torch import save_file

    torch.manual_seed(3)
    config = getattr(TerGanConfig, request.param)(**TINY)
    model = TerGanModel(config)
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
    save_file({"source": source, "target": target, "result": result.clone()}, tmp_path / "example.safetensors")
    for kind, auto in ((TerGanConfig, "AutoConfig"), (TerGanModel, "AutoModel")):
        kind.register_for_auto_class(auto)
    try:
        model.save_pretrained(tmp_path / "model")
        TerGanImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path / "model")
    finally:
        for kind in (TerGanConfig, TerGanModel):
            kind._auto_class = None
    return tmp_path / "model"


def run(code, folder, cwd, **environment):
    import os

    environment = {**os.environ, "HF_HOME": str(folder.parent / "hf"), "OMP_NUM_THREADS": "1", **environment}
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], cwd=cwd, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_example_is_worth_comparing(saved):
    example = load_file(saved.parent / "example.safetensors")
    assert example["result"].std() > 1e-3
    assert (example["result"] - example["target"]).abs().mean() > 0.01


def test_in_a_fresh_process(saved):
    code = COMPARE.format(package="tergan_hf", load="model = TerGanModel.from_pretrained(sys.argv[1])")
    assert "the same" in run(code, saved, ROOT)


def test_as_remote_code_without_the_package(saved, tmp_path):
    load = """
from tergan_shim import *
from transformers import AutoModel
model = AutoModel.from_pretrained(sys.argv[1], trust_remote_code=True)
assert type(model).__module__.startswith("transformers_modules"), type(model)
assert "tergan_hf" not in sys.modules
"""
    # The stranger's own torchvision may be as broken as this machine's; only the repair is lent to them.
    shim = tmp_path / "shim"
    shim.mkdir()
    (shim / "torchvision_compat.py").write_text((ROOT / "tergan_hf" / "model" / "torchvision_compat.py").read_text())
    (shim / "tergan_shim.py").write_text("from torchvision_compat import ensure_torchvision\nensure_torchvision()\n")
    code = COMPARE.format(package="tergan_shim", load=load)
    # An editable install would make tergan_hf importable: hide it.
    code = "import sys\nsys.modules['tergan_hf'] = None\n" + code.replace(
        'assert "tergan_hf" not in sys.modules', 'assert sys.modules["tergan_hf"] is None'
    )
    assert "the same" in run(code, saved, shim, PYTHONPATH=str(shim))


def test_auto_classes_and_the_standard_pipeline_know_it(saved):
    code = """
import sys
import numpy as np, tergan_hf
from PIL import Image
from transformers import AutoModelForImageClassification, AutoImageProcessor, pipeline
assert type(AutoModelForImageClassification.from_pretrained(sys.argv[1])) is tergan_hf.TerGanForImageClassification
processor = AutoImageProcessor.from_pretrained(sys.argv[1])
assert type(processor) is tergan_hf.TerGanImageProcessor and processor.size["height"] == 32
answer = pipeline("image-classification", model=sys.argv[1])(Image.new("RGB", (50, 40)), top_k=7)
assert abs(sum(entry["score"] for entry in answer) - 1) < 1e-4, answer
print("known", [entry["label"] for entry in answer])
"""
    assert "known" in run(code, saved, ROOT)


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
