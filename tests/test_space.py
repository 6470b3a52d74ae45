"""The parts of the repository that a Hugging Face Space needs."""

import os
import subprocess
import sys

import gradio
import yaml

from .conftest import ROOT


# The fields and values of https://huggingface.co/docs/hub/spaces-config-reference that the header uses.
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}


def header(path: str = "README.md") -> dict:
    text = (ROOT / path).read_text()
    assert text.startswith("---\n")
    return yaml.safe_load(text.split("---\n")[1])


def test_the_readme_configures_the_space():
    settings = header()
    assert settings["sdk"] == "gradio" and settings["sdk_version"] == gradio.__version__
    assert (ROOT / settings["app_file"]).is_file()
    assert {settings["colorFrom"], settings["colorTo"]} <= COLOURS
    assert len(settings["short_description"]) <= 60
    assert isinstance(settings["python_version"], str)


def test_the_page_configures_an_isolated_static_space():
    settings = header("web/README.md")
    assert settings["sdk"] == "static" and (ROOT / "web" / settings["app_file"]).is_file()
    assert {settings["colorFrom"], settings["colorTo"]} <= COLOURS
    assert len(settings["short_description"]) <= 60
    # The headers without which a browser gives a page no threads.
    headers = settings["custom_headers"]
    assert headers["cross-origin-embedder-policy"] == "require-corp"
    assert headers["cross-origin-opener-policy"] == "same-origin"


def test_requirements_pin_the_gradio_of_the_space():
    assert f"gradio=={header()['sdk_version']}" in (ROOT / "requirements.txt").read_text().split()


def test_a_zero_gpu_space_decorates_every_function_that_runs_the_model(tmp_path):
    (tmp_path / "spaces.py").write_text(
        "decorated = []\ndef GPU(function):\n    decorated.append(function.__name__)\n    return function\n"
    )
    code = "import app, spaces; print({'edit', 'recognize', 'transfer', 'redraw', 'animate'} - set(spaces.decorated))"
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.stdout.strip() == "set()", done.stderr
