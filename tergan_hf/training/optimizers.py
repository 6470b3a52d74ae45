"""Optimisers: Adam, and Muon for the convolutions inside a network."""

import torch
from torch import nn

from .arguments import OptimizerArguments


# Jordan et al. 2024: a quintic whose repetition drives singular values towards 1, fastest from near 0.
QUINTIC = (3.4445, -4.7750, 2.0315)
MOMENTUM = 0.9


def build_optimizer(module: nn.Module, settings: OptimizerArguments) -> torch.optim.Optimizer:
    """The optimiser that `settings` names, over what the module trains."""
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    adam = {
        "lr": settings.learning_rate, "betas": tuple(settings.betas), "weight_decay": settings.weight_decay,
    }  # fmt: skip
    if settings.optimizer == "adam":
        return torch.optim.AdamW(trained, **adam)
    # Layers that begin small put out the result itself; Muon's authors leave such layers to Adam.
    hidden = {
        id(layer.weight)
        for layer in module.modules()
        if isinstance(layer, nn.Conv2d) and not hasattr(layer, "initial_std")
    }
    groups = [
        {"params": [p for p in trained if id(p) in hidden], "lr": settings.matrix_learning_rate, "orthogonal": True},
        {"params": [p for p in trained if id(p) not in hidden], "orthogonal": False},
    ]
    return Muon([group for group in groups if group["params"]], **adam)


class Muon(torch.optim.AdamW):
    """
    Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon) for the parameter groups marked `orthogonal`, AdamW
    for the others. A convolution's kernel counts as a matrix, output channels × the rest. The momentum's step is
    replaced by the nearest matrix with equal singular values, so that rare directions are learnt as fast as common
    ones.

    PyTorch's own `torch.optim.Muon` takes matrices only and computes in bfloat16, which most CPUs only emulate.
    """

    @torch.no_grad()
    def step(self, closure=None):
        """One step of every group. → the closure's loss, if any."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        withheld = []
        for group in self.param_groups:
            if not group["orthogonal"]:
                continue
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._orthogonal_step(parameter, group["lr"], group["weight_decay"])
                    withheld.append((parameter, parameter.grad))
                    parameter.grad = None  # AdamW's step passes over it
        super().step()
        for parameter, gradient in withheld:
            parameter.grad = gradient
        return loss

    def _orthogonal_step(self, parameter: torch.Tensor, learning_rate: float, weight_decay: float):
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
            state["step"] = torch.zeros(())  # AdamW expects it of every state it restores
        state["momentum"].mul_(MOMENTUM).add_(parameter.grad)
        direction = parameter.grad.add(state["momentum"], alpha=MOMENTUM)  # Nesterov
        matrix = direction.flatten(1).float()
        rows, columns = matrix.shape
        step = orthogonalize(matrix).view(parameter.shape).to(parameter.dtype)
        parameter.mul_(1 - learning_rate * weight_decay)
        parameter.add_(step, alpha=-learning_rate * max(1.0, rows / columns) ** 0.5)


def orthogonalize(matrix: torch.Tensor, iterations: int = 5) -> torch.Tensor:
    """(m, n) → a matrix with the same singular vectors and singular values of about 1 (0.7 to 1.2), by Newton-Schulz
    iterations. A zero matrix stays zero."""
    first, third, fifth = QUINTIC
    tall = matrix.shape[0] > matrix.shape[1]
    start = matrix.T if tall else matrix
    start = start / (start.norm() + 1e-7)
    # An iteration X ← (a + b XXᵀ + c (XXᵀ)²) X multiplies from the left by a polynomial of XXᵀ. All these polynomials
    # commute: they are multiplied up among themselves, as small square matrices, and meet the long one once.
    square = start @ start.T
    product = identity = torch.eye(len(square), dtype=square.dtype, device=square.device)
    for _ in range(iterations):
        polynomial = first * identity + third * square + fifth * square @ square
        product = polynomial @ product
        square = polynomial @ square @ polynomial
    result = product @ start
    return result.T if tall else result
