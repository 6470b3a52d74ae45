"""Stage 1's labels."""

import pytest
import torch

from tergan_hf import TerGanConfig, TerGanForImageClassification
from tergan_hf.data.loading import DataSource
from tergan_hf.training.arguments import OptimizerArguments, TrainingArguments
from tergan_hf.training.teachers import soften_labels

from .conftest import TINY


def test_a_teacher_softens_what_was_labelled_by_hand_and_nothing_else():
    torch.manual_seed(0)
    teachers = [
        TerGanForImageClassification(TerGanConfig.photo(**TINY, mirror_recognition=False)).eval() for _ in range(2)
    ]
    for teacher in teachers:
        torch.nn.init.normal_(teacher.classifier.weight, std=0.1)
    crops = torch.rand(5, 3, 48, 48) * 2 - 1  # larger than it looks at
    labels = torch.eye(7)[[1, 4, 2, 5, 6]]
    by_hand = torch.tensor([False, False, True, True, True])
    softened = soften_labels(labels, teachers, crops, by_hand, 0.4)
    assert torch.equal(softened[:2], labels[:2])
    with torch.no_grad():
        answers = sum(teacher(view).logits.softmax(1) for teacher in teachers for view in (crops, crops.flip(3))) / 4
    torch.testing.assert_close(softened[2:], 0.6 * labels[2:] + 0.4 * answers[2:])
    assert answers.max() < 0.99  # or softening would hardly show


def test_distillation_without_a_teacher_is_refused():
    with pytest.raises(ValueError, match="'teachers' or 'pretrained'"):
        TrainingArguments(sources=[DataSource("set", "folder")], expression_stage=OptimizerArguments(distillation=0.5))
    with pytest.raises(ValueError, match=r"between 0 and 1, not 1\.5"):
        OptimizerArguments(distillation=1.5)
