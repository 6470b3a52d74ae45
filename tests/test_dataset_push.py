"""Data sets on the Hub: what is published, in which form, and what is refused."""

import threading

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from datasets import Array2D, Dataset, Features, Image, List, Value, load_dataset
from huggingface_hub import DatasetCard

from tergan_hf.cli import hub as command
from tergan_hf.data.dataset_card import SetDescription, count_rows, write_card
from tergan_hf.data.loading import load_photos
from tergan_hf.data.padded_crops import make_padded_crops
from tergan_hf.data.photo_set import label_photo_sets
from tergan_hf.evaluation.benchmark import load_task
from tergan_hf.publishing import dataset_repository
from tergan_hf.publishing.dataset_repository import write_dataset_repository
from tergan_hf.publishing.hub_errors import PublishError

from .conftest import WEIGHTS
from .loopback_hub import hub_here
from .pictures import cell


FEATURES = Features(
    image=Image(), identity=Value("string"), session=Value("int32"), expression_id=Value("int32"),
    expression=Value("string"), blendshapes=List(Value("float32")), flow=Image(), uncovered=Image(),
    landmarks=Array2D((5, 2), "float32"),
)  # fmt: skip
LICENCES = {"mit": "MIT, as the heads.", "other": "For holders of the licence only."}


def picture(mode, random):
    shape = (16, 16, len(mode)) if len(mode) > 1 else (16, 16)
    return cell(random.integers(0, 256, shape, dtype=np.uint8))


def built_set(folder, licence="mit", people=("london_1", "london_2", "congress_A1"), photos=70):
    """A set as `python -m tergan_hf.data` leaves it: two shards of the split train, one of validation."""
    random = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for split, number, total, shown in (
        ("train", 0, 2, people), ("train", 1, 2, people), ("validation", 0, 1, people[:1]),
    ):  # fmt: skip
        rows = [
            {
                "image": picture("RGB", random), "identity": name, "session": 0, "expression_id": one,
                "expression": ("neutral", "happiness")[one % 2], "blendshapes": random.random(53).tolist(),
                "flow": picture("RGBA", random), "uncovered": picture("L", random),
                "landmarks": random.random((5, 2)).astype(np.float32),
            }
            for name in shown
            for one in range(photos)
        ]  # fmt: skip
        path = folder / f"{split}-{number:05d}-of-{total:05d}.parquet"
        Dataset.from_list(rows, features=FEATURES).to_parquet(path)
    description = SetDescription(
        name="portraits", title="Portraits", home="https://example.org", licence=LICENCES[licence],
        licence_id=licence, attribution="Made by somebody.", citation="@misc{a}", layout="",
    )  # fmt: skip
    counts = count_rows(folder, ["train", "validation"])
    write_card(folder, description, FEATURES, {"seed": 0}, counts, [], [], [])
    (folder / "LICENSE").write_text("the licence")
    return folder


@pytest.fixture
def hub():
    with hub_here() as served:
        yield served


def push(*arguments):
    command.main(["push-dataset", *map(str, arguments)])


def test_a_pushed_set_is_private_and_complete(hub, tmp_path):
    folder = built_set(tmp_path / "portraits")
    push(folder, "org/portraits", "--tag", "first")
    repository = hub.repositories["dataset", "org/portraits"]
    files = hub.files("org/portraits", kind="dataset")
    assert repository.private and "first" in repository.tags
    assert {"README.md", "LICENSE", "data/train-00000-of-00001.parquet", "data/validation-00000-of-00001.parquet"} == {
        name for name in files if name != ".gitattributes"
    }
    data = DatasetCard(files["README.md"].decode()).data
    assert (data.license, data.size_categories) == ("mit", ["n<1K"])
    assert data.task_categories == ["image-classification", "image-to-image"] and "synthetic" in data.tags
    assert data.configs[0]["data_files"][0] == {"split": "train", "path": "data/train-*.parquet"}
    features = {feature["name"]: feature for feature in data.dataset_info["features"]}
    assert features["image"]["dtype"] == features["flow"]["dtype"] == "image"
    assert features["blendshapes"]["length"] == 53
    assert [split["num_examples"] for split in data.dataset_info["splits"]] == [420, 70]
    text = files["README.md"].decode()
    assert 'load_dataset("org/portraits")' in text and LICENCES["mit"] in text and "@misc{a}" in text


def test_what_was_pushed_is_read_by_its_name(hub, tmp_path):
    """The trainer reads a pushed set with its flow maps, the scoring command a pushed benchmark."""
    push(built_set(tmp_path / "portraits"), "org/portraits")
    push(small_benchmark(tmp_path / "benchmark"), "org/benchmark", "--public")
    photos = load_photos("hub://org/portraits", "validation")
    crops = make_padded_crops(photos, 16, align=False)
    labelled = label_photo_sets({"portraits": crops}, ["happiness", "neutral"])[0][0]
    assert len(photos) == 70 and labelled.has_flow and labelled.flow_map(0).shape == (4, 16, 16)
    assert list(load_task("hub://org/benchmark", "transfer_heads")["expression"]) == ["happiness"]


def small_benchmark(folder):
    (folder / "transfer_heads").mkdir(parents=True)
    Dataset.from_list([{"expression": "happiness"}]).to_parquet(
        folder / "transfer_heads" / "test-00000-of-00001.parquet"
    )
    (folder / "eval.yaml").write_text("name: a\n")
    configs = [{"config_name": "transfer_heads", "data_files": [{"split": "test", "path": "transfer_heads/test-*"}]}]
    header = yaml.safe_dump({"license": ["mit", "cc-by-4.0"], "configs": configs})
    (folder / "README.md").write_text(f"---\n{header}---\nload_dataset('OWNER/NAME')\n")
    return folder


def test_an_interrupted_push_is_completed_and_nothing_is_sent_twice(hub, tmp_path):
    folder = built_set(tmp_path / "portraits")
    hub.stall = threading.Event()
    failed = threading.Thread(target=_push_and_fail, args=(folder,))
    failed.start()
    assert hub.uploads_begun.wait(60)
    hub.stall.set()  # the running uploads fail
    failed.join(60)
    assert not [name for name in hub.files("org/portraits", kind="dataset") if name.endswith(".parquet")]
    hub.stall = None
    push(folder, "org/portraits")
    sent = len(hub.uploads)
    assert sent == 2
    push(folder, "org/portraits")
    assert len(hub.uploads) == sent


def _push_and_fail(folder):
    with pytest.raises(SystemExit):
        push(folder, "org/portraits")


def test_the_published_rows_are_those_of_the_set(tmp_path, monkeypatch):
    """Small row groups for the viewer, several shards, the same rows: the trainer reads both alike."""
    monkeypatch.setattr(dataset_repository, "SHARD_BYTES", 300_000)
    folder = built_set(tmp_path / "portraits")
    repository = write_dataset_repository(folder, tmp_path / "repository", "org/portraits")
    shards = sorted((repository / "data").glob("train-*.parquet"))
    assert len(shards) > 1
    groups = [pq.ParquetFile(shard).metadata.row_group(0) for shard in shards]
    assert all(group.num_rows <= 100 for group in groups) and groups[0].column(0).has_offset_index
    before, after = load_photos(str(folder)), load_photos(str(repository / "data"))
    assert before["identity"] == after["identity"]
    for column in ("image", "flow", "uncovered", "landmarks", "blendshapes", "expression_id"):
        assert before[0][column] == after[0][column] and before[-1][column] == after[-1][column]
    again = write_dataset_repository(folder, tmp_path / "again", "org/portraits")
    assert [path.read_bytes() for path in sorted((again / "data").iterdir())] == [
        path.read_bytes() for path in sorted((repository / "data").iterdir())
    ]
    # As `datasets` reads it from the Hub, by the header of the card.
    assert load_dataset(str(repository), split="validation", cache_dir=str(tmp_path / "cache")).num_rows == 70


def test_people_who_may_not_be_shown_are_left_out_of_a_public_set(tmp_path):
    folder = built_set(tmp_path / "portraits")
    with pytest.raises(PublishError, match=r"members of Congress .*\(--without congress_\)"):
        write_dataset_repository(folder, tmp_path / "refused", "org/portraits", public=True)
    repository = write_dataset_repository(folder, tmp_path / "r", "org/portraits", ("congress_",), public=True)
    rows = load_photos(str(repository / "data"))
    assert set(rows["identity"]) == {"london_1", "london_2"} and len(rows) == 280
    text = (repository / "README.md").read_text()
    assert "congress_A1" not in text and "350 photos from" in text and "People named `congress_…`" in text
    assert "| all | 280 | 70 |" in text and "2 people." in text
    with pytest.raises(PublishError, match="leaves nobody"):
        write_dataset_repository(folder, tmp_path / "nobody", "org/portraits", ("london_", "congress_"))


def test_members_of_congress_are_known_by_their_ids(tmp_path):
    folder = built_set(tmp_path / "portraits", people=("london_014", "original_A000014"))
    with pytest.raises(PublishError, match=r"members of Congress .*\(--without original_\)"):
        write_dataset_repository(folder, tmp_path / "refused", "org/portraits", public=True)


def test_a_public_repository_takes_no_private_set_and_a_private_one_no_public_set(hub, tmp_path):
    folder = built_set(tmp_path / "portraits", photos=4)
    for name, first, second in (("org/public", ["--public"], []), ("org/private", [], ["--public"])):
        words = (folder, name, "--without", "congress_")
        push(*words, *first)
        files = hub.files(name, kind="dataset")
        with pytest.raises(SystemExit, match=f"{name} exists already and is {name[4:]}"):
            push(*words, *second)
        assert hub.files(name, kind="dataset") == files
        push(*words, *first)


def test_clips_go_with_the_set_that_names_them(hub, tmp_path):
    folder = built_set(tmp_path / "clips", people=("london_1",))
    (folder / "clips").mkdir()
    for path in folder.glob("*.parquet"):
        rows = pq.read_table(path)
        names = [f"clips/{path.name[:5]}_{row % 2}.mp4" for row in range(len(rows))]
        for name in set(names):
            (folder / name).write_bytes(b"a clip")
        pq.write_table(rows.append_column("clip", pa.array(names)), path)
    repository = write_dataset_repository(folder, tmp_path / "repository", "org/clips")
    assert sorted(path.name for path in (repository / "clips").iterdir()) == [
        "train_0.mp4", "train_1.mp4", "valid_0.mp4", "valid_1.mp4",
    ]  # fmt: skip
    push(folder, "org/clips")
    hub.repositories["dataset", "org/clips"].add(
        "main", {**hub.files("org/clips", kind="dataset"), "clips/of_somebody_else.mp4": b"-"}
    )
    push(folder, "org/clips")
    clips = [name for name in hub.files("org/clips", kind="dataset") if name.startswith("clips/")]
    assert len(clips) == 4 and "clips/of_somebody_else.mp4" not in clips


def test_what_may_not_be_passed_on_is_refused(tmp_path):
    folder = built_set(tmp_path / "licensed", "other")
    with pytest.raises(PublishError, match=r"licence \(other\) does not let it be passed on.*holders of the licence"):
        write_dataset_repository(folder, tmp_path / "repository", "org/licensed")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(PublishError, match="holds no complete data set"):
        write_dataset_repository(tmp_path / "nothing", tmp_path / "repository", "org/nothing")
    with pytest.raises(PublishError, match="to publish weights, use push"):
        write_dataset_repository(WEIGHTS, tmp_path / "repository", "org/weights")


def test_a_benchmark_is_published_as_it_is(hub, tmp_path):
    folder = small_benchmark(tmp_path / "benchmark")
    push(folder, "org/benchmark", "--public")
    files = hub.files("org/benchmark", kind="dataset")
    table = "transfer_heads/test-00000-of-00001.parquet"
    assert files[table] == (folder / table).read_bytes() and files["eval.yaml"] == b"name: a\n"
    assert b"load_dataset('org/benchmark')" in files["README.md"]
    assert not hub.repositories["dataset", "org/benchmark"].private
