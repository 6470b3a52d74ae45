"""The configuration: bounds, contradictions, older files."""

import dataclasses
import json

import pytest
from transformers import PreTrainedConfig

from tergan_hf import TerGanConfig
from tergan_hf.model.errors_tergan import InvalidInputError

from .conftest import ROOT
from .tiny_models import TINY


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"decoder_channels": (8, 8, 3)}, "decoder_channels"),
        ({"decoder_channels": (8, 8, 8, 8, 4)}, "num_channels"),
        ({"image_size": 16}, "image_size"),
        ({"expression_patch_size": 5}, "expression_patch_size 5 does not divide expression_image_size 32"),
    ],
)
def test_contradictory_sizes_are_named(wrong, field):
    with pytest.raises(ValueError, match=field):
        TerGanConfig(**{**TINY, **wrong})


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["eyeBlinkLeft"], "must have eyeBlinkRight too"),
        (["jawOpen", "jawOpen"], "two names"),
        (["jaw open"], "plain word"),
    ],
)
def test_names_of_blendshapes_are_checked(names, message):
    with pytest.raises(InvalidInputError, match=message):
        TerGanConfig(**TINY, blendshape_names=names)


def test_an_old_config_loads_silently_and_is_saved_without_its_old_keys(tmp_path, caplog, recwarn):
    old = {
        **TerGanConfig.photo(**TINY).to_dict(),
        "activation_weight": 0.5, "adversarial_weight": 0.003, "num_identities": 1955, "freeze_batch_norm": True,
        "discriminator_channels": [16, 32, 64, 128], "feature_layer_weights": [0.5, 0.6, 0.7, 0.88, 0.99],
        "identity_refined_size": 32, "decoder_refined_size": 64, "leaky_relu_slope": 0.2,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(old))
    config = TerGanConfig.from_pretrained(tmp_path)
    assert not caplog.records and not recwarn.list
    assert config.to_diff_dict() == TerGanConfig.photo(**TINY).to_diff_dict()
    config.save_pretrained(tmp_path / "new")
    assert not set(json.loads((tmp_path / "new" / "config.json").read_text())) & {"num_identities", "leaky_relu_slope"}
    (tmp_path / "config.json").write_text(json.dumps({**old, "leaky_relu_slope": 2}))
    with pytest.raises(ValueError, match="leaky_relu_slope 2 is no longer supported"):
        TerGanConfig.from_pretrained(tmp_path)


def test_every_field_of_the_configuration_is_read_by_a_network():
    own = {item.name for item in dataclasses.fields(TerGanConfig)}
    own -= {item.name for item in dataclasses.fields(PreTrainedConfig)}
    code = "".join(
        path.read_text() for path in (ROOT / "tergan_hf" / "model").glob("*.py") if "configuration" not in path.name
    )
    assert {name for name in own if f"config.{name}" not in code} == set()
