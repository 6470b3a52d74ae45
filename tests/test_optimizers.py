"""Muon: what it does to matrices, that it learns, and that it can be resumed."""

import pytest
import torch
from torch import nn

from tergan_hf.training.arguments import OptimizerArguments
from tergan_hf.training.optimizers import build_optimizer, orthogonalize


SETTINGS = OptimizerArguments(optimizer="muon", learning_rate=1e-2, matrix_learning_rate=0.05, betas=(0.9, 0.999))


@pytest.mark.parametrize("shape", [(8, 30), (30, 8), (12, 12)])
def test_singular_values_become_about_one_and_directions_stay(shape):
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    result = orthogonalize(matrix)
    found = left.T @ result @ right.T
    assert ((found.diagonal() > 0.6) & (found.diagonal() < 1.3)).all()
    assert (found - found.diagonal().diag()).abs().max() < 1e-3
    assert torch.equal(orthogonalize(torch.zeros(4, 6)), torch.zeros(4, 6))


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 2))


def run(module, optimizer, steps):
    generator = torch.Generator().manual_seed(2)
    images, labels = torch.randn(32, 3, 8, 8, generator=generator), torch.arange(32) % 2
    for _ in range(steps):
        loss = nn.functional.cross_entropy(module(images), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return float(loss.detach())


def test_it_learns_and_trains_convolutions_and_the_rest():
    module = network()
    before = [parameter.clone() for parameter in module.parameters()]
    optimizer = build_optimizer(module, SETTINGS)
    assert run(module, optimizer, 40) < 0.05
    assert all(not torch.equal(old, new) for old, new in zip(before, module.parameters()))


def test_a_restored_optimiser_goes_on_as_if_it_had_not_stopped():
    whole = network()
    run(whole, build_optimizer(whole, SETTINGS), 6)
    first = network()
    optimizer = build_optimizer(first, SETTINGS)
    run(first, optimizer, 3)
    second = network()
    second.load_state_dict(first.state_dict())
    restored = build_optimizer(second, SETTINGS)
    restored.load_state_dict(optimizer.state_dict())
    run(second, restored, 3)
    for ours, theirs in zip(whole.parameters(), second.parameters()):
        assert torch.allclose(ours, theirs)


def test_an_unknown_optimiser_is_named():
    with pytest.raises(ValueError, match="'sgd'"):
        OptimizerArguments(optimizer="sgd")
