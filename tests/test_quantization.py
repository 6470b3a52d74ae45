"""G_es in 8-bit integers: near what it is in floats, and only where that is wanted."""

import copy
import pickle

import numpy as np
import pytest
import torch

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
from tergan_hf.training import fit_and_calibrate

from .conftest import TINY


pytestmark = pytest.mark.skipif(not is_supported(), reason="no 8-bit convolutions on this processor")
SETTINGS = {**TINY, "encoder_channels": (8, 16, 16, 16, 16), "expression_refinements": 2}


@pytest.fixture
def crops() -> torch.Tensor:
    torch.manual_seed(1)
    coarse = torch.rand(32, 3, 8, 8) * 2 - 1
    return torch.nn.functional.interpolate(coarse, size=(32, 32), mode="bilinear")


@pytest.fixture
def classifier(crops) -> TerGanForImageClassification:
    """Batch norm's statistics are those of `crops`, as after training."""
    torch.manual_seed(0)
    model = TerGanForImageClassification(TerGanConfig.photo(**SETTINGS)).train()
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
        classifier.float().train()(crops)
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
    encoder.train().eval()
    torch.testing.assert_close(read(classifier, crops), rounded)
    assert all(layer.scale.eq(1).all() and layer.weight.abs().max() < 5 for layer in layers)


def test_ranges_hold_all_but_the_tails(classifier, crops):
    encoder = classifier.expression_encoder
    (low, high), *_ = measure_ranges(encoder, [crops, crops]).tolist()
    with torch.no_grad():
        values = torch.nn.functional.conv2d(crops, *fold_batch_norm(encoder.convolutions[0]), padding=1)
    assert len(values.flatten()) > MOST_VALUES  # so that a part of them is looked at
    assert values.lt(low).float().mean() < 10 * TAIL and values.gt(high).float().mean() < 10 * TAIL
    assert values.min() <= low < values.quantile(0.01) and values.quantile(0.99) < high <= values.max()


def test_every_sets_activations_find_room(classifier, crops, monkeypatch):
    encoder = classifier.expression_encoder
    kinds = {"faint": 0.3 * crops, "strong": crops}
    monkeypatch.setattr(fit_and_calibrate, "choose_rows", lambda chips, most: np.arange(len(crops)))
    monkeypatch.setattr(fit_and_calibrate, "aligned_crops", lambda chips, rows, size, device: kinds[chips][rows])
    fit_and_calibrate.quantize_encoder(encoder, ["strong", "faint", "faint"])
    strong = measure_ranges(encoder, [crops])
    assert (encoder.activation_ranges[:, 0] <= strong[:, 0].half()).all()
    assert (encoder.activation_ranges[:, 1] >= strong[:, 1].half()).all()


def test_saved_whole_weights_can_be_used_in_floats(classifier, crops, tmp_path):
    for layer in classifier.expression_encoder.modules():
        if isinstance(layer, ScaledConv2d):
            layer.round_weight()
    exact = read(classifier, crops)
    quantize(classifier, crops).save_pretrained(tmp_path)
    floats = TerGanForImageClassification.from_pretrained(tmp_path, expression_int8=False)
    torch.testing.assert_close(read(floats, crops), exact)


def test_weights_from_before_are_computed_in_floats(classifier, crops, tmp_path):
    older = TerGanForImageClassification(TerGanConfig.photo(**SETTINGS, expression_int8=False)).eval()
    own = classifier.state_dict()
    older.load_state_dict({name: value for name, value in own.items() if name in older.state_dict()})
    tensors = {name: value for name, value in older.state_dict().items() if not name.endswith(".scale")}
    older.save_pretrained(tmp_path, state_dict=tensors)
    loaded = TerGanForImageClassification.from_pretrained(tmp_path, expression_int8=True)
    assert not loaded.expression_encoder.activation_ranges.any()
    assert torch.equal(read(loaded, crops), read(classifier, crops))
