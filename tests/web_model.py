"""A small model for the browser, with random weights: the photo preset with sizes of its own."""

import torch

from tergan_hf import TerGanConfig, TerGanImageProcessor, TerGanModel, TerGanPipeline


SIDE = 48


def small_web_model() -> TerGanModel:
    """A model that reads and sets blendshapes. Its changes are large enough to see and smooth enough to compare."""
    torch.manual_seed(2)
    config = TerGanConfig.photo(
        image_size=SIDE, expression_image_size=32, patch_size=3, decoder_mapping_size=16,
        encoder_channels=(16, 32, 32, 32), identity_encoder_channels=(16, 16, 32, 32),
        decoder_channels=(32, 16, 16, 16),
    )  # fmt: skip
    model = TerGanModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
        model.expression_prototypes.normal_()
        model.blendshape_regressor.weight.mul_(0.2)
        model.blendshape_regressor.bias.uniform_(0.2, 0.6)
        model.blendshape_directions = torch.randn(config.expression_embedding_size, len(config.blendshape_names))
    return model


def small_web_pipeline() -> TerGanPipeline:
    """The pipeline of `small_web_model`."""
    return TerGanPipeline(small_web_model(), TerGanImageProcessor(size={"height": SIDE, "width": SIDE}))
