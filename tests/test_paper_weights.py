"""The weights of the paper's own system keep what docs/paper.md promises of rendered people."""

import numpy as np
import pytest
from PIL import Image

from tergan_hf import TerGanPipeline

from .conftest import ROOT


WEIGHTS = ROOT / "weights" / "ter-gan-paper"
SIDE = 48
LABELS = ["anger", "disgust", "fear", "happiness", "sadness", "surprise"]


@pytest.fixture(scope="module")
def paper_pipeline() -> TerGanPipeline:
    return TerGanPipeline.from_pretrained(WEIGHTS, device="cpu")


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    """(2, 6, 48, 48, 3): the six expressions of a person kept out of training, and six people trained on."""
    sheet = np.asarray(Image.open(ROOT / "assets" / "paper" / "stand_in.png").convert("RGB"))
    return sheet.reshape(2, SIDE, len(LABELS), SIDE, 3).swapaxes(1, 2)


@pytest.fixture(scope="module")
def transferred(paper_pipeline, crops) -> np.ndarray:
    """(6, 6, 48, 48, 3) by expression and person trained on."""
    sources, targets = ([Image.fromarray(crop) for crop in row] for row in crops)
    return np.array([paper_pipeline.transfer(source, targets, detect=False) for source in sources], float)


def test_they_are_the_papers_networks(paper_pipeline):
    config = paper_pipeline.model.config
    assert config.decoder_type == "bottleneck" and not config.predict_residual
    assert (config.expression_embedding_size, config.identity_embedding_size) == (30, 50)
    assert config.expressions == LABELS and not config.blendshape_names
    assert sum(path.stat().st_size for path in WEIGHTS.iterdir()) < 15e6


def test_a_person_kept_out_is_recognised(paper_pipeline, crops):
    """About three of four photos of people kept out are."""
    answers = paper_pipeline.recognize([Image.fromarray(crop) for crop in crops[0]], detect=False)
    assert sum(answer[0]["label"] == label for answer, label in zip(answers, LABELS)) >= 4


def test_the_result_looks_like_the_target(transferred, crops):
    """Colours and shape of a person trained on come back from f(i), whatever the expression. Two of the six people
    look alike."""
    coarse, targets = (
        images.reshape(*images.shape[:-3], 12, 4, 12, 4, 3).mean((-4, -2)) for images in (transferred, crops[1])
    )
    distances = np.abs(coarse[:, :, None] - targets).mean((3, 4, 5))
    assert ((distances.argmin(2) == np.arange(len(targets))).sum(1) >= 5).all()


def test_surprise_opens_the_mouth(transferred):
    """A mouth that opens is dark inside."""
    mouths = transferred[:, :, 33:41, 17:31].mean((2, 3, 4))
    surprise = LABELS.index("surprise")
    assert (mouths[surprise] < np.delete(mouths, surprise, 0).min(0)).all()
