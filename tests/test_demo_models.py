"""The models that visitors of the app may choose."""

import json
import threading
from pathlib import Path

import pytest
from gradio.utils import get_upload_folder
from huggingface_hub import constants

from tergan_hf import InvalidInputError, TerGanConfig
from tergan_hf.demo import models as demo_models
from tergan_hf.demo.edit_session import EditSession
from tergan_hf.demo.models import Models

from .conftest import WEIGHTS
from .loopback_hub import Repository, hub_here
from .tiny_models import pipeline_of, save_pipeline, tiny_model


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A Hub with the public model org/public, the private one org/private, and the changed ones that tests add."""
    folder = tmp_path_factory.mktemp("weights")
    save_pipeline(pipeline_of(tiny_model()), folder)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# A public card\n")
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with pytest.MonkeyPatch.context() as patch, hub_here() as served:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("uploads")))
        for name in ("public", "private"):
            served.repositories["model", f"org/{name}"] = repository = Repository(private=name == "private")
            repository.add("main", files)
        yield served


@pytest.mark.parametrize("name", ["/etc/passwd", "../weights", "weights/ter-gan", "nobody/nothing", "a b/c", "x"])
def test_only_models_of_the_hub_may_be_named(embedded_pipeline, name):
    with pytest.raises(ValueError, match="model"):
        Models("own", embedded_pipeline).load(name)


def test_offered_models_are_loaded(embedded_pipeline):
    models = Models("own", embedded_pipeline, [str(WEIGHTS)])
    assert models.names == ["own", WEIGHTS.name]
    assert models.load(WEIGHTS.name) is models[WEIGHTS.name] is models.load(WEIGHTS.name) is not models["own"]
    assert "## Results" in models[WEIGHTS.name].card


def test_nobody_waits_for_a_model_that_another_visitor_loads(embedded_pipeline, monkeypatch):
    models = Models("own", embedded_pipeline)
    started, go_on = threading.Event(), threading.Event()
    monkeypatch.setattr(models, "_load", lambda name: EditSession(name, embedded_pipeline))
    names = [f"org/{number}" for number in range(demo_models.MAX_OTHER_MODELS + 1)]
    loaded = {name: models.load(name) for name in names}
    monkeypatch.setattr(models, "_load", lambda name: (started.set(), go_on.wait(20), loaded[names[0]])[-1])
    monkeypatch.setattr(demo_models, "LOADING_SECONDS", 0.1)
    loading = threading.Thread(target=models.load, args=["org/slow"])
    loading.start()
    assert started.wait(20)
    assert models[names[1]] is loaded[names[1]]
    with pytest.raises(InvalidInputError, match=f"{names[0]} is not in memory: choose it again"):
        models[names[0]]
    with pytest.raises(InvalidInputError, match="Another model is being loaded"):
        models.load(names[0])
    go_on.set()
    loading.join(10)
    assert models["org/slow"] is loaded[names[0]]


def test_folders_of_the_same_name_get_different_names(embedded_pipeline, tmp_path):
    folders = [tmp_path / run / "model" for run in ("a", "b")]
    for folder in folders:
        folder.mkdir(parents=True)
    models = Models(str(folders[0]), embedded_pipeline, [str(folders[1])])
    assert models.names == ["model", "model (2)"]
    assert [models.location(name) for name in models.names] == [str(folder) for folder in folders]


def test_what_visitors_name_must_be_public(hub, embedded_pipeline):
    with pytest.raises(InvalidInputError, match="no public model org/private"):
        Models("own", embedded_pipeline).load("org/private")
    assert Models("own", embedded_pipeline, ["org/private"]).load("org/private").name == "org/private"


def test_what_visitors_name_is_not_kept_on_the_disk(hub, embedded_pipeline):
    models = Models("own", embedded_pipeline)
    session = models.load("org/public")
    assert session.pipe.labels and session.card == "# A public card"
    assert not list(Path(get_upload_folder()).iterdir())
    assert not list(Path(constants.HF_HUB_CACHE).glob("*public*"))


def test_a_hub_out_of_reach_is_a_sentence(hub, embedded_pipeline, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(InvalidInputError, match="The model org/public cannot be reached"):
        Models("own", embedded_pipeline).load("org/public")


def test_what_was_checked_is_loaded(hub, embedded_pipeline, monkeypatch):
    repository = hub.repositories["model", "org/pushed"] = Repository(private=False)
    files = hub.files("org/public")
    repository.add("main", files)
    checked = demo_models._largest_feature_map

    def push_meanwhile(*arguments):
        repository.add("main", {**files, "README.md": b"# Another card", "config.json": b"{}"})
        return checked(*arguments)

    monkeypatch.setattr(demo_models, "_largest_feature_map", push_meanwhile)
    assert Models("own", embedded_pipeline).load("org/pushed").card == "# A public card"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"README.md": b"x" * 6_000_000}, "a configuration or a card that is too large"),
        ({"model.safetensors": b""}, "damaged or incomplete"),
        ({"config.json": b"[]"}, "is not a TER-GAN"),
        # 17 GB for the first feature map of one crop, in a file of 12 MB
        ({"config.json": json.dumps(TerGanConfig(
            image_size=1024, encoder_channels=[4096, 1, 1], decoder_channels=[1, 1, 3]).to_dict()).encode()},
         "too large for this server"),
    ],
)  # fmt: skip
def test_models_that_a_server_cannot_use_are_refused(hub, embedded_pipeline, changed, message):
    repository = hub.repositories["model", "org/changed"] = Repository(private=False)
    repository.add("main", {**hub.files("org/public"), **changed})
    with pytest.raises(InvalidInputError, match=message):
        Models("own", embedded_pipeline).load("org/changed")
