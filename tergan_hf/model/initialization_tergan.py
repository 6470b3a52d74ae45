"""Initial weights of single layers."""

import torch
from torch import nn
from transformers import initialization as init

from .encoder_tergan import LEAKY_RELU_SLOPE


@torch.no_grad()
def initialize_layer(layer: nn.Module):
    """
    Set the initial weights of one layer: normal with the layer's own `initial_std`, else Kaiming for a convolution and
    Xavier for a linear layer. Other modules are left alone.

    `initial_std` is set on single layers because transformers skips modules without weights of their own.
    """
    if hasattr(layer, "initial_std"):
        init.normal_(layer.weight, std=layer.initial_std)
    elif isinstance(layer, nn.Conv2d):
        init.kaiming_normal_(layer.weight, a=LEAKY_RELU_SLOPE)
    elif isinstance(layer, nn.Linear):
        init.xavier_uniform_(layer.weight)
    else:
        return
    if layer.bias is not None:
        init.zeros_(layer.bias)


__all__ = ["initialize_layer"]
