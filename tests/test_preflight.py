"""What the trainer refuses before it begins: modes of the hardware, and photos that lack what the run asks for."""

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
    return SimpleNamespace(labelled_rows=np.arange(count), has_identities=True, blendshapes=blendshapes)


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


@pytest.mark.parametrize(("given", "kept"), [(False, "no"), ("fp32", "no"), ("no", "no"), ("bf16", "bf16")])
def test_full_precision_has_three_names(given, kept):
    sources = shipped_arguments("paper").sources
    assert TrainingArguments(sources=sources, mixed_precision=given).mixed_precision == kept


def test_sets_without_weights_count_alike():
    labels = [np.array([0, 1]), np.array([0, 0])]
    assert class_shares(labels, [0.0, 0.0]).tolist() == class_shares(labels, [1.0, 1.0]).tolist()
