"""G_es in 8-bit integers: near what it is in floats, and only where that is wanted."""

import copy
import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from tergan_hf import TerGanConfig, TerGanForImageClassification
from tergan_hf.model.quantization_tergan import (
    MOST_VALUES,
    TAIL,
    Int8Encoder,
    ScaledConv2d,
    fold_batch_norm,
    is_supported,
    measure_ranges,
)

from .conftest import EXAMPLES
from .tiny_models import TINY


pytestmark = pytest.mark.skipif(not is_supported(), reason="no 8-bit convolutions on this processor")
EXAMPLE_PHOTOS = sorted(EXAMPLES.glob("*.jpg"))
SETTINGS = {**TINY, "encoder_channels": (8, 16, 16, 16, 16), "expression_refinements": 2}


@pytest.fixture
def crops() -> torch.Tensor:
    torch.manual_seed(1)
    coarse = torch.rand(32, 3, 8, 8) * 2 - 1
    return torch.nn.functional.interpolate(coarse, size=(32, 32), mode="bilinear")


@pytest.fixture(params=[1, 2])
def classifier(crops, request) -> TerGanForImageClassification:
    """G_es with and without patches. Batch norm's statistics are those of `crops`, as after training."""
    torch.manual_seed(0)
    config = TerGanConfig.photo(**SETTINGS, expression_patch_size=request.param)
    model = TerGanForImageClassification(config).train()
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None  # the mean over all batches seen
            torch.nn.init.normal_(layer.weight, 1, 0.2)
            torch.nn.init.normal_(layer.bias, 0, 0.2)
    with torch.no_grad():
        model(crops)
    return model.eval()


def read(model, crops):
    with torch.inference_mode():
        return model.expression_encoder(crops)


def quantize(model, crops):
    encoder = model.expression_encoder
    encoder.activation_ranges.copy_(measure_ranges(encoder, [crops]))
    return model


def miss(found, exact):
    """Over how much f(e) differs between photos, which is little in a network that has learnt nothing."""
    return float((found - exact).std() / exact.std(0).mean())


def test_eight_bits_read_nearly_the_same(classifier, crops):
    exact = read(classifier, crops)
    found = read(quantize(classifier, crops), crops)
    assert not torch.equal(found, exact)
    assert miss(found, exact) < 0.3


def test_a_range_that_is_too_narrow_shows(classifier, crops):
    exact = read(classifier, crops)
    quantize(classifier, crops).expression_encoder.activation_ranges.mul_(0.3)
    assert miss(read(classifier, crops), exact) > 0.6


def test_gradients_training_and_what_is_not_measured_are_computed_in_floats(classifier, crops, monkeypatch):
    exact = read(classifier, crops)
    monkeypatch.setattr(Int8Encoder, "__call__", lambda *_: pytest.fail("8 bits were used"))
    read(classifier, crops)
    quantize(classifier, crops)
    torch.testing.assert_close(classifier.expression_encoder(crops).detach(), exact)
    with torch.no_grad():
        torch.jit.trace(classifier.expression_encoder, crops, check_trace=False)
        classifier.bfloat16()(crops.bfloat16())
        classifier.float()
        classifier.dequantize()
        classifier.train()(crops)
        classifier.eval()(crops)  # the ranges were those of other weights


def test_changed_weights_are_noticed(classifier, crops):
    quantize(classifier, crops)
    before = read(classifier, crops)
    with torch.no_grad():
        classifier.expression_encoder.convolutions[2][0].weight.mul_(0.5)
    after = read(classifier, crops)
    assert not torch.equal(before, after)
    fresh = TerGanForImageClassification(classifier.config).eval()
    fresh.load_state_dict(classifier.state_dict())
    assert torch.equal(read(fresh, crops), after)


def test_copies_answer_alike_and_go_their_own_way(classifier, crops):
    quantize(classifier, crops)
    expected = read(classifier, crops)
    for other in (copy.deepcopy(classifier), pickle.loads(pickle.dumps(classifier))):
        assert torch.equal(read(other, crops), expected)
        with torch.no_grad():
            other.expression_encoder.convolutions[1][0].weight.zero_()
        assert not torch.equal(read(other, crops), expected)
    assert torch.equal(read(classifier, crops), expected)


def test_a_photo_is_read_the_same_whatever_batch_it_is_in(classifier, crops):
    quantize(classifier, crops)
    together = read(classifier, crops)
    torch.testing.assert_close(read(classifier, crops[:1]), together[:1])


def test_whole_weights_are_nearly_the_same_and_can_be_trained_further(classifier, crops):
    exact = read(classifier, crops)
    encoder = classifier.expression_encoder
    layers = [layer for layer in encoder.modules() if isinstance(layer, ScaledConv2d)]
    for layer in layers:
        layer.round_weight()
    rounded = read(classifier, crops)
    assert 0 < miss(rounded, exact) < 0.1
    whole = [layer.weight.clone() for layer in layers]
    for layer, weight in zip(layers, whole):
        assert torch.equal(weight, weight.round())
        assert weight.abs().amax((1, 2, 3)).eq(127).all()
        layer.round_weight()
        assert torch.equal(layer.weight, weight)
    encoder.dequantize()
    torch.testing.assert_close(read(classifier, crops), rounded)
    assert all(layer.scale.eq(1).all() and layer.weight.abs().max() < 5 for layer in layers)


def test_ranges_hold_all_but_the_tails(classifier, crops):
    encoder = classifier.expression_encoder
    crops = torch.cat([crops, crops.flip(2), crops.flip(3), crops.flip(2, 3)])
    (low, high), *_ = measure_ranges(encoder, [crops, crops]).tolist()
    with torch.no_grad():
        first = encoder.prepare(crops)
        values = torch.nn.functional.conv2d(first, *fold_batch_norm(encoder.convolutions[0]), padding=1)
    assert len(values.flatten()) > MOST_VALUES  # so that a part of them is looked at
    assert values.lt(low).float().mean() < 10 * TAIL and values.gt(high).float().mean() < 10 * TAIL
    assert values.min() <= low < values.quantile(0.01) and values.quantile(0.99) < high <= values.max()


def test_the_widest_range_among_the_kinds_counts(classifier, crops):
    classifier.quantize([0.3 * crops], [crops], [0.3 * crops])
    ranges = classifier.expression_encoder.activation_ranges
    strong = measure_ranges(classifier.expression_encoder, [crops])
    assert (ranges[:, 0] <= strong[:, 0].half()).all() and (ranges[:, 1] >= strong[:, 1].half()).all()


def test_quantizing_and_dequantizing_on_request(crops):
    torch.manual_seed(0)
    model = TerGanForImageClassification(TerGanConfig.photo(**SETTINGS, expression_int8=False)).eval()
    exact = read(model, crops)
    model.quantize([crops])
    assert model.config.expression_int8 and model.expression_encoder.is_quantized
    assert 0 < miss(read(model, crops), exact) < 0.3
    ranges = model.expression_encoder.activation_ranges.clone()
    assert model.dequantize() is model and not model.expression_encoder.is_quantized
    assert miss(read(model, crops), exact) < 0.1
    for wrong in ((), ([],), (crops[0],), (crops[:0],), ([crops], [])):
        with pytest.raises(ValueError, match="needs batches of crops"):
            model.quantize(*wrong)
    assert not model.expression_encoder.is_quantized
    model.quantize(crops)
    assert torch.equal(model.expression_encoder.activation_ranges, ranges)


def test_training_mode_and_back_changes_nothing_of_the_published_weights(embedded_pipeline):
    model = copy.deepcopy(embedded_pipeline.model)
    pixels = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(0)) * 2 - 1
    tensors = {name: value.clone() for name, value in model.state_dict().items()}
    answer = read(model, pixels)
    model.train()
    with pytest.raises(RuntimeError, match=r"cannot be trained: call model\.dequantize\(\) first"):
        model.encode_expression(pixels)
    model.eval()
    assert all(torch.equal(value, tensors[name]) for name, value in model.state_dict().items())
    assert torch.equal(read(model, pixels), answer)


def test_eight_bits_of_the_published_weights_read_within_a_few_per_cent(embedded_pipeline):
    """The promise of `quantize`'s docstring, on the example photos. Rounding differs with the last bits of a crop, so
    each photo is cut out several times, up to half a pixel apart. f(e) is read as for users, with the mirror image."""
    pipe = embedded_pipeline
    faces = [(photo, pipe.faces(photo)[0].crop_transform) for photo in map(Image.open, EXAMPLE_PHOTOS)]
    shifts = np.random.default_rng(0).uniform(-0.005, 0.005, (5, 2, 1)) * [0, 0, 1]
    pixels = pipe.pixel_values(
        [pipe.cut_out(photo, transform + shift) for photo, transform in faces for shift in shifts]
    )
    with torch.inference_mode():
        assert pipe.model.expression_encoder._computes_in_int8(pixels)
    floats = copy.deepcopy(pipe.model).dequantize()
    with torch.inference_mode():
        exact, found = (model.read_expression(pixels) for model in (floats, pipe.model))
    off = (found - exact).norm(dim=1) / exact.norm(dim=1)
    assert 0 < off.mean() < 0.05 and off.max() < 0.1, off


def test_saved_whole_weights_can_be_used_in_floats(classifier, crops, tmp_path):
    for layer in classifier.expression_encoder.modules():
        if isinstance(layer, ScaledConv2d):
            layer.round_weight()
    exact = read(classifier, crops)
    quantize(classifier, crops).save_pretrained(tmp_path)
    floats = TerGanForImageClassification.from_pretrained(tmp_path, expression_int8=False)
    torch.testing.assert_close(read(floats, crops), exact)


def test_weights_from_before_are_computed_in_floats(classifier, crops, tmp_path):
    config = TerGanConfig.from_dict({**classifier.config.to_dict(), "expression_int8": False})
    older = TerGanForImageClassification(config).eval()
    own = classifier.state_dict()
    older.load_state_dict({name: value for name, value in own.items() if name in older.state_dict()})
    tensors = {name: value for name, value in older.state_dict().items() if not name.endswith(".scale")}
    older.save_pretrained(tmp_path, state_dict=tensors)
    loaded = TerGanForImageClassification.from_pretrained(tmp_path, expression_int8=True)
    assert not loaded.expression_encoder.activation_ranges.any()
    assert torch.equal(read(loaded, crops), read(classifier, crops))
