"""Distillation: mixing labels with the answers of trained models."""

from collections.abc import Sequence

import torch

from ..model.configuration_tergan import TerGanConfig
from ..model.errors_tergan import InvalidInputError
from ..model.modeling_tergan import TerGanForImageClassification


def check_teachers(teachers: Sequence[TerGanForImageClassification], config: TerGanConfig):
    """
    Check that teachers and student know the same expressions.

    Raises:
        InvalidInputError: a teacher knows other expressions, or in another order.
    """
    for teacher in teachers:
        if teacher.config.expressions != config.expressions:
            raise InvalidInputError(
                f"{teacher.name_or_path} cannot teach {', '.join(config.expressions)}: it knows "
                f"{', '.join(teacher.config.expressions)}"
            )


@torch.no_grad()
def soften_labels(
    labels: torch.Tensor,
    teachers: Sequence[TerGanForImageClassification],
    crops: torch.Tensor,
    by_hand: torch.Tensor,
    share: float,
) -> torch.Tensor:
    """
    Mix labels that were given by hand with the teachers' answers for the same augmented crops (Beyer et al. 2022,
    Knowledge distillation: A good teacher is patient and consistent). Without augmentation teachers mostly repeat the
    labels they were trained on.

    Args:
        labels: (B, num_labels), rows summing to 1. crops: (B, C, S, S) in [-1, 1].
        teachers: their answers for a crop and its mirror image are averaged.
        by_hand: (B,) bool. The other crops were rendered from their label, which is kept.
        share: of the answers in the mixture.

    Returns:
        (B, num_labels), rows summing to 1.
    """
    # All crops, so that every step has the same shapes: a GPU selects its convolutions anew for each new shape.
    views = crops, crops.flip(3)
    answers = [
        teacher.classifier(teacher.expression_encoder(view)).float().softmax(1)
        for teacher in teachers
        for view in views
    ]
    return torch.where(by_hand[:, None], torch.lerp(labels, torch.stack(answers).mean(0), share), labels)
