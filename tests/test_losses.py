"""Every equation against a case worked out by hand."""

import math

import pytest
import torch

from tergan_hf.training import losses
from tergan_hf.training.arguments import LossArguments
from tergan_hf.training.gradient_reversal import reverse_gradient


LOG2, LOG3 = math.log(2), math.log(3)


def test_equation_1():
    # Uniform logits: cross-entropy is log(classes). D^e has two expressions and "fake", D^i two people.
    loss = losses.discriminator_loss(
        torch.zeros(1, 3), torch.zeros(1, 2), torch.zeros(1, 3), torch.tensor([0]), torch.tensor([1])
    )
    assert loss.item() == pytest.approx(LOG3 + LOG2 + LOG3)


def test_equation_1_wants_generated_images_called_fake():
    sure = torch.tensor([[0.0, 0.0, 50.0]])
    real = torch.tensor([[50.0, 0.0, 0.0]])
    identity = torch.tensor([[50.0, 0.0]])
    right = losses.discriminator_loss(real, identity, sure, torch.tensor([0]), torch.tensor([0]))
    wrong = losses.discriminator_loss(real, identity, real, torch.tensor([0]), torch.tensor([0]))
    assert right.item() == pytest.approx(0, abs=1e-6)
    assert wrong.item() == pytest.approx(50)


def test_equation_2():
    expression_logits = torch.tensor([[0.0, math.log(3), 0.0]])  # probabilities 1/5, 3/5, 1/5
    identity_logits = torch.tensor([[math.log(3), 0.0]])  # probabilities 3/4, 1/4
    loss = losses.generator_loss(expression_logits, identity_logits, torch.tensor([1]), torch.tensor([1]))
    assert loss.item() == pytest.approx(-math.log(3 / 5) - math.log(1 / 4))


def test_equations_4_and_5():
    # Logit log 3 is probability 3/4 of being real.
    loss = losses.consistency_loss(torch.tensor([math.log(3)]), torch.tensor([math.log(3)]))
    assert loss.item() == pytest.approx(-math.log(3 / 4) - math.log(1 / 4))


def test_equations_6_and_7():
    generated, real = torch.tensor([[[[0.5, -0.5]]]]), torch.tensor([[[[0.0, 0.5]]]])
    assert losses.reconstruction_loss(generated, real).item() == pytest.approx((0.5 + 1.0) / 2)


def test_equations_8_and_9():
    generated = [torch.full((1, 2, 2, 2), 1.0), torch.full((1, 4, 1, 1), 3.0)]
    real = [torch.zeros(1, 2, 2, 2), torch.ones(1, 4, 1, 1)]
    assert losses.feature_loss(generated, real, (0.5, 0.6)).item() == pytest.approx(0.5 * 1 + 0.6 * 2)


def test_equations_8_and_9_need_a_weight_per_layer():
    with pytest.raises(ValueError):
        losses.feature_loss([torch.zeros(1)], [torch.zeros(1)], (0.5, 0.6))


def test_equation_10_weighs_each_term_as_the_paper_does():
    weights = LossArguments()
    expected = {
        "identity_feature": 1, "expression_feature": 1, "identity_reconstruction": 1, "expression_reconstruction": 1,
        "identity_consistency": 0.3, "expression_consistency": 0.3, "adversarial": 0.5,
        "ground_truth": 0, "structure": 0, "smoothness": 0, "flow": 0, "recognition": 0,
    }  # fmt: skip
    for name, weight in expected.items():
        assert losses.total_loss({name: torch.tensor(2.0)}, weights).item() == pytest.approx(2 * weight)
    everything = {name: torch.tensor(1.0) for name in expected}
    assert losses.total_loss(everything, weights).item() == pytest.approx(5.1)
    assert weights.feature_layers == (0.5, 0.6, 0.7, 0.88, 0.99)


def test_motion_loss_counts_the_places_whose_movement_is_known():
    flow, truth = torch.zeros(1, 2, 2, 2), torch.full((1, 2, 2, 2), 0.1)
    truth[..., 1] = 9.0
    known = torch.tensor([[[[True, False], [True, False]]]])
    assert losses.flow_loss(flow, truth, known).item() == pytest.approx(0.1)
    assert losses.flow_loss(flow, truth, torch.zeros_like(known)).item() == 0


def test_ground_truth_loss_counts_pairs_with_a_truth_and_focuses():
    generated = torch.zeros(2, 1, 1, 2)
    truth = torch.tensor([[[[1.0, 0.5]]], [[[9.0, 9.0]]]])
    target = torch.tensor([[[[0.0, 0.5]]], [[[0.0, 0.0]]]])
    has_truth = torch.tensor([True, False])
    plain = losses.ground_truth_loss(generated, truth, target, has_truth)
    assert plain.item() == pytest.approx((1.0 + 0.5) / 2)
    focused = losses.ground_truth_loss(generated, truth, target, has_truth, focus=10)
    assert focused.item() == pytest.approx(((1 + 10 * 1.0) * 1.0 + 0.5) / 2)
    assert losses.ground_truth_loss(generated, truth, target, torch.tensor([False, False])).item() == 0
    uncovered = torch.tensor([[[[False, True]]], [[[True, True]]]])
    shown = losses.ground_truth_loss(generated, truth, target, has_truth, uncovered=uncovered, uncovered_focus=4)
    assert shown.item() == pytest.approx((1.0 + (1 + 4) * 0.5) / 2)


def test_gradient_reversal_changes_the_sign_backwards_only():
    features = torch.tensor([1.0, -2.0], requires_grad=True)
    weights = torch.tensor([3.0, 5.0])
    passed = reverse_gradient(features)
    assert torch.equal(passed, features)
    (passed * weights).sum().backward()
    assert torch.equal(features.grad, -weights)


def test_structure_loss_sees_coarse_and_edges():
    generated, truth = torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8)
    # A constant miss of 1: 1 at each of the three coarse scales; no edges.
    target = torch.zeros(1, 1, 8, 8)
    assert losses.structure_loss(generated, truth, target, torch.tensor([True])).item() == pytest.approx(3.0)
    truth = torch.tensor([1.0, -1.0]).repeat(1, 1, 8, 4)
    # Stripes vanish in the mean of every even square; neighbours across differ by 2, down by 0.
    assert losses.structure_loss(generated, truth, target, torch.tensor([True])).item() == pytest.approx(2.0)
    assert losses.structure_loss(generated, truth, target, torch.tensor([False])).item() == 0
    relative = losses.structure_loss(generated, truth, target, torch.tensor([True]), relative=True)
    assert relative.item() == pytest.approx(2.0 * losses.USUAL_CHANGE)


def test_a_relative_truth_counts_faint_and_broad_changes_alike():
    target, has_truth = torch.zeros(2, 1, 4, 4), torch.tensor([True, True])
    truth = torch.tensor([0.2, 0.8]).view(2, 1, 1, 1).expand(2, 1, 4, 4)

    def loss(generated):
        return losses.ground_truth_loss(generated, truth, target, has_truth, relative=True).item()

    faint_missed, broad_missed = (truth * torch.tensor(kept).view(2, 1, 1, 1) for kept in ([0.0, 1.0], [1.0, 0.0]))
    assert loss(faint_missed) == pytest.approx(loss(broad_missed)) == pytest.approx(losses.USUAL_CHANGE / 2)
    assert loss(target) == pytest.approx(losses.USUAL_CHANGE)
    # Where nothing is to change, noise is not blown up without bound.
    still = losses.ground_truth_loss(target + 0.01, target, target, has_truth, relative=True).item()
    assert still == pytest.approx(0.01 * losses.USUAL_CHANGE / losses.LEAST_CHANGE)


def test_the_eyes_count_more_in_every_term():
    eyes = torch.zeros(1, 1, 64, 64)
    eyes[..., 8:40, 8:40] = 1
    target, has_truth = torch.zeros(1, 3, 64, 64), torch.tensor([True])

    def miss(start):
        truth = target.clone()
        truth[..., start : start + 8, start : start + 8] = 0.5
        flow, known = truth[:, :2], torch.ones(1, 1, 64, 64, dtype=torch.bool)
        return torch.stack([
            losses.ground_truth_loss(target, truth, target, has_truth, eyes=eyes, eye_focus=4),
            losses.structure_loss(target, truth, target, has_truth, eyes=eyes, eye_focus=4),
            losses.flow_loss(torch.zeros_like(flow), flow, known, eyes, eye_focus=4),
        ])  # fmt: skip

    torch.testing.assert_close(miss(16), 5 * miss(48))


def test_smoothness_loss_is_total_variation():
    flow = torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]]).repeat(1, 2, 1, 1)
    assert losses.smoothness_loss(flow).item() == pytest.approx(1.0)
    assert losses.smoothness_loss(torch.ones(1, 2, 4, 4)).item() == 0


def test_costly_terms_weigh_as_much_more_as_they_are_rarer():
    terms = {"adversarial": torch.tensor(1.0), "identity_reconstruction": torch.tensor(1.0)}
    assert losses.total_loss(terms, LossArguments(), costly_interval=4).item() == pytest.approx(4 * 0.5 + 1)
