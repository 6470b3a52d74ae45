"""Push to and load from a Hub on this machine, with huggingface_hub's own client."""

import json
import re
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from huggingface_hub import HfApi, close_session, constants, snapshot_download
from safetensors.torch import load, load_file, save

from tergan_hf import TerGanError, TerGanModel, TerGanPipeline
from tergan_hf.cli import hub as command
from tergan_hf.data.loading import load_photos
from tergan_hf.publishing import hub as publishing
from tergan_hf.publishing import static_space
from tergan_hf.publishing.hub import PublishError, run_tag, write_model_repository

from .conftest import NEUTRAL, ROOT, SMILING
from .faces import repeatable_people
from .hub_command import environment, push
from .loopback_hub import TOKEN, LoopbackHub, Repository, used_here
from .tiny_models import pipeline_of, save_pipeline, tiny_model


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    model = tiny_model()
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor) * 0.2 - 0.05 + 0.2 * (tensor.ndim < 2))
    folder = save_pipeline(pipeline_of(model), tmp_path_factory.mktemp("weights"))
    (folder / "training.yaml").write_text("preset: photo\n")
    return folder


@pytest.fixture
def hub():
    served = LoopbackHub()
    yield served
    served.close()


USER_CODE = """
import sys
sys.modules["tergan_hf"] = None  # an editable install would make it importable
from tergan_shim import ensure
ensure()
from transformers import AutoImageProcessor, AutoModel, AutoModelForImageClassification, pipeline
from safetensors.torch import load_file
import torch
from PIL import Image
saved, photo, smile, *places = load_file(sys.argv[1]), *sys.argv[2:]
for place in places:
    repo, _, revision = place.partition("@")
    model = AutoModel.from_pretrained(repo, trust_remote_code=True, revision=revision)
    assert set(model.state_dict()) == set(saved)
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in saved.items())
options = {"revision": revision}
classifier = AutoModelForImageClassification.from_pretrained(repo, trust_remote_code=True, **options)
assert all(torch.equal(tensor, saved[name]) for name, tensor in classifier.state_dict().items())
processor = AutoImageProcessor.from_pretrained(repo, trust_remote_code=True, **options)
assert processor.size["height"] == 32, processor
answer = pipeline("image-classification", model=repo, trust_remote_code=True, **options)(Image.open(photo))
assert abs(sum(entry["score"] for entry in answer)) <= 1.001, answer
transfer = pipeline(model=repo, trust_remote_code=True, **options)
assert type(transfer).__name__ == "FacialExpressionTransferPipeline"
edited = transfer(photo, expression="happiness")
assert edited.size == Image.open(photo).size
both = transfer([photo, smile], expression=smile, intensity=0.5)
still = pipeline(model=repo, trust_remote_code=True, expression="happiness", intensity=0.0, **options)(photo)
assert still.tobytes() == Image.open(photo).convert("RGB").tobytes()  # given once, kept
assert [image.size for image in both] == [Image.open(photo).size] * 2
try:
    transfer(photo)
except ValueError as error:
    assert "expression is missing" in str(error)
else:
    raise AssertionError("no expression, no error")
print("all there")
"""


def check_for_user(hub, tmp_path, weights, *places):
    """Load repositories at revisions, and the last one in every documented way, in a process that cannot import this
    package."""
    shim = tmp_path / "shim"
    shim.mkdir(exist_ok=True)
    # The process may only import the repair of a broken torchvision.
    (shim / "torchvision_compat.py").write_text((ROOT / "tergan_hf" / "model" / "torchvision_compat.py").read_text())
    (shim / "tergan_shim.py").write_text("from torchvision_compat import ensure_torchvision as ensure\n")
    arguments = [str(weights / "model.safetensors"), NEUTRAL, SMILING, *places]
    done = subprocess.run(
        [sys.executable, "-c", USER_CODE, *arguments],
        cwd=shim, env=environment(hub, tmp_path / "home", HF_TOKEN=None, PYTHONPATH=str(shim)),
        capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "all there" in done.stdout


def test_a_pushed_model_works_without_the_package(hub, weights, tmp_path):
    push(hub, "push", weights, "org/ter-gan", "--tag", "first")
    files = hub.files("org/ter-gan")
    assert files["model.safetensors"] == (weights / "model.safetensors").read_bytes()
    assert {"README.md", "LICENSE", "training.yaml", "modeling_tergan.py"} <= set(files)
    assert any(name.startswith("assets/examples/") for name in files)
    push(hub, "push", weights, "org/ter-gan", "--tag", "first")  # the tag moves
    first = hub.repositories["model", "org/ter-gan"].refs["main"]
    assert hub.repositories["model", "org/ter-gan"].tags == {"first": first}
    hub.repositories["model", "org/copy"] = Repository(private=False)
    hub.repositories["model", "org/copy"].add("main", files)
    # A later commit is not visible at the pinned revision or tag.
    hub.repositories["model", "org/ter-gan"].add("main", {**files, "config.json": b"{}"})
    check_for_user(hub, tmp_path, weights, "org/copy@main", f"org/ter-gan@{first}", "org/ter-gan@first")


def test_a_repeated_push_completes_an_interrupted_one(hub, weights, tmp_path):
    import threading

    hub.stall = threading.Event()
    command = [sys.executable, "-m", "tergan_hf.hub", "push", str(weights), "org/ter-gan"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment(hub, tmp_path), stderr=subprocess.DEVNULL)
    assert hub.uploads_begun.wait(60)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert "model.safetensors" not in hub.files("org/ter-gan")
    hub.stall.set()
    hub.stall = None
    push(hub, "push", weights, "org/ter-gan")
    assert hub.files("org/ter-gan")["model.safetensors"] == (weights / "model.safetensors").read_bytes()
    sent = len(hub.uploads)
    push(hub, "push", weights, "org/ter-gan")
    assert len(hub.uploads) == sent  # files that have arrived are not sent again


def test_a_push_removes_the_scores_of_other_weights(hub, weights):
    push(hub, "push", weights, "org/scored")
    hub.repositories["model", "org/scored"].add("main", {**hub.files("org/scored"), ".eval_results/b.yaml": b"-"})
    push(hub, "push", weights, "org/scored")
    assert ".eval_results/b.yaml" not in hub.files("org/scored")


def test_private_repositories_and_branches(hub, weights):
    push(hub, "push", weights, "org/secret", "--private", "--revision", "trial")
    repository = hub.repositories["model", "org/secret"]
    assert repository.private
    assert "model.safetensors" in hub.files("org/secret", revision="trial")
    assert "model.safetensors" not in hub.files("org/secret")


def test_a_pushed_page_is_a_static_space(hub, tmp_path, monkeypatch):
    assert static_space.PAGE == ROOT / "build" / "web"
    monkeypatch.setattr(command, "push_static_space", partial(static_space.push_static_space, page=tmp_path))
    (tmp_path / "model").mkdir()
    for name in ("README.md", "index.html", "service-worker.js", "build.json", "model/model.json"):
        (tmp_path / name).write_text(name)
    done = push(hub, "push-space", "--static", "org/web")
    assert "org/web" in done.stdout and hub.repositories["space", "org/web"].sdk == "static"
    assert hub.files("org/web", kind="space")["model/model.json"] == b"model/model.json"
    (tmp_path / "index.html").unlink()
    assert "run `make web` first" in push(hub, "push-space", "--static", "org/web", check=False).stderr


def test_a_pushed_space_is_complete(hub):
    push(hub, "push-space", "org/ter-gan-demo", "--model", "org/ter-gan")
    repository = hub.repositories["space", "org/ter-gan-demo"]
    assert (repository.sdk, repository.hardware) == ("gradio", "zero-a10g")
    assert hub.variables["org/ter-gan-demo"] == {"TERGAN_MODEL": "org/ter-gan"}
    files = hub.files("org/ter-gan-demo", kind="space")
    assert {"app.py", "requirements.txt", "README.md", "tergan_hf/hub.py", "assets/held_out_people.jpg"} <= set(files)
    assert files["requirements.txt"] == (ROOT / "space" / "requirements.txt").read_bytes()
    assert not [name for name in files if "__pycache__" in name or name.endswith(".pyi") or name.startswith("tests/")]
    assert not [name for name in files if name.startswith("weights/")]  # the model's repository has them
    repository.add("main", {**files, "tergan_hf/old.py": b""})
    push(hub, "push-space", "org/ter-gan-demo", "--hardware", "cpu-basic")
    files = hub.files("org/ter-gan-demo", kind="space")
    assert "tergan_hf/old.py" not in files and "weights/ter-gan/model.safetensors" in files
    assert repository.hardware == "cpu-basic"
    assert hub.variables["org/ter-gan-demo"] == {}  # the weights in the Space are opened now


@pytest.mark.parametrize("exists", [False, True])
def test_a_refused_hardware_is_a_sentence_that_names_the_static_space(hub, exists):
    if exists:
        push(hub, "push-space", "org/demo", "--hardware", "cpu-basic", "--model", "org/ter-gan")
    hub.paid_hardware = {"zero-a10g"}
    refused = [push(hub, "push-space", "org/demo", "--model", "org/ter-gan", check=False)]
    if not exists:
        refused.append(push(hub, "push-space", "org/forbidden", check=False))
    for done in refused:
        assert done.returncode == 1 and "push-space --static org/" in done.stderr and "zero-a10g" in done.stderr
        assert "Traceback" not in done.stderr and done.stderr.count("\n") == 1
    assert "Subscribe to PRO" in refused[0].stderr


def test_publishing_without_a_token_says_how_to_log_in(hub, weights):
    done = push(hub, "push", weights, "org/ter-gan", check=False, token="")
    assert done.returncode != 0 and "hf auth login" in done.stderr and "Traceback" not in done.stderr


UNREACHABLE = {
    "a dead endpoint": ({"HF_ENDPOINT": "http://127.0.0.1:9"}, "cannot be reached"),
    "a dead proxy": ({"HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}, "HTTPS_PROXY"),
    "a proxy of an unknown kind": ({"HTTP_PROXY": "foo://127.0.0.1:9"}, "proxy"),
    "an unknown host": ({"HF_ENDPOINT": "http://hub.invalid"}, "http://hub.invalid"),
    "no address": ({"HF_ENDPOINT": "nonsense"}, "nonsense"),
    "offline mode": ({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set"),
    "a wrong token": ({"HF_TOKEN": "hf_wrong"}, "does not accept the token"),
    "a token with odd letters": ({"HF_TOKEN": "hf_é"}, "the token holds letters"),
}


@pytest.mark.parametrize("fault", UNREACHABLE)
def test_a_hub_that_cannot_be_used_is_one_sentence(hub, weights, monkeypatch, fault):
    changes, message = UNREACHABLE[fault]
    endpoint = "http://hub.invalid" if "proxy" in fault else hub.endpoint
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HF_TOKEN": TOKEN, **changes}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(constants, "ENDPOINT", changes.get("HF_ENDPOINT", endpoint))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", "HF_HUB_OFFLINE" in changes)
    close_session()
    try:
        with pytest.raises(SystemExit) as ended:
            command.main(["push", str(weights), "org/ter-gan"])
    finally:
        close_session()
    assert message in ended.value.code and "\n" not in ended.value.code, ended.value.code
    assert ended.value.code.startswith("tergan_hf.hub: ")


def test_what_is_wrong_here_is_noticed_before_logging_in(tmp_path, weights, monkeypatch):
    def log_in(*_):
        raise AssertionError("logged in")

    monkeypatch.setattr(publishing, "check_login", log_in)
    (tmp_path / "empty").mkdir()
    for folder, repo_id, message in (
        (tmp_path / "nowhere", "org/a", "there is no folder .*nowhere"),
        (tmp_path / "empty", "org/a", "config.json"),
        (weights / "config.json", "org/a", "there is no folder"),
        (weights, "org/a/b", "'org/a/b' is no name of a repository"),
        (weights, "org/a b", "'org/a b' is no name of a repository"),
        (weights, "ter-gan", "write it with its owner, me/ter-gan"),
    ):
        with pytest.raises(PublishError, match=message):
            publishing.push_model(folder, repo_id)


def test_a_repository_of_somebody_else_is_one_sentence(hub, weights):
    done = push(hub, "push", weights, "org/forbidden", check=False)
    assert done.returncode == 1 and "the Hub refuses org/forbidden" in done.stderr and "write access" in done.stderr
    assert "Traceback" not in done.stderr


def test_models_and_data_sets_make_a_round_trip(hub, weights, tmp_path):
    parquet = repeatable_people(tmp_path / "people.parquet")
    model = TerGanModel.from_pretrained(weights)
    with used_here(hub):
        model.push_to_hub("org/pushed")
        again = TerGanModel.from_pretrained("org/pushed")
        assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), again.state_dict().values()))
        assert (Path(snapshot_download("org/pushed")) / "config.json").is_file()
        api, where = HfApi(), {"repo_id": "org/faces", "repo_type": "dataset"}
        api.create_repo(**where)
        api.upload_file(path_or_fileobj=parquet, path_in_repo="data/train-00000.parquet", **where)
        photos = load_photos("hub://org/faces")
        assert sorted(photos["identity"]) == sorted(4 * ["p0", "p1", "p2", "p3"])


class Bomb:
    """A pickle that writes a file when it is opened."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_damaged_repositories_load_nothing_and_run_nothing(hub, weights, tmp_path):
    import pickle

    whole = {path.name: path.read_bytes() for path in weights.iterdir()}
    tensors, config = whole["model.safetensors"], json.loads(whole["config.json"])
    without = {name: data for name, data in whole.items() if name != "model.safetensors"}
    lacking = save({name: value for name, value in load(tensors).items() if name != "decoder.to_change.bias"})
    longer = json.dumps({**config, "expression_embedding_size": 31}).encode()
    cases = {
        "no-weights": (without, "org/no-weights"),
        "truncated": (
            {**whole, "model.safetensors": tensors[: len(tensors) // 2]},
            "org/truncated: the weights are damaged",
        ),
        "wrong-sizes": ({**whole, "config.json": longer}, "do not fit config.json"),
        "incomplete": ({**whole, "model.safetensors": lacking}, "decoder.to_change.bias"),
        "pickle": ({**without, "pytorch_model.bin": pickle.dumps(Bomb(tmp_path / "exploded"))}, "org/pickle"),
    }
    for name, (files, _) in cases.items():
        repository = hub.repositories["model", f"org/{name}"] = Repository(private=False)
        repository.add("main", files)
    messages = {name: message for name, (_, message) in cases.items()} | {"nowhere": "org/nowhere"}
    with used_here(hub):
        for name, message in messages.items():
            with pytest.raises(TerGanError, match=re.escape(message)):
                TerGanPipeline.from_pretrained(f"org/{name}", device="cpu")
    assert not (tmp_path / "exploded").exists()


def test_a_missing_network_is_named(hub):
    with used_here(hub) as patch:
        patch.setattr(constants, "HF_HUB_OFFLINE", True)
        with pytest.raises(TerGanError, match="cached"):
            TerGanPipeline.from_pretrained("org/nowhere", device="cpu")


def test_incomplete_weights_are_not_published(tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "config.json").write_text("{}")
    with pytest.raises(PublishError, match=r"preprocessor_config\.json, model\.safetensors"):
        write_model_repository(tmp_path / "weights", tmp_path / "repository")


def test_the_repository_names_its_own_code(weights, tmp_path):
    folder = write_model_repository(weights, tmp_path / "repository")
    config = json.loads((folder / "config.json").read_text())
    for reference in [*config["auto_map"].values(), *[task["impl"] for task in config["custom_pipelines"].values()]]:
        module, name = reference.split(".")
        assert f"class {name}" in (folder / f"{module}.py").read_text()
    assert load_file(folder / "model.safetensors").keys() == load_file(weights / "model.safetensors").keys()


def test_tags_take_the_runs_name():
    assert run_tag("runs/photo 2/") == "photo-2"
