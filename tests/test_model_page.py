"""The model's page on the Hub: its snippets run without this package, its header has what the Hub reads."""

import json
import re
import shutil
import subprocess
import sys
import types

import pytest
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries
from PIL import Image

from tergan_hf.cli import hub as command
from tergan_hf.cli.model_card import main
from tergan_hf.demo.cards import model_card
from tergan_hf.evaluation.digest import weights_digest
from tergan_hf.model.errors_tergan import MissingFileError
from tergan_hf.model.provenance_tergan import is_marked_synthetic
from tergan_hf.publishing import card_examples
from tergan_hf.publishing.card import build_card
from tergan_hf.publishing.card_examples import read_examples, write_examples
from tergan_hf.publishing.emissions import emissions_of
from tergan_hf.publishing.hub import PublishError, write_model_repository

from .conftest import EXAMPLES, ROOT
from .hub_command import environment
from .loopback_hub import hub_here
from .tiny_models import save_pipeline


NOTEBOOK = ROOT / "notebooks" / "quickstart.ipynb"
CLIP = ROOT / "assets" / "expressions" / "avatar_clip.mp4"
COMPUTE = {"hours": 7.4, "hardware": "2 cores of an AMD EPYC", "cores": 2, "memory_gb": 23}


@pytest.fixture(scope="module")
def weights(tmp_path_factory, settable_pipeline):
    folder = save_pipeline(settable_pipeline, tmp_path_factory.mktemp("weights"))
    record = {"preset": "photo", "pretrained": "org/before", "sources": [{"name": "a", "path": "hub://org/faces"}]}
    (folder / "training.yaml").write_text(yaml.safe_dump(record))
    return folder


@pytest.fixture
def hub():
    with hub_here() as served:
        yield served


@pytest.fixture
def photos(tmp_path):
    """The files that the snippets name, in a folder from which this package cannot be imported."""
    for name, example in {"me": "014_neutral", "smiling": "099_happiness"}.items():
        shutil.copy(EXAMPLES / f"london_{example}.jpg", tmp_path / f"{name}.jpg")
    for name in ("face_crop", "my_face_crop"):
        Image.open(EXAMPLES / "london_014_neutral.jpg").crop((200, 200, 440, 440)).save(tmp_path / f"{name}.jpg")
    short_clip(tmp_path / "driving.mp4")
    return tmp_path


def short_clip(path, frames=4):
    """The first frames of the example clip."""
    import av

    with av.open(CLIP) as source, av.open(path, "w") as target:
        stream = target.add_stream("libx264", rate=15, width=320, height=320)
        for _, frame in zip(range(frames), source.decode(video=0)):
            target.mux(stream.encode(av.VideoFrame.from_image(frame.to_image())))
        target.mux(stream.encode())


WITHOUT_PACKAGE = """
import sys
sys.modules["tergan_hf"] = None  # an editable install would make it importable
import torchvision_compat
torchvision_compat.ensure_torchvision()
exec(compile(open("code.py").read(), "code.py", "exec"))
"""


def run_without_package(folder, hub, code):
    (folder / "code.py").write_text(code)
    shutil.copy(ROOT / "tergan_hf" / "model" / "torchvision_compat.py", folder)
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_PACKAGE], cwd=folder, capture_output=True, text=True, timeout=500,
        env=environment(hub, folder / "home", HF_TOKEN=None, PYTHONPATH=str(folder)),
    )  # fmt: skip


def test_what_the_page_shows_runs_without_the_package(hub, weights, photos):
    command.main(["push", str(weights), "org/mine"])
    files = hub.files("org/mine")
    card = files["README.md"].decode()
    snippets = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert len(snippets) == 4 and all('"org/mine"' in snippet for snippet in snippets)
    assert 'expression={"jawOpen": 0.4' in card and "tergan_hf" not in "".join(snippets)
    # The Hub's button "Use this model" writes this one from the header.
    task = ModelCard(card).data.pipeline_tag
    snippets.append(
        "from transformers import pipeline\n"
        f'assert len(pipeline({task!r}, model="org/mine", trust_remote_code=True)("face_crop.jpg")) > 1'
    )
    notebook = cells(json.loads(files["notebook.ipynb"]))
    assert '"org/mine"' in notebook[0]
    snippets.append("\n".join([DISPLAY, *notebook, "assert CLONE is None"]))
    # Each snippet has names of its own.
    done = run_without_package(photos, hub, "\n".join(f"exec({snippet!r}, {{}})" for snippet in snippets))
    assert done.returncode == 0, done.stderr[-3000:]
    assert is_marked_synthetic(photos / "me_smiling.png")
    assert (photos / "me_talking.mp4").stat().st_size > 1000
    assert is_marked_synthetic_clip(photos / "talking.mp4")


def cells(notebook: dict) -> list[str]:
    """The code cells of a notebook, without the one that installs packages."""
    assert notebook["nbformat"] == 4 and not any(cell.get("outputs") for cell in notebook["cells"])
    code = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert code[0].startswith("%pip install")
    return code[1:]


DISPLAY = """
import sys, types
shown = []
ipython = types.ModuleType("IPython.display")
ipython.display, ipython.Video = shown.append, lambda path, embed: (path, embed)
sys.modules |= {"IPython": types.ModuleType("IPython"), "IPython.display": ipython}
"""


def test_the_notebook_runs_on_a_clone(weights, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TERGAN_MODEL", str(weights))
    monkeypatch.setattr("pathlib.Path.cwd", lambda: NOTEBOOK.parent)
    shown: list = []
    display = types.ModuleType("IPython.display")
    display.display, display.Video = shown.append, lambda path, embed: path
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    names: dict = {}
    for cell in cells(json.loads(NOTEBOOK.read_text())):
        exec(cell, names)
    assert names["CLONE"] == ROOT and names["report"].frames == 48
    assert is_marked_synthetic_clip(tmp_path / "talking.mp4") and len(shown) == 3


def is_marked_synthetic_clip(path) -> bool:
    return b"compositeWithTrainedAlgorithmicMedia" in path.read_bytes()


def test_the_header_names_paper_data_language_and_base_model(weights):
    data = ModelCard(build_card(weights)).data
    assert (data.language, data.base_model, data.datasets) == ("en", "org/before", ["org/faces"])
    assert data["base_model_relation"] == "finetune" and "arxiv:2002.07050" in data.tags
    assert "started from org/before" in build_card(weights)
    assert ModelCard(build_card(weights, base_model="org/other")).data.base_model == "org/other"


def test_a_run_from_a_folder_names_no_base_model_on_the_hub(weights, tmp_path):
    folder = shutil.copytree(weights, tmp_path / "weights")
    (folder / "training.yaml").write_text("preset: photo\npretrained: ter-gan\n")
    assert ModelCard(build_card(folder)).data.base_model is None and "started from other weights" in build_card(folder)


@pytest.fixture(scope="module")
def with_examples(weights, tmp_path_factory):
    folder = shutil.copytree(weights, tmp_path_factory.mktemp("examples") / "weights")
    assets = tmp_path_factory.mktemp("assets")
    for name in (
        "examples/london_014_neutral.jpg",
        "examples/london_099_happiness.jpg",
        "expressions/avatar_anger.jpg",
    ):
        (assets / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / "assets" / name, assets / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(card_examples, "ASSETS", assets)
        patch.setattr(card_examples, "NAMED_EDITS", {"jawOpen": 0.6, "noSuchName": 1.0})
        write_examples(folder, "cpu")
    return folder


def test_the_widget_has_the_answers_of_the_weights(with_examples, settable_pipeline):
    data = ModelCard(build_card(with_examples)).data
    assert [entry["example_title"] for entry in data["widget"]] == ["london 014 neutral", "london 099 happiness"]
    entry = data["widget"][0]
    assert (ROOT / entry["src"]).is_file()
    best = settable_pipeline.recognize(ROOT / entry["src"])[0]
    assert entry["output"][0] == {"label": best["label"], "score": round(best["score"], 3)}


def test_the_gallery_is_synthetic_and_travels_with_the_card(with_examples, tmp_path):
    repository = write_model_repository(with_examples, tmp_path / "repository", repo_id="org/mine")
    card = (repository / "README.md").read_text()
    pictures = re.findall(r"!\[[^]]+\]\((gallery/[a-z]+\.jpg)\)", card)
    assert pictures == ["gallery/edits.jpg", "gallery/blendshapes.jpg", "gallery/transfer.jpg"]
    assert all(is_marked_synthetic(repository / picture) for picture in pictures)
    assert Image.open(repository / pictures[1]).width == 2 * card_examples.SIDE  # the photo, and the one known name
    assert "me/ter-gan" not in card
    # The app shows the card without pictures that it cannot serve.
    shown = model_card(str(repository))
    assert "gallery/" not in shown and "## How to use" in shown and "An open implementation" in shown


def test_examples_of_other_weights_are_left_out(with_examples, tmp_path, caplog):
    folder = shutil.copytree(with_examples, tmp_path / "weights")
    content = json.loads((folder / "examples.json").read_text())
    (folder / "examples.json").write_text(json.dumps({**content, "sha256": "0" * 64}))
    assert read_examples(folder).widget == [] and "other weights" in caplog.text
    assert "widget" not in ModelCard(build_card(folder)).data and "gallery/" not in build_card(folder)


def test_emissions_are_estimated_by_green_algorithms():
    found = emissions_of(COMPUTE)
    assert found.kilowatt_hours == pytest.approx(7.4 * (24 + 23 * 0.3725) * 1.67 / 1000)
    assert found.header()["emissions"] == 191.0 and "estimated" in found.header()["source"]
    assert emissions_of({**COMPUTE, "grams_per_kwh": 47.5, "place": "Norway"}).grams == pytest.approx(found.grams / 10)
    assert emissions_of({**COMPUTE, "grams": 12, "source": "CodeCarbon"}).header()["source"] == "CodeCarbon"
    gpu = {"hours": 2, "hardware": "4 × NVIDIA H200", "gpus": 4, "gpu": "NVIDIA H200", "cores": 96}
    assert emissions_of(gpu).kilowatt_hours == pytest.approx(2 * 4 * 0.7 * 1.67)
    assert emissions_of({**gpu, "gpu": "NVIDIA Unheard Of"}) is None
    watts = {
        "NVIDIA L40": 300,
        "NVIDIA L4": 72,
        "NVIDIA H100 NVL": 400,
        "NVIDIA A100-SXM4-80GB": 400,
        "NVIDIA L400": None,
    }
    for card, each in watts.items():
        estimated = emissions_of({**gpu, "gpu": card})
        assert (estimated and estimated.kilowatt_hours) == (each and pytest.approx(2 * 4 * each / 1000 * 1.67)), card
    assert found.is_world_mean and not emissions_of({**COMPUTE, "grams_per_kwh": 20}).is_world_mean
    assert not emissions_of({**COMPUTE, "grams": 12}).is_world_mean
    assert emissions_of(None) is None and emissions_of({"hardware": "a computer"}) is None


def test_the_command_records_the_hours_of_an_older_run(weights, tmp_path):
    folder = shutil.copytree(weights, tmp_path / "weights")
    assert "co2_eq_emissions" not in ModelCard(build_card(folder)).data
    main([str(folder), "--compute", *(f"{key}={value}" for key, value in COMPUTE.items())])
    card = (folder / "README.md").read_text()
    assert ModelCard(card).data["co2_eq_emissions"]["hardware_used"] == "2 cores of an AMD EPYC, 7.4 hours"
    assert "190 g of CO₂ equivalent" in card
    for wrong, message in (("hours=-1", "hours must be a positive number"), ("hours", "KEY=VALUE")):
        with pytest.raises(SystemExit, match=message):
            main([str(folder), "--compute", wrong, "hardware=a computer"])
    with pytest.raises(SystemExit, match="not enough"):
        main([str(folder), "--compute", "hours=2", "hardware=a computer"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("training.yaml", "[1", "training.yaml cannot be read"),
        ("notes.yaml", "- a", "notes.yaml must hold values by name, not a list"),
        ("report.json", "{", "report.json cannot be read"),
        ("benchmark.json", "[]", "benchmark.json was made with other weights"),
        ("benchmark.json", "{}", "benchmark.json was made with other weights"),
        ("compute.yaml", "words", "compute.yaml must hold values by name, not a str"),
    ],
)
def test_files_that_were_damaged_by_hand_are_named(weights, tmp_path, name, content, message):
    folder = shutil.copytree(weights, tmp_path / "weights")
    (folder / name).write_text(content)
    with pytest.raises(SystemExit, match=message):
        main([str(folder)])


def test_a_place_is_no_truth_value(weights, tmp_path):
    folder = shutil.copytree(weights, tmp_path / "weights")
    main([str(folder), "--compute", "hours=2", "cores=2", "hardware=a computer", "place=NO"])
    assert ModelCard((folder / "README.md").read_text()).data["co2_eq_emissions"]["geographical_location"] == "NO"


def test_a_classifier_alone_is_not_published_as_a_whole_model(weights, tmp_path):
    folder = shutil.copytree(weights, tmp_path / "weights")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["TerGanForImageClassification"]}))
    with pytest.raises(PublishError, match="holds a TerGanForImageClassification and no whole TerGanModel"):
        write_model_repository(folder, tmp_path / "repository")


def test_scores_on_a_benchmark_go_to_eval_results(weights, tmp_path):
    folder = shutil.copytree(weights, tmp_path / "weights")
    tasks = {"transfer_heads": {"metric": "expression gain", "value": 0.25, "rows": 3}}
    scores = {"sha256": weights_digest(folder), "date": "2026-11-29", "tasks": tasks}
    (tmp_path / "scores.json").write_text(json.dumps(scores))
    main([str(folder), "--benchmark", str(tmp_path / "scores.json")])
    repository = write_model_repository(folder, tmp_path / "repository", benchmark="org/faces-benchmark")
    written = yaml.safe_load((repository / ".eval_results" / "faces-benchmark.yaml").read_text())
    entry = parse_eval_result_entries(written)[0]
    assert (entry.dataset_id, entry.task_id, entry.value) == ("org/faces-benchmark", "transfer_heads", 0.25)
    assert "| transfer_heads | expression gain | 0.250 |" in (repository / "README.md").read_text()
    for file in (tmp_path / "scores.json", folder / "benchmark.json"):
        file.write_text(json.dumps({**scores, "sha256": "0" * 64}))
        with pytest.raises(SystemExit, match="other weights"):
            main([str(folder), *(["--benchmark", str(file)] if file.parent == tmp_path else [])])
    (folder / "benchmark.json").unlink()
    with pytest.raises(SystemExit, match="missing"):
        main([str(folder), "--benchmark", str(tmp_path / "nothing")])
    with pytest.raises(MissingFileError, match="benchmark score --output"):
        write_model_repository(folder, tmp_path / "repository", benchmark="org/faces-benchmark")
