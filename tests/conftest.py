"""Small models, and the photos and weights of the repository."""

import gc
import os


os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from pathlib import Path

import pytest
import torch
from PIL import Image

from tergan_hf import TerGanConfig, TerGanPipeline
from tergan_hf.model.blendshapes_tergan import EYE_LOOK_NAMES
from tergan_hf.model.encoder_tergan import TerGanEncoder
from tergan_hf.model.initialization_tergan import initialize_layer

from .tiny_models import TINY, pipeline_of, stir, tiny_model


ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "assets" / "examples"
WEIGHTS = ROOT / "weights" / "ter-gan"
SMILING, NEUTRAL = str(EXAMPLES / "london_099_happiness.jpg"), str(EXAMPLES / "london_014_neutral.jpg")
NUM_IDENTITIES = 5
SHARED = ("tests/app/", "tests/web/")  # each folder's tests share a server and a browser


def pytest_collection_modifyitems(items: list[pytest.Item]):
    """Those folders come first: they take longest."""
    items.sort(key=lambda item: not item.nodeid.startswith(SHARED))


def pytest_collection_finish():
    """What is imported stays: the garbage collector need not look at it again and again."""
    gc.collect()
    gc.freeze()


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
    model = tiny_model(request.param)
    torch.nn.init.normal_(model.expression_prototypes)
    stir(model.decoder)
    return pipeline_of(model)


@pytest.fixture(scope="module")
def tiny_photo_pipeline() -> TerGanPipeline:
    """The photo preset with few channels, as it is before training, and the real detector."""
    return pipeline_of(tiny_model())


@pytest.fixture(scope="session")
def blendshape_pipeline() -> TerGanPipeline:
    """The photo preset with few channels, whose random weights read blendshapes, and the real detector."""
    model = tiny_model()
    torch.nn.init.uniform_(model.blendshape_regressor.bias, 0.2, 0.8)
    with torch.no_grad():
        model.blendshape_regressor.weight[-2:] *= 20  # the gaze is in degrees
    return pipeline_of(model)


@pytest.fixture(scope="session")
def settable_pipeline() -> TerGanPipeline:
    """The photo preset with few channels and random weights that can set blendshapes: its directions are the inverse
    of its readings, so that it reads exactly what was set."""
    model = tiny_model()
    torch.nn.init.normal_(model.expression_prototypes)
    torch.nn.init.uniform_(model.blendshape_regressor.bias, 0.3, 0.7)
    stir(model.decoder)
    with torch.no_grad():
        model.blendshape_regressor.weight /= 10
        model.blendshape_directions.copy_(torch.linalg.pinv(model.blendshape_regressor.weight))
        model.blendshape_directions[:, [name in EYE_LOOK_NAMES for name in model.config.blendshape_names]] = 0
    return pipeline_of(model)


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
def python(tmp_path_factory):
    """Runs Python in forks of a process that has imported the package, see `ForkedCommands`."""
    from .forked_commands import ForkedCommands

    environment = {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", "HF_HOME": str(tmp_path_factory.mktemp("hf"))}
    forks = ForkedCommands("tergan_hf", "transformers", "accelerate", "datasets", environment=environment)
    yield forks
    forks.close()


@pytest.fixture(scope="session")
def bare_python():
    """The same where neither the package nor what only some extras bring is imported."""
    from .forked_commands import ForkedCommands

    forks = ForkedCommands("torch", "datasets", environment={"OMP_NUM_THREADS": "1"})
    yield forks
    forks.close()


@pytest.fixture(scope="session")
def couple(tmp_path_factory) -> Path:
    """A photo of two people. The smiling one is larger, and on the right."""
    photo = Image.new("RGB", (1100, 700), (200, 200, 205))
    photo.paste(Image.open(NEUTRAL).resize((420, 420)), (20, 200))
    photo.paste(Image.open(SMILING), (450, 40))
    path = tmp_path_factory.mktemp("couple") / "two people.png"
    photo.save(path)
    return path


@pytest.fixture(scope="session")
def smiling() -> Image.Image:
    return Image.open(SMILING)


@pytest.fixture(scope="session")
def neutral() -> Image.Image:
    return Image.open(NEUTRAL)
