"""Blendshapes that a model reads from a face."""

import pytest
import torch

from tergan_hf import TerGanConfig, TerGanForImageClassification, TerGanModel
from tergan_hf.model.blendshapes_tergan import GAZE_LIMIT
from tergan_hf.model.errors_tergan import InvalidInputError

from .conftest import TINY


def test_blendshapes_of_a_face_and_its_mirror_image_change_sides():
    torch.manual_seed(0)
    names = ("jawOpen", "eyeBlinkLeft", "eyeBlinkRight", "gazeX", "gazeY")
    config = TerGanConfig.photo(**TINY, blendshape_names=names)
    model, classifier = TerGanModel(config).eval(), TerGanForImageClassification(config).eval()
    model.blendshape_regressor.bias.data += torch.tensor([0.5, 0.4, 0.6, 3.0, 100.0])
    classifier.load_state_dict({name: model.state_dict()[name] for name in classifier.state_dict()})
    pixels = torch.rand(3, 3, 32, 32)
    read, mirrored = model.read_blendshapes(pixels), model.read_blendshapes(pixels.flip(3))
    assert read.shape == (3, 5) and (read[:, :3] >= 0).all() and (read[:, :3] <= 1).all()
    assert (read[:, 4] == GAZE_LIMIT).all()
    torch.testing.assert_close(mirrored, read[:, [0, 2, 1, 3, 4]] * torch.tensor([1, 1, 1, -1, 1]))
    assert (read[:, 1] - read[:, 2]).abs().max() > 0.01
    torch.testing.assert_close(classifier(pixels).blendshapes, read)
    model.config.mirror_recognition = False
    torch.testing.assert_close(
        model.read_blendshapes(pixels), model.regress_blendshapes(model.encode_expression(pixels))
    )


def test_a_model_without_blendshapes_says_so():
    model = TerGanForImageClassification(TerGanConfig(**TINY))
    with pytest.raises(InvalidInputError, match="read no blendshapes"):
        model.read_blendshapes(torch.zeros(1, 3, 32, 32))
    assert model(torch.zeros(2, 3, 32, 32)).blendshapes is None
