"""Gradient reversal layer (Ganin et al. 2016), how the paper turns eq. 4 and 5 into one minimisation."""

import torch


class _ReverseGradient(torch.autograd.Function):
    @staticmethod
    def forward(context, features, scale):
        context.scale = scale
        return features.view_as(features)

    @staticmethod
    def backward(context, gradient):
        return -context.scale * gradient, None


def reverse_gradient(features: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
    """The identity forwards; backwards the gradient times `-scale`."""
    return _ReverseGradient.apply(features, scale)
