"""Optimisers: Adam, and Muon for the convolutions inside a network."""

import torch
from accelerate import Accelerator
from torch import nn

from .arguments import OptimizerArguments


# Jordan et al. 2024: a quintic whose repetition drives singular values towards 1, fastest from near 0.
QUINTIC = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
MOMENTUM = 0.9


def clip_and_step(
    accelerator: Accelerator, module: nn.Module, optimizer: torch.optim.Optimizer, max_grad_norm: float
) -> torch.Tensor:
    """Clip a module's gradients to a norm, do one step of its optimiser, and clear them. Returns their norm before."""
    norm = accelerator.clip_grad_norm_(module.parameters(), max_grad_norm)
    optimizer.step()
    optimizer.zero_grad()
    return norm


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
            if group["orthogonal"]:
                trained = [parameter for parameter in group["params"] if parameter.grad is not None]
                self._orthogonal_steps(trained, group["lr"], group["weight_decay"])
                withheld += [(parameter, parameter.grad) for parameter in trained]
        for parameter, _ in withheld:
            parameter.grad = None  # AdamW's step passes over it
        super().step()
        for parameter, gradient in withheld:
            parameter.grad = gradient
        return loss

    def _orthogonal_steps(self, parameters: list[nn.Parameter], learning_rate: float, weight_decay: float):
        # Matrices of one shape are orthogonalised together: a GPU spends its time on starting small operations.
        alike: dict[tuple[int, int], list[tuple[nn.Parameter, torch.Tensor]]] = {}
        for parameter in parameters:
            matrix = self._direction(parameter).flatten(1).float()
            alike.setdefault((matrix.shape[0], matrix.shape[1]), []).append((parameter, matrix))
        for (rows, columns), found in alike.items():
            steps = orthogonalize(torch.stack([matrix for _, matrix in found]))
            for (parameter, _), step in zip(found, steps):
                parameter.mul_(1 - learning_rate * weight_decay)
                step = step.view(parameter.shape).to(parameter.dtype)
                parameter.add_(step, alpha=-learning_rate * max(1.0, rows / columns) ** 0.5)

    def _direction(self, parameter: nn.Parameter) -> torch.Tensor:
        """The step of Nesterov's momentum before it is orthogonalised."""
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
            state["step"] = torch.zeros(())  # AdamW expects it of every state it restores
        state["momentum"].mul_(MOMENTUM).add_(parameter.grad)
        return parameter.grad.add(state["momentum"], alpha=MOMENTUM)


def orthogonalize(matrices: torch.Tensor) -> torch.Tensor:
    """(…, m, n) → matrices with the same singular vectors and singular values of about 1 (0.7 to 1.2), by
    `ITERATIONS` of Newton-Schulz. A zero matrix stays zero."""
    first, third, fifth = QUINTIC
    tall = matrices.shape[-2] > matrices.shape[-1]
    start = matrices.mT if tall else matrices
    start = start / (torch.linalg.matrix_norm(start, keepdim=True) + 1e-7)
    # An iteration X ← (a + b XXᵀ + c (XXᵀ)²) X multiplies from the left by a polynomial of XXᵀ. All these polynomials
    # commute: they are multiplied up among themselves, as small square matrices, and meet the long one once.
    square = start @ start.mT
    product = identity = torch.eye(square.shape[-1], dtype=square.dtype, device=square.device)
    for _ in range(ITERATIONS):
        polynomial = first * identity + third * square + fifth * square @ square
        product = polynomial @ product
        square = polynomial @ square @ polynomial
    result = product @ start
    return result.mT if tall else result
