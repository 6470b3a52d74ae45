"""The graphs and tables for the browser give the pipeline's numbers."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors.numpy import load_file

from tergan_hf import TerGanConfig, TerGanModel
from tergan_hf.cli.export import main
from tergan_hf.model.blendshapes_tergan import mirror_blendshapes
from tergan_hf.model.errors_tergan import InvalidInputError
from tergan_hf.model.face_detection_tergan import FaceDetector
from tergan_hf.publishing.web_export import FILES, export_web

from .conftest import WEIGHTS
from .tiny_models import TINY
from .web_model import small_web_export, small_web_model


@pytest.fixture(scope="module")
def model():
    return small_web_model()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = small_web_export(tmp_path_factory)
    assert {path.name for path in folder.iterdir()} == set(FILES)
    return folder


@pytest.fixture(scope="module")
def run(folder):
    """A function that runs a graph: name, inputs → outputs by name."""

    def run_graph(name: str, **inputs: torch.Tensor) -> dict[str, np.ndarray]:
        session = onnxruntime.InferenceSession(str(folder / f"{name}.onnx"))
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, {key: np.asarray(value) for key, value in inputs.items()})))

    return run_graph


def test_the_encoder_reads_the_same_expression(model, run):
    torch.manual_seed(0)
    crops = torch.rand(3, 3, 48, 48) * 2 - 1
    with torch.no_grad():
        expected = model.encode_expression(crops).numpy()
    found = run("expression_encoder", pixel_values=crops)["expression_embedding"]
    assert np.linalg.norm(found - expected) < 0.03 * np.linalg.norm(expected)


def test_the_decoder_makes_the_same_change(model, run):
    torch.manual_seed(0)
    crop = torch.nn.functional.interpolate(torch.rand(1, 3, 6, 6) * 2 - 1, size=48, mode="bicubic").clamp(-1, 1)
    with torch.no_grad():
        own, wanted = model.encode_expression(crop), model.expression_prototypes[:1]
        expected = model.change(wanted, crop)
    encoded = run("identity_encoder", pixel_values=crop)
    found = run("decoder", wanted=wanted, own=own, pixel_values=crop, **encoded)
    for name in ("flow", "residual"):
        values = getattr(expected, name).numpy()
        assert np.abs(values).max() > 0.01
        assert np.linalg.norm(found[name] - values) < 0.05 * np.linalg.norm(values), name
    assert np.abs(found["generated"] - expected.pixel_values.numpy()).mean() < 0.01


@pytest.mark.parametrize(
    ("name", "shape"), [("pnet", (1, 3, 31, 47)), ("rnet", (3, 3, 24, 24)), ("onet", (5, 3, 48, 48))]
)
def test_face_detection_is_the_same(run, name, shape):
    pixels = torch.rand(shape) * 255
    network = getattr(FaceDetector().network, name)
    with torch.no_grad():
        offsets, *landmarks, probabilities = network((pixels - 127.5) / 128)
    found = run(name, pixels=pixels)
    np.testing.assert_allclose(found["scores"], probabilities[:, 1].numpy(), atol=1e-5)
    np.testing.assert_allclose(found["offsets"], offsets.numpy(), atol=1e-4)
    if landmarks:
        np.testing.assert_allclose(found["landmarks"], landmarks[0].numpy(), atol=1e-4)


def test_a_gpu_can_compute_every_grid_sample(folder):
    graph = onnx.shape_inference.infer_shapes(onnx.load(folder / "decoder.onnx"))
    assert {item.version for item in graph.opset_import if not item.domain} <= set(range(16, 20))
    ranks = {
        value.name: len(value.type.tensor_type.shape.dim) for value in (*graph.graph.value_info, *graph.graph.input)
    }
    sampled = [node for node in graph.graph.node if node.op_type == "GridSample"]
    assert len(sampled) == 1 and [ranks[name] for name in sampled[0].input] == [4, 4]
    operators = {node.op_type for path in folder.glob("*.onnx") for node in onnx.load(path).graph.node}
    # The operators of onnxruntime-web that run on the CPU only.
    assert not operators & {"QLinearConv", "ConvInteger", "Loop", "If", "AffineGrid", "NonZero"}


def test_weights_are_stored_in_eight_bits(folder):
    for name in ("expression_encoder", "identity_encoder", "decoder"):
        large = [
            tensor for tensor in onnx.load(folder / f"{name}.onnx").graph.initializer if np.prod(tensor.dims) >= 1024
        ]
        assert {tensor.data_type for tensor in large if len(tensor.dims) == 4} == {onnx.TensorProto.INT8}
        assert {tensor.data_type for tensor in large} <= {onnx.TensorProto.INT8, onnx.TensorProto.FLOAT16}


def test_files_say_nothing_of_this_machine(folder):
    for path in folder.iterdir():
        assert b"site-packages" not in path.read_bytes() and b".py" not in path.read_bytes(), path.name


def test_manifest_and_tables_describe_the_model(model, folder):
    manifest, tables = json.loads((folder / "model.json").read_text()), load_file(folder / "tables.safetensors")
    assert manifest["name"] == "org/faces" and manifest["image_size"] == 48
    assert manifest["labels"] == model.config.expressions
    assert manifest["files"] == {name: (folder / name).stat().st_size for name in FILES if name != "model.json"}
    np.testing.assert_array_equal(tables["expression_prototypes"], model.expression_prototypes.numpy())
    assert tables["map.axes"].shape == (2, 64) and tables["map.labels"].dtype == np.float32
    blendshapes = manifest["blendshapes"]
    assert blendshapes["names"] == list(model.config.blendshape_names)
    assert tables["blendshape_regressor.weight"].shape == (len(blendshapes["names"]), 64)
    np.testing.assert_array_equal(tables["blendshape_directions"], model.blendshape_directions.numpy())
    values = torch.rand(1, len(blendshapes["names"]))
    mirrored = values[0, blendshapes["mirror_order"]] * torch.tensor(blendshapes["mirror_signs"])
    torch.testing.assert_close(mirrored, mirror_blendshapes(values, blendshapes["names"])[0])


def test_a_model_that_repaints_the_whole_face_is_refused(tmp_path):
    with pytest.raises(InvalidInputError, match="photo decoder"):
        export_web(TerGanModel(TerGanConfig.compact(**TINY)), tmp_path / "web")
    assert not (tmp_path / "web").exists()


def test_the_published_weights_fit_into_25_megabytes(tmp_path):
    main([str(WEIGHTS), str(tmp_path / "web"), "--web"])
    assert {path.name for path in (tmp_path / "web").iterdir()} == set(FILES)
    assert 10e6 < sum(path.stat().st_size for path in (tmp_path / "web").iterdir()) <= 25e6
