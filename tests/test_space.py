"""The Hugging Face Spaces that are published from this repository."""

import json
import os
import subprocess
import sys

import gradio
import pytest
import yaml
from PIL import Image

from tergan_hf.publishing.gradio_space import write_space
from tergan_hf.publishing.hub_errors import PublishError

from .conftest import ROOT, SMILING


# The fields and values of https://huggingface.co/docs/hub/spaces-config-reference that the header uses.
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}


def header(path) -> dict:
    text = (ROOT / path).read_text()
    assert text.startswith("---\n")
    return yaml.safe_load(text.split("---\n")[1])


@pytest.mark.parametrize(
    ("hardware", "flavor", "pythons"),
    [("zero", "zero-a10g", {"3.12.12", "3.10.13"}), ("cpu-basic", "cpu-basic", {"3.11", "3.12", "3.13"})],
)
@pytest.mark.parametrize("model", [None, "org/ter-gan"])
def test_the_header_of_a_space_fits_its_hardware(tmp_path, hardware, flavor, pythons, model):
    folder = write_space(tmp_path / "space", "org/demo", hardware, model)
    settings = header(folder / "README.md")
    assert settings["sdk"] == "gradio" and settings["sdk_version"] == gradio.__version__
    assert settings["suggested_hardware"] == flavor
    assert settings["python_version"] in pythons
    assert tuple(map(int, settings["python_version"].split(".")[:2])) >= (3, 11)  # this package's own bound
    assert (folder / settings["app_file"]).is_file()
    assert settings["thumbnail"].startswith("https://huggingface.co/spaces/org/demo/resolve/main/")
    assert (folder / settings["thumbnail"].partition("/main/")[2]).is_file()
    assert {settings["colorFrom"], settings["colorTo"]} <= COLOURS
    assert len(settings["short_description"]) <= 60
    assert "mcp-server" in settings["tags"]
    named = None if model is None else [model]
    assert settings.get("models") == named and settings.get("preload_from_hub") == named
    assert (folder / "weights").exists() == (model is None)


def test_unknown_hardware_is_a_sentence(tmp_path):
    with pytest.raises(PublishError, match=r"no hardware 'gpu'.*zero, cpu-basic"):
        write_space(tmp_path, "org/demo", "gpu")


def test_the_page_configures_an_isolated_static_space():
    settings = header("web/README.md")
    assert settings["sdk"] == "static" and (ROOT / "web" / settings["app_file"]).is_file()
    assert {settings["colorFrom"], settings["colorTo"]} <= COLOURS
    assert len(settings["short_description"]) <= 60
    # The headers without which a browser gives a page no threads.
    headers = settings["custom_headers"]
    assert headers["cross-origin-embedder-policy"] == "require-corp"
    assert headers["cross-origin-opener-policy"] == "same-origin"


def requirements(path: str) -> dict[str, str]:
    """The pinned version of each package of a requirements file."""
    lines = [line for line in (ROOT / path).read_text().splitlines() if "==" in line and not line.startswith("#")]
    return {name.partition("[")[0]: version for name, version in (line.split("==") for line in lines)}


def test_the_space_differs_from_the_app_only_in_its_torch():
    app, space = requirements("requirements.txt"), requirements("space/requirements.txt")
    assert space["gradio"] == header("space/README.md")["sdk_version"]
    differing = {name for name in app.keys() & space.keys() if app[name] != space[name]}
    assert differing == {"torch", "torchvision"}
    assert (2, 8) <= tuple(map(int, space["torch"].split(".")[:2])) <= (2, 11)  # what ZeroGPU takes


FAKE_SPACES = """
'''Like the package `spaces` on a ZeroGPU Space: a call leaves this process, and of errors only gr.Error comes back.'''
import functools, pickle
import gradio as gr
decorated = []
def GPU(task=None, *, duration=None, size=None):
    if task is None:
        return functools.partial(GPU, duration=duration, size=size)
    decorated.append((task.__name__, duration))
    def call(*inputs):
        try:
            return pickle.loads(pickle.dumps(task(*pickle.loads(pickle.dumps(inputs)))))
        except gr.Error:
            raise
        except Exception as error:
            raise gr.Error(type(error).__name__, title="ZeroGPU worker error") from None
    return call
"""


IN_THE_SPACE = """
import json, sys
import app, gradio as gr, spaces
handlers = {block.fn.__name__: block.fn for block in app.demo.fns.values() if block.fn is not None}
photo, wall = sys.argv[1:]
answers = [handlers["recognize"](photo)[0]["scores"], handlers["open_photo"](None, photo)[0].detected.path]
answers.append(handlers["recognize_photo"](None, wall)[0])
try:
    handlers["edit"](wall, "anger", 1.0, True)
except gr.Error as error:
    answers.append(error.message)
print(json.dumps([dict(spaces.decorated), answers]))
"""


@pytest.fixture(scope="module")
def in_a_space(tmp_path_factory):
    """What the app decorates and answers in a process that takes this machine for a ZeroGPU Space: name → seconds, and
    answers for a photo and for one without a face."""
    folder = tmp_path_factory.mktemp("space")
    (folder / "spaces.py").write_text(FAKE_SPACES)
    Image.new("RGB", (200, 200), "white").save(folder / "wall.png")
    path = os.pathsep.join([str(folder), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", IN_THE_SPACE, SMILING, str(folder / "wall.png")], cwd=ROOT, capture_output=True,
        env={**os.environ, "PYTHONPATH": path, "SPACES_ZERO_GPU": "true"}, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_zero_gpu_space_decorates_every_function_that_runs_the_model(in_a_space):
    durations, _ = in_a_space
    assert {"edit", "recognize", "blendshapes", "transfer", "redraw", "animate"} <= set(durations)
    assert durations["animate"] == durations["recognize_clip"] > durations["edit"] > 0


def test_results_and_sentences_leave_the_gpu(in_a_space):
    _, (scores, path, message, sentence) = in_a_space
    assert max(scores, key=scores.get) == "happiness" and path == SMILING
    assert "no face was found" in message and "no face was found" in sentence
