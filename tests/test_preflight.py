"""What the trainer refuses before it begins: modes of the hardware, and photos that lack what the run asks for."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from accelerate.utils import DistributedType

from tergan_hf import InvalidInputError, TerGanConfig
from tergan_hf.data.sampling import class_shares
from tergan_hf.expressions.blendshapes import COLUMN_NAMES
from tergan_hf.training.arguments import PairArguments, TrainingArguments
from tergan_hf.training.preflight import check_hardware, check_photos

from .tiny_models import TINY
from .training_settings import shipped_arguments


def photos(blendshapes=None, count=80):
    """As much of a `PhotoSet` as the checks look at."""
    return SimpleNamespace(
        labelled_rows=np.arange(count), has_identities=True, blendshapes=blendshapes, weight=1.0, pair_weight=1.0,
        expressions=np.arange(count) % 6,
    )  # fmt: skip


def test_sharded_training_is_refused():
    check_hardware(SimpleNamespace(distributed_type=DistributedType.MULTI_GPU))
    with pytest.raises(InvalidInputError, match="DEEPSPEED cannot train several networks side by side"):
        check_hardware(SimpleNamespace(distributed_type=DistributedType.DEEPSPEED))


def test_photos_need_labels_and_for_stage_2_identities():
    arguments, config = shipped_arguments("paper"), TerGanConfig(**TINY)
    with pytest.raises(InvalidInputError, match="no photo of the sources has one of the labels"):
        check_photos(arguments, config, [photos(count=0)], None)
    unknown = photos()
    unknown.has_identities = False
    with pytest.raises(InvalidInputError, match=r"set identity_stage\.steps=0 generator_stage\.steps=0"):
        check_photos(arguments, config, [unknown], None)
    check_photos(arguments, config, [unknown, photos()], None)


def test_editing_by_name_needs_photos_with_all_blendshapes():
    arguments, config = shipped_arguments("photo"), TerGanConfig.photo(**TINY)
    complete = np.random.default_rng(0).random((80, len(COLUMN_NAMES)))
    check_photos(arguments, config, [photos(), photos(complete)], None)
    read = complete.copy()
    read[:, 3] = np.nan  # as MediaPipe's are
    for sets in ([photos()], [photos(read)], [photos(complete[:5])]):
        with pytest.raises(InvalidInputError, match=r"needs photos with all of their blendshapes.*edited_by_name=0"):
            check_photos(arguments, config, sets, None)
    with pytest.raises(InvalidInputError, match="needs a model with blendshape_names"):
        check_photos(arguments, TerGanConfig(**TINY), [photos(complete)], None)
    arguments.pairs = PairArguments()
    check_photos(arguments, TerGanConfig(**TINY), [photos()], None)


@pytest.mark.parametrize(("key", "stage"), [("weight", "identity_stage"), ("pair_weight", "generator_stage")])
def test_a_set_with_identities_needs_a_weight(key, stage):
    arguments, never, unknown = shipped_arguments("paper"), photos(), photos()
    setattr(never, key, 0.0)
    unknown.has_identities = False
    with pytest.raises(InvalidInputError, match=f"{stage} has no set to draw from: the {key} of every set"):
        check_photos(arguments, TerGanConfig(**TINY), [never, unknown], None)
    getattr(arguments, stage).steps = 0
    check_photos(arguments, TerGanConfig(**TINY), [never, unknown], None)


def test_stage_2_does_not_forget_how_to_read_blendshapes():
    arguments, config = shipped_arguments("photo"), TerGanConfig.photo(**TINY)
    arguments.pairs, saved = PairArguments(), SimpleNamespace(config=config)
    check_photos(arguments, config, [photos()], saved)
    arguments.freeze_expression_encoder = False
    with pytest.raises(InvalidInputError, match="would no longer read them: set freeze_expression_encoder=true"):
        check_photos(arguments, config, [photos()], saved)
    check_photos(arguments, config, [photos(np.zeros((80, len(COLUMN_NAMES))))], saved)
    check_photos(arguments, TerGanConfig(**TINY), [photos()], saved)


def test_labels_without_a_photo_and_losses_without_an_effect_are_named(caplog):
    arguments, shown, fewer = shipped_arguments("paper"), photos(), photos()
    config = TerGanConfig(**TINY)
    check_photos(arguments, config, [shown], None)
    assert not caplog.records
    fewer.expressions = shown.expressions % 5
    arguments.losses = replace(arguments.losses, smoothness=0.1, displacement=1.0)
    check_photos(arguments, config, [fewer], None)
    assert f"no training photo shows {config.expressions[5]}:" in caplog.text
    assert "losses.smoothness has no effect: the paper's decoder has no flow" in caplog.text
    assert "losses.displacement has no effect: losses.blendshapes is 0" in caplog.text


@pytest.mark.parametrize(("given", "kept"), [(False, "no"), ("fp32", "no"), ("no", "no"), ("bf16", "bf16")])
def test_full_precision_has_three_names(given, kept):
    sources = shipped_arguments("paper").sources
    assert TrainingArguments(sources=sources, mixed_precision=given).mixed_precision == kept


def test_sets_without_weights_count_alike():
    labels = [np.array([0, 1]), np.array([0, 0])]
    assert class_shares(labels, [0.0, 0.0]).tolist() == class_shares(labels, [1.0, 1.0]).tolist()
