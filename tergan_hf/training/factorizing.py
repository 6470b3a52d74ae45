"""Encoders of low rank that begin as ones of full rank (Zhang et al. 2015, Accelerating very deep convolutional
networks for classification and detection)."""

import torch

from ..modeling_tergan import ConvolutionBlock, TerGanModel


def factorized_tensors(saved: TerGanModel, model: TerGanModel) -> dict[str, torch.Tensor]:
    """
    `saved`'s tensors for the convolutions of G_es that `model` makes in two steps (`expression_ranks`) and `saved` at
    once: those of the rank asked for that come nearest to its response, batch norm's factor included, for an input
    without preferred directions.

    Returns:
        by name, only where the outer shapes are the same. Batch norm's own tensors fit as they are, by another number.
    """
    found = {}
    theirs = _blocks(saved)
    for name, block in _blocks(model).items():
        former = theirs.get(name)
        if former is None or len(former) != 3 or len(block) != 4:
            continue
        narrow, wide, norm, _ = block
        convolution, former_norm, _ = former
        shape = (norm.num_features, *narrow.weight.shape[1:])
        if convolution.weight.shape != shape:
            continue
        factor = former_norm.weight.abs() * torch.rsqrt(former_norm.running_var + former_norm.eps)
        factor = factor.double().clamp(min=1e-6)[:, None]
        left, sizes, right = torch.linalg.svd(factor * convolution.weight.flatten(1).double(), full_matrices=False)
        rank = len(narrow.weight)
        shared = sizes[:rank].sqrt()
        prefix = f"expression_encoder.{name}"
        found[f"{prefix}.0.weight"] = (shared[:, None] * right[:rank]).view_as(narrow.weight).float()
        found[f"{prefix}.1.weight"] = (left[:, :rank] * shared / factor).view_as(wide.weight).float()
        found |= {f"{prefix}.2.{part}": value for part, value in former_norm.state_dict().items()}
    return found


def _blocks(model: TerGanModel) -> dict[str, ConvolutionBlock]:
    return {
        name: part for name, part in model.expression_encoder.named_modules() if isinstance(part, ConvolutionBlock)
    }
