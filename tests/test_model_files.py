"""Files of a model that lie: each is refused in one sentence that names it, before memory is taken."""

import json
import os

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file as load_map
from safetensors.numpy import save_file as save_map
from safetensors.torch import load_file, save_file

from tergan_hf import InvalidInputError, TerGanConfig, TerGanForImageClassification, TerGanModel, TerGanPipeline
from tergan_hf.evaluation.expression_map import FILE_NAME, ExpressionMap

from .conftest import ROOT
from .tiny_models import pipeline_of, save_pipeline, tiny_model


@pytest.fixture
def folder(tmp_path):
    """A saved tiny model."""
    return save_pipeline(pipeline_of(tiny_model()), tmp_path)


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_the_untouched_files_load(folder):
    assert TerGanPipeline.from_pretrained(folder, device="cpu").labels


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image_size", 10**6),
        ("image_size", 0),
        ("image_size", "large"),
        ("image_size", None),
        ("num_channels", 4000),
        ("encoder_channels", [64, 128, 256, 512, 10**7]),
        ("encoder_channels", []),
        ("encoder_channels", [8] * 40),
        ("identity_encoder_channels", [0, 4, 8, 8, 8]),
        ("decoder_channels", [10**6] * 5),
        ("expression_image_size", 0),
        ("expression_refinements", -1),
        ("identity_refinements", 10**6),
        ("decoder_refinements", 1000),
        ("decoder_mapping_size", 10**9),
        ("patch_size", 0),
        ("expression_embedding_size", 10**8),
        ("identity_embedding_size", -5),
        ("decoder_type", "magic"),
        ("intensity_exponent", 1e300),
        ("intensity_exponent", float("nan")),
        ("mirror_recognition", "perhaps"),
        ("id2label", {str(index): str(index) for index in range(100_000)}),
        ("id2label", {"0": "joy", "7": "fear"}),
        ("id2label", {"0": "joy", "1": "joy"}),
        ("id2label", {"0": "joy", "1": "x" * 10_000}),
        ("id2label", ["joy", "fear"]),
        ("model_type", "bert"),
    ],
)
def test_every_field_of_the_configuration_is_bounded(folder, monkeypatch, name, value):
    edit(folder / "config.json", **{name: value})
    monkeypatch.setattr(TerGanModel, "__init__", lambda *_, **__: pytest.fail("memory is taken"))
    with pytest.raises(InvalidInputError, match=rf"(?s)config\.json.*{name if name != 'model_type' else 'bert'}"):
        TerGanPipeline.from_pretrained(folder, device="cpu")


@pytest.mark.parametrize("text", ["[1, 2]", '"tergan"', "7"])
@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json"])
def test_files_of_another_type_are_refused(folder, file, text):
    (folder / file).write_text(text)
    with pytest.raises(InvalidInputError, match=file):
        TerGanPipeline.from_pretrained(folder, device="cpu")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("size", {"height": 30_000, "width": 30_000}),
        ("size", {"height": 32, "width": 30_000}),
        ("size", "big"),
        ("size", {"height": -1, "width": -1}),
        ("size", {"shortest_edge": 32}),
        ("image_mean", [float("nan")] * 3),
        ("image_mean", [0.5, 0.5]),
        ("image_std", [0, 0, 0]),
        ("rescale_factor", 0),
        ("resample", 77),
        ("do_resize", False),
        ("do_center_crop", True),
        ("do_pad", True),
    ],
)
def test_every_field_of_the_image_processor_is_bounded(folder, name, value):
    edit(folder / "preprocessor_config.json", **{name: value})
    with pytest.raises(InvalidInputError, match=rf"preprocessor_config.json: {name} "):
        TerGanPipeline.from_pretrained(folder, device="cpu")


def test_processor_and_configuration_agree(folder):
    edit(folder / "preprocessor_config.json", size={"height": 64, "width": 64})
    with pytest.raises(InvalidInputError, match=r"64×64 pixels, and config.json asks for 32×32"):
        TerGanPipeline.from_pretrained(folder, device="cpu")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["classifier.weight", "expression_prototypes"])
def test_weights_are_finite(folder, name, value):
    tensors = load_file(folder / "model.safetensors")
    tensors[name].view(-1)[3] = value
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(InvalidInputError, match=f"{name} holds values that are not finite"):
        TerGanModel.from_pretrained(folder)


@pytest.mark.parametrize("kind", [TerGanModel, TerGanForImageClassification])
def test_weights_of_other_shapes_and_missing_weights_are_refused(folder, kind):
    tensors = load_file(folder / "model.safetensors")
    save_file({**tensors, "classifier.bias": torch.zeros(9)}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(InvalidInputError, match=r"classifier.bias has the shape \[9\]"):
        kind.from_pretrained(folder)
    del tensors["classifier.bias"]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(InvalidInputError, match=r"lack 1 tensors of this model \(for example classifier.bias\)"):
        kind.from_pretrained(folder)
    (folder / "model.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(InvalidInputError, match=r"the weights are damaged: model\.safetensors cannot be read"):
        kind.from_pretrained(folder)


def test_an_index_names_only_files_beside_it(folder):
    names = list(load_file(folder / "model.safetensors"))
    index = folder / "model.safetensors.index.json"
    os.rename(folder / "model.safetensors", folder / "part.safetensors")
    index.write_text(json.dumps({"metadata": {}, "weight_map": dict.fromkeys(names, "part.safetensors")}))
    assert TerGanModel.from_pretrained(folder)
    for elsewhere in ("../part.safetensors", "/etc/passwd", str(folder / "part.safetensors"), "..\\x.safetensors"):
        index.write_text(json.dumps({"metadata": {}, "weight_map": dict.fromkeys(names, elsewhere)}))
        with pytest.raises(InvalidInputError, match="is no safetensors file beside it"):
            TerGanModel.from_pretrained(folder)
    index.write_text('{"weight_map": 5}')
    with pytest.raises(InvalidInputError, match="is no index of weights"):
        TerGanModel.from_pretrained(folder)


def test_other_labels_may_replace_the_classifier(folder):
    settings = {"num_labels": 3, "ignore_mismatched_sizes": True}
    assert TerGanForImageClassification.from_pretrained(folder, **settings).classifier.out_features == 3


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("embeddings", lambda array: array[:, :5]),
        ("embeddings", lambda array: array.reshape(-1)),
        ("embeddings", lambda array: array * np.float16("nan")),
        ("labels", lambda array: array[:4]),
        ("labels", lambda array: array + 100),
        ("labels", lambda array: array.astype(np.float32)),
        ("mean", lambda array: array[:7]),
        ("axes", lambda array: array[:1]),
        ("axes", lambda array: array * np.float32("inf")),
    ],
)
def test_a_map_that_does_not_fit_the_model_is_left_out(tmp_path, caplog, name, change):
    weights = ROOT / "weights" / "ter-gan"
    config = TerGanConfig.from_pretrained(weights)
    tensors = load_map(weights / FILE_NAME)
    metadata = {"expressions": json.dumps(config.expressions)}
    save_map(tensors, tmp_path / FILE_NAME, metadata)
    assert ExpressionMap.from_pretrained(tmp_path, config)
    save_map({**tensors, name: np.ascontiguousarray(change(tensors[name]))}, tmp_path / FILE_NAME, metadata)
    assert ExpressionMap.from_pretrained(tmp_path, config) is None
    assert "cannot be used" in caplog.text
