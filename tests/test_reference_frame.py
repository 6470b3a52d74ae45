"""The reference frame of a driving clip: which one is chosen, and what is carried."""

from types import SimpleNamespace

import pytest
import torch

from tergan_hf.model.reference_frame_tergan import SECONDS, ReferenceFrame


INTERVAL = 0.1
CALM, SMILE, FROWN = (torch.tensor([[value]]) for value in (0.0, 1.0, -1.0))
OWN = torch.tensor([[0.25]])


def model(labels=("happiness", "neutral", "anger")) -> SimpleNamespace:
    """f(e) has one number: a smile above 0, anger below."""
    return SimpleNamespace(
        config=SimpleNamespace(expressions=list(labels)),
        classify=lambda expression: 8 * torch.cat([expression, 0.5 - expression.abs(), -expression], dim=1),
    )


def watch(reference: ReferenceFrame, expressions) -> ReferenceFrame:
    """Show it frames; `None` is one without the face."""
    for expression in expressions:
        if expression is None:
            reference.skip(INTERVAL)
        else:
            reference.add(expression, INTERVAL)
    return reference


def carried(reference: ReferenceFrame, expression: torch.Tensor) -> float:
    return float(reference.carry(expression, OWN))


def test_changes_are_carried_from_a_clip_that_begins_calmly():
    reference = watch(ReferenceFrame(model(), None), [CALM + 0.1] * 16 + [SMILE] * 5)
    assert (reference.relative, reference.seconds) == (True, 0.0)
    assert carried(reference, CALM + 0.1) == float(OWN)
    assert carried(reference, SMILE) == pytest.approx(float(OWN) + 0.9)


def test_the_calmest_early_frame_is_the_reference():
    # A grimace at the start, and a calmer face after the time in which it is looked for.
    frames = [SMILE, SMILE, CALM + 0.2, CALM + 0.1, *[CALM + 0.2] * 12, *[CALM] * 5]
    reference = watch(ReferenceFrame(model(), None), frames)
    assert reference.relative and reference.seconds == pytest.approx(0.3)
    assert carried(reference, CALM + 0.1) == float(OWN)
    assert carried(reference, SMILE) > 1  # the first frames still smile


@pytest.mark.parametrize("shown", [SMILE, FROWN])
def test_an_expression_that_the_clip_begins_with_is_carried_itself(shown):
    reference = watch(ReferenceFrame(model(), None), [shown] * 20 + [CALM] * 5)
    assert (reference.relative, reference.seconds) == (False, None)
    assert carried(reference, shown) == float(shown)
    assert carried(reference, CALM) == 0


def test_both_can_be_asked_for():
    reference = watch(ReferenceFrame(model(), True), [SMILE] * 20)
    assert reference.relative and carried(reference, SMILE) == float(OWN)
    reference = watch(ReferenceFrame(model(), False), [CALM])
    assert not reference.waits and carried(reference, SMILE) == 1


def test_the_choice_waits_for_the_face_and_no_longer_than_needed():
    reference = watch(ReferenceFrame(model(), None), [None] * 50)
    assert not reference.waits
    for frame in range(round(SECONDS / INTERVAL)):
        watch(reference, [CALM if frame % 2 else SMILE])
        assert reference.waits
    watch(reference, [None])
    assert not reference.waits and reference.relative and reference.seconds == pytest.approx(5.1)


def test_a_clip_may_be_shorter():
    reference = watch(ReferenceFrame(model(), None), [CALM] * 3)
    assert reference.waits and carried(reference, SMILE) == pytest.approx(1.25) and reference.relative


def test_a_model_without_the_label_neutral_carries_the_expression():
    reference = watch(ReferenceFrame(model(("joy", "calm", "rage")), None), [CALM] * 20)
    assert reference.relative is False and carried(reference, SMILE) == 1
