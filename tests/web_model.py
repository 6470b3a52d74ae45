"""A small model for the browser, with random weights: the photo preset with sizes of its own."""

import os
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock

from tergan_hf import TerGanConfig, TerGanModel, TerGanPipeline
from tergan_hf.evaluation.expression_map import ExpressionMap
from tergan_hf.publishing.web_export import FILES, export_web

from .tiny_models import pipeline_of, stir


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
    stir(model, 0.04)
    with torch.no_grad():
        model.expression_prototypes.normal_()
        model.blendshape_regressor.weight.mul_(0.2)
        model.blendshape_regressor.bias.uniform_(0.2, 0.6)
        model.blendshape_directions = torch.randn(config.expression_embedding_size, len(config.blendshape_names))
    # As in published weights, those of G_es are integers times a scale, which the export keeps exactly.
    model.quantize([torch.rand(4, 3, SIDE, SIDE) * 2 - 1])
    model.dequantize()
    return model


def small_web_pipeline() -> TerGanPipeline:
    """The pipeline of `small_web_model`."""
    return pipeline_of(small_web_model())


def small_expression_map(model: TerGanModel) -> ExpressionMap:
    """A map of random photos."""
    labels = model.config.expressions
    places = np.random.default_rng(0).normal(size=(40, model.config.expression_embedding_size))
    return ExpressionMap.fit(places, np.arange(40) % len(labels), labels)


def small_web_export(tmp_path_factory) -> Path:
    """The folder of the exported `small_web_model`. All processes of a test run share it."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "small_web_export"
    with FileLock(f"{folder}.lock"):
        if not (folder / "complete").exists():
            model = small_web_model()
            paths = export_web(model, folder / "model", "org/faces", small_expression_map(model))
            assert list(paths) == list(FILES) and all(path.is_file() for path in paths.values())
            (folder / "complete").touch()
    return folder / "model"
