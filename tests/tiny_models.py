"""Small models with random weights, and their pipelines."""

from pathlib import Path

import torch

from tergan_hf import TerGanConfig, TerGanImageProcessor, TerGanModel, TerGanPipeline


TINY = {
    "image_size": 32,
    "encoder_channels": (4, 4, 8, 8, 8),
    "identity_encoder_channels": (4, 4, 8, 8, 8),
    "patch_size": 1,
    "decoder_channels": (8, 8, 4, 4, 3),  # ends with 3, as the bottleneck decoder must
}


def tiny_model(preset: str = "photo", **settings) -> TerGanModel:
    """A preset's model with few channels, as it is before training. The same each time."""
    torch.manual_seed(0)
    return TerGanModel(getattr(TerGanConfig, preset)(**{**TINY, **settings}))


def stir(module: torch.nn.Module, strength: float = 0.1):
    """Move weights away from their zero beginnings, as training does."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += strength * torch.randn_like(parameter)


def pipeline_of(model: TerGanModel) -> TerGanPipeline:
    """The model with its processor and the real detector."""
    side = model.config.image_size
    return TerGanPipeline(model, TerGanImageProcessor(size={"height": side, "width": side}))


def save_pipeline(pipe: TerGanPipeline, folder: Path) -> Path:
    """Write the folder that `TerGanPipeline.from_pretrained` reads."""
    pipe.model.save_pretrained(folder)
    pipe.image_processor.save_pretrained(folder)
    return folder
