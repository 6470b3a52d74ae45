"""`tergan recognize hub://… --output hub://…` against a Hub on this machine, on one and two processes."""

import io
import os
import subprocess
from pathlib import Path

import pytest
from datasets import Dataset, Features, Image, Value
from PIL import Image as PILImage
from pyarrow import parquet

from .conftest import EXAMPLES, ROOT
from .forked_commands import ForkedCommands
from .loopback_hub import TOKEN, LoopbackHub, Repository
from .pictures import cell
from .tiny_models import pipeline_of, save_pipeline, tiny_model


FACES = 5  # photos with a face, then one without


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_pipeline(pipeline_of(tiny_model()), tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A parquet file of three row groups."""
    images = [PILImage.open(path).convert("RGB").resize((200, 200)) for path in sorted(EXAMPLES.glob("*.jpg"))[:FACES]]
    stored = [cell(image, "JPEG") for image in (*images, PILImage.new("RGB", (200, 200), "white"))]
    columns = {"image": stored, "name": [f"photo {number}" for number in range(len(stored))]}
    table = Dataset.from_dict(columns, features=Features(image=Image(), name=Value("string"))).data.table
    path = tmp_path_factory.mktemp("photos") / "train.parquet"
    parquet.write_table(table, path, row_group_size=2)
    return path.read_bytes()


@pytest.fixture(scope="module")
def hub():
    served = LoopbackHub()
    yield served
    served.close()


@pytest.fixture(autouse=True)
def source(hub, photos):
    hub.repositories.clear()
    source = hub.repositories["dataset", "owner/faces"] = Repository(private=True)
    source.add("main", {"data/train-00000-of-00001.parquet": photos})
    return source


@pytest.fixture(scope="module")
def environment(hub, tmp_path_factory):
    return {
        **os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": TOKEN, "HF_HUB_OFFLINE": "0",
        "HF_HOME": str(tmp_path_factory.mktemp("home")), "HF_HUB_DISABLE_TELEMETRY": "1", "OMP_NUM_THREADS": "1",
        "ACCELERATE_USE_CPU": "true",
    }  # fmt: skip


@pytest.fixture(scope="module")
def recognize(environment, weights):
    """A function that runs `tergan recognize`."""
    forks = ForkedCommands("tergan_hf.cli.tergan", "tergan_hf.annotation.run", environment=environment)

    def run(*words, processes=1, token=TOKEN) -> subprocess.CompletedProcess:
        command = ["-m", "tergan_hf", "recognize", *words, "--model", weights, "-q"]
        return forks.run(command, ROOT, processes, HF_TOKEN=token)

    yield run
    forks.close()


def rows(files, name):
    return parquet.read_table(io.BytesIO(files[f"{name}/train-00000-of-00001.parquet"])).to_pydict()


def test_from_the_hub_to_the_hub_on_two_processes(hub, recognize, environment):
    words = ("hub://owner/faces", "-o", "hub://me/read")
    done = recognize(*words, processes=2)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "hub://me/read: 6 photos, 5 faces; 1 photos without a face and 0 that cannot be read" in done.stdout
    assert hub.repositories["dataset", "me/read"].private  # because the source is
    files = hub.files("me/read", "dataset")
    assert set(files) == {
        "README.md", "recognition.json", "faces/train-00000-of-00001.parquet",
        "without_faces/train-00000-of-00001.parquet",
    }  # fmt: skip
    found = rows(files, "faces")
    assert found["row"] == list(range(FACES)) and found["name"] == [f"photo {number}" for number in range(FACES)]
    assert rows(files, "without_faces")["row"] == [FACES]
    assert "source_datasets:\n- owner/faces" in files["README.md"].decode()
    assert not list(Path(environment["HF_HOME"], "tergan", "recognize").iterdir())
    again = recognize(*words)
    assert again.returncode == 0 and "hub://me/read is complete already" in again.stdout, again.stderr
    other = recognize(*words, "--blendshapes")
    assert other.returncode == 1 and "was made from another choice of --blendshapes: add --overwrite" in other.stderr


def test_a_source_that_changed_is_named(source, recognize, photos, tmp_path):
    words = ("hub://owner/faces", "-o", tmp_path / "out")
    done = recognize(*words)
    assert done.returncode == 0 and "has changed" not in done.stdout, done.stderr
    source.add("main", {"data/train-00000-of-00001.parquet": photos, "a.txt": b""})
    again = recognize(*words)
    assert "complete already\nhub://owner/faces has changed since this run began" in again.stdout, again.stderr
    anew = recognize(*words, "--overwrite")
    assert "6 photos, 5 faces" in anew.stdout and "has changed" not in anew.stdout, anew.stderr


def test_what_the_hub_lacks_is_a_sentence(recognize, tmp_path):
    gone = recognize("hub://owner/gone", "-o", tmp_path / "out")
    assert gone.returncode == 1 and "there is no data set owner/gone on the Hub, or it is private" in gone.stderr
    stranger = recognize("hub://owner/faces", "-o", "hub://me/read", token="hf_other")
    assert stranger.returncode == 1 and "the Hub does not accept the token" in stranger.stderr
    refused = recognize("hub://owner/faces", "-o", "hub://org/forbidden")
    assert refused.returncode == 1 and "the token needs write access to this repository" in refused.stderr
    for done in (gone, stranger, refused):
        assert "Traceback" not in done.stderr
