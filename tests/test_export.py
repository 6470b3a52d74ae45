"""ONNX, compiled and half-precision models give the same numbers."""

import json

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file

from tergan_hf import TerGanModel
from tergan_hf.model.image_processing_tergan import TerGanImageProcessor
from tergan_hf.publishing.hub import write_model_repository
from tergan_hf.publishing.onnx_export import export_onnx

from .tiny_models import stir, tiny_model


@pytest.fixture(scope="module", params=["compact", "photo"])
def model(request):
    changes = {}
    if request.param == "photo":
        changes = {"image_size": 64, "expression_image_size": 32, "patch_size": 2, "decoder_mapping_size": 16}
    model = tiny_model(request.param, **changes).eval()
    stir(model)
    return model


@pytest.fixture(scope="module")
def crops(model):
    size = model.config.image_size
    return torch.rand(3, 3, size, size) * 2 - 1, torch.rand(3, 3, size, size) * 2 - 1


def test_onnx_equals_pytorch_for_any_batch(model, crops, tmp_path):
    (tmp_path / "blendshapes.json").write_text('["of another model"]')
    paths = export_onnx(model, tmp_path)
    sessions = {name: onnxruntime.InferenceSession(str(path)) for name, path in paths.items()}
    source, target = crops
    with torch.inference_mode():
        expected = {"scores": model.classify(model.read_expression(source)).softmax(1)}
        if names := list(model.config.blendshape_names):
            expected["blendshapes"] = model.read_blendshapes(source)
    assert [output.name for output in sessions["recognition"].get_outputs()] == list(expected)
    for count in (1, 3):
        answers = sessions["recognition"].run(None, {"pixel_values": source[:count].numpy()})
        for found, values in zip(answers, expected.values()):
            np.testing.assert_allclose(found, values[:count].numpy(), atol=1e-4)
    for count in (1, 3):
        intensity = torch.linspace(0, 1, count)[:, None]
        inputs = {"source": source[:count], "target": target[:count], "intensity": intensity}
        with torch.inference_mode():
            expected = model(source[:count], target[:count], intensity).pixel_values
        found = sessions["transfer"].run(None, {name: value.numpy() for name, value in inputs.items()})[0]
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-3)
        assert np.abs(found - target[:count].numpy()).max() > 1e-3 or count == 1
    assert json.loads((tmp_path / "labels.json").read_text()) == model.config.expressions
    if names:
        assert json.loads((tmp_path / "blendshapes.json").read_text()) == names
    else:
        assert not (tmp_path / "blendshapes.json").exists()


def test_the_model_compiles_without_a_break_in_its_graph(model, crops):
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        torch.testing.assert_close(compiled(*crops).pixel_values, model(*crops).pixel_values, atol=1e-4, rtol=1e-4)


def test_half_precision_is_half_as_large_and_nearly_the_same(model, crops, tmp_path):
    model.save_pretrained(tmp_path / "saved")
    TerGanImageProcessor().save_pretrained(tmp_path / "saved")
    folder = write_model_repository(tmp_path / "saved", tmp_path / "repository", half=True)
    half = load_file(folder / "model.fp16.safetensors")
    assert {tensor.dtype for tensor in half.values() if tensor.is_floating_point()} == {torch.float16}
    loaded = TerGanModel.from_pretrained(folder, variant="fp16", dtype=torch.float32).eval()
    with torch.inference_mode():
        difference = (loaded(*crops).pixel_values - model(*crops).pixel_values).abs().mean()
    assert difference < 0.01
