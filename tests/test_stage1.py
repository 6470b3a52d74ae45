"""Stage 1's labels."""

import numpy as np
import pytest
import torch

from tergan_hf import TerGanConfig, TerGanModel
from tergan_hf.data.loading import DataSource
from tergan_hf.data.sampling import BalancedPhotos, Chips
from tergan_hf.training.arguments import OptimizerArguments, TrainingArguments
from tergan_hf.training.monitoring import aligned_crops
from tergan_hf.training.stage1 import soften_labels

from .conftest import TINY


def make_chips(labels, activations=None):
    count = len(labels)
    nobody, framings = np.full(count, -1), np.zeros((count, 2, 3))
    chips = Chips("set", list(range(count)), np.array(labels), nobody, nobody, nobody, framings)
    chips.activations = activations
    pixels = torch.randint(0, 256, (count, 3, 40, 40), dtype=torch.uint8)
    chips.pixels = lambda row, side: pixels[row]
    return chips


def test_a_teacher_softens_what_was_labelled_by_hand_and_nothing_else():
    torch.manual_seed(0)
    teacher = TerGanModel(TerGanConfig.photo(**TINY)).eval()
    torch.nn.init.normal_(teacher.classifier.weight, std=0.1)
    by_hand, rendered = make_chips([2, 5, 6]), make_chips([1, 4], np.zeros((2, 3), np.float32))
    table = soften_labels([rendered, by_hand], teacher, 0.4)
    assert torch.equal(table[:2], torch.eye(7)[[1, 4]])
    crops = aligned_crops(by_hand, np.arange(3), teacher.config.expression_image_size, "cpu")
    with torch.no_grad():
        views = [teacher.classify(teacher.expression_encoder(view)).softmax(1) for view in (crops, crops.flip(3))]
    answers = (views[0] + views[1]) / 2
    torch.testing.assert_close(table[2:], 0.6 * torch.eye(7)[[2, 5, 6]] + 0.4 * answers)
    assert answers.max() < 0.99  # or softening would hardly show


def test_rows_count_through_all_sets():
    sets = [make_chips([0, 1, 2]), make_chips([3, 4])]
    drawn = [BalancedPhotos(sets, 60, 40)[number] for number in range(60)]
    assert {item["row"] for item in drawn} == set(range(5))
    assert all(item["expression"] == item["row"] for item in drawn)
    assert all(torch.equal(item["chip"], sets[item["row"] > 2].pixels(item["row"] % 3, 40)) for item in drawn)


def test_distillation_without_a_teacher_is_refused():
    with pytest.raises(ValueError, match="'pretrained'"):
        TrainingArguments(sources=[DataSource("set", "folder")], expression_stage=OptimizerArguments(distillation=0.5))
    with pytest.raises(ValueError, match=r"between 0 and 1, not 1\.5"):
        OptimizerArguments(distillation=1.5)
