"""docs/finetuning.md does what it says: its commands on a few photos, from the published weights."""

import re
import shlex
import shutil

import pytest
import torch

from tergan_hf import TerGanPipeline

from .conftest import EXAMPLES, ROOT, WEIGHTS


def documented(start: str) -> list[str]:
    """The words of the command in the tutorial that begins like this."""
    commands = re.findall(rf"^{re.escape(start)}.*$", (ROOT / "docs" / "finetuning.md").read_text(), re.MULTILINE)
    return shlex.split(commands[0])[1:]


@pytest.fixture(scope="module")
def finetuned(python, tmp_path_factory):
    """A folder in which the first two commands ran, and what the second one printed."""
    folder = tmp_path_factory.mktemp("finetuning")
    for path in sorted(EXAMPLES.glob("*.jpg")):
        label = {"neutral": "neutral", "happiness": "grin"}[path.stem.rsplit("_", 1)[1]]
        (folder / "my_photos" / "me" / label).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / "my_photos" / "me" / label)
    shutil.copytree(ROOT / "configs", folder / "configs")
    (folder / "weights").symlink_to(WEIGHTS.parent)
    train = documented("python train_accelerate.py")
    train[0] = str(ROOT / train[0])
    train[-1] = "model.expressions=[neutral, grin]"
    for words in ([*documented("python -m tergan_hf.data"), "--processes", "1"], train):
        done = python.run(words, folder)
        assert done.returncode == 0, done.stderr[-3000:]
    return folder, done.stdout


def test_the_result_reads_the_new_labels(finetuned):
    folder, printed = finetuned
    assert "my_photos: 1 of 1 held-out photos are read correctly" in printed
    pipe = TerGanPipeline.from_pretrained(folder / "runs" / "finetune" / "model", device="cpu")
    assert pipe.labels == ["neutral", "grin"]
    photos = [str(path) for path in sorted((folder / "my_photos").rglob("*.jpg"))]
    read = [answer[0]["label"] for answer in pipe.recognize(photos)]
    assert read == [path.split("/")[-2] for path in photos]
    neutral = photos[read.index("neutral")]
    before, after = (
        {answer["label"]: answer["score"] for answer in pipe.recognize(image)}
        for image in (neutral, pipe.edit(neutral, "grin"))
    )
    assert after["grin"] > before["grin"]


def test_the_networks_stay_as_they_are(finetuned, embedded_pipeline):
    folder, _ = finetuned
    found = TerGanPipeline.from_pretrained(folder / "runs" / "finetune" / "model", device="cpu").model
    before, after = embedded_pipeline.model.state_dict(), found.state_dict()
    for name, tensor in before.items():
        if name.startswith(("decoder", "identity_encoder", "blendshape")):
            assert torch.equal(after[name], tensor), name
    crops = torch.rand(4, 3, found.config.image_size, found.config.image_size) * 2 - 1
    with torch.inference_mode():
        old, new = (model.encode_expression(crops) for model in (embedded_pipeline.model, found))
    assert (new - old).norm() < 0.01 * old.norm()
