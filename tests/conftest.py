"""Small models, and the photos and weights of the repository."""

import os


os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from pathlib import Path

import pytest
import torch
from PIL import Image

from tergan_hf import TerGanConfig, TerGanImageProcessor, TerGanModel, TerGanPipeline
from tergan_hf.model.blendshapes_tergan import EYE_LOOK_NAMES
from tergan_hf.model.encoder_tergan import TerGanEncoder
from tergan_hf.model.initialization_tergan import initialize_layer


ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "assets" / "examples"
WEIGHTS = ROOT / "weights" / "ter-gan"
TINY = {
    "image_size": 32,
    "encoder_channels": (4, 4, 8, 8, 8),
    "identity_encoder_channels": (4, 4, 8, 8, 8),
    "patch_size": 1,
    "decoder_channels": (8, 8, 4, 4, 3),  # ends with 3, as the bottleneck decoder must
}
NUM_IDENTITIES = 5
SHARED = ("tests/app/", "tests/web/")  # each folder's tests share a server and a browser


def pytest_collection_modifyitems(items: list[pytest.Item]):
    """Those folders come first: they take longest."""
    items.sort(key=lambda item: not item.nodeid.startswith(SHARED))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """One process runs all tests of a file, or of such a folder."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduler(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return next((folder for folder in SHARED if nodeid.startswith(folder)), super()._split_scope(nodeid))

    return Scheduler(config, log)


@pytest.fixture
def tiny_config() -> TerGanConfig:
    """The paper's networks with few channels."""
    return TerGanConfig(**TINY)


@pytest.fixture
def tiny_residual_config() -> TerGanConfig:
    """The compact preset, a few channels."""
    return TerGanConfig.compact(**TINY)


@pytest.fixture
def tiny_expression_encoder() -> TerGanEncoder:
    """G_es of the photo preset with few channels and random weights."""
    torch.manual_seed(0)
    config = TerGanConfig.photo(**TINY)
    encoder = TerGanEncoder.of_expression(config)
    encoder.apply(initialize_layer)
    return encoder.eval()


@pytest.fixture(params=["compact", "photo"])
def tiny_pipeline(request) -> TerGanPipeline:
    """A pipeline with few channels, random weights that are not zero, and the real detector."""
    torch.manual_seed(0)
    model = TerGanModel(getattr(TerGanConfig, request.param)(**TINY))
    torch.nn.init.normal_(model.expression_prototypes)
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return TerGanPipeline(model, TerGanImageProcessor(size={"height": 32, "width": 32}))


@pytest.fixture(scope="module")
def tiny_photo_pipeline() -> TerGanPipeline:
    """The photo preset with few channels, as it is before training, and the real detector."""
    torch.manual_seed(0)
    model = TerGanModel(TerGanConfig.photo(**TINY))
    return TerGanPipeline(model, TerGanImageProcessor(size={"height": 32, "width": 32}))


@pytest.fixture(scope="session")
def blendshape_pipeline() -> TerGanPipeline:
    """The photo preset with few channels, whose random weights read blendshapes, and the real detector."""
    torch.manual_seed(0)
    model = TerGanModel(TerGanConfig.photo(**TINY))
    torch.nn.init.uniform_(model.blendshape_regressor.bias, 0.2, 0.8)
    with torch.no_grad():
        model.blendshape_regressor.weight[-2:] *= 20  # the gaze is in degrees
    return TerGanPipeline(model, TerGanImageProcessor(size={"height": 32, "width": 32}))


@pytest.fixture(scope="session")
def settable_pipeline() -> TerGanPipeline:
    """The photo preset with few channels and random weights that can set blendshapes: its directions are the inverse
    of its readings, so that it reads exactly what was set."""
    torch.manual_seed(0)
    model = TerGanModel(TerGanConfig.photo(**TINY))
    torch.nn.init.normal_(model.expression_prototypes)
    torch.nn.init.uniform_(model.blendshape_regressor.bias, 0.3, 0.7)
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
        model.blendshape_regressor.weight /= 10
        model.blendshape_directions.copy_(torch.linalg.pinv(model.blendshape_regressor.weight))
        model.blendshape_directions[:, [name in EYE_LOOK_NAMES for name in model.config.blendshape_names]] = 0
    return TerGanPipeline(model, TerGanImageProcessor(size={"height": 32, "width": 32}))


@pytest.fixture(scope="module")
def drawn_people(tmp_path_factory):
    """Photos of drawn people with shared expression ids, see `repeatable_people`."""
    from tergan_hf.data.loading import load_photos

    from .faces import repeatable_people

    return load_photos(str(repeatable_people(tmp_path_factory.mktemp("people") / "avatars.parquet")))


@pytest.fixture(scope="session")
def embedded_pipeline() -> TerGanPipeline:
    """The published weights."""
    return TerGanPipeline.from_pretrained(WEIGHTS, device="cpu")


@pytest.fixture(scope="session")
def smiling() -> Image.Image:
    return Image.open(EXAMPLES / "london_099_happiness.jpg")


@pytest.fixture(scope="session")
def neutral() -> Image.Image:
    return Image.open(EXAMPLES / "london_014_neutral.jpg")
