"""The benchmark of editing by name: what it asks for, what it reads, and what it writes."""

import csv
import sys

import numpy as np
import pytest
from datasets import Dataset, Features, Image, Value

from tergan_hf.model.errors_tergan import InvalidInputError

from .conftest import EXAMPLES, ROOT


@pytest.fixture(scope="module")
def benchmark():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        import editing_by_name

        yield editing_by_name
    del sys.modules["editing_by_name"]


def test_neutral_photos_of_a_folder_and_of_a_set(benchmark, tmp_path):
    assert len(benchmark.neutral_photos(str(EXAMPLES), 3)) == 3
    photo = {"bytes": (EXAMPLES / "london_014_neutral.jpg").read_bytes(), "path": None}
    people = [("a", "anger"), ("a", "neutral"), ("a", "neutral"), ("b", "neutral"), ("c", "fear")]
    rows = [{"image": photo, "identity": person, "expression": label} for person, label in people]
    features = Features(image=Image(), identity=Value("string"), expression=Value("string"))
    Dataset.from_list(rows, features=features).to_parquet(tmp_path / "set.parquet")
    found = benchmark.neutral_photos(str(tmp_path / "set.parquet"), 9)
    assert len(found) == 2 and found[0].size == (640, 640)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInputError, match="holds no neutral photos"):
        benchmark.neutral_photos(str(tmp_path / "empty"), 3)


def test_readings_without_a_face_count_nowhere(benchmark, settable_pipeline, neutral, smiling, tmp_path):
    """The reader finds no face in the second photo's first edit. What was asked for is of the same people."""
    pipe, names, answers = settable_pipeline, settable_pipeline.blendshape_names, []
    requests = [("jawOpen", 1.0), ("gazeX", 20.0)]
    jaw = names.index("jawOpen")

    def read(photo, crop_transform, lost=(4,)):
        answers.append(photo)
        return np.full(len(names), np.nan) if len(answers) - 1 in lost else np.full(len(names), 0.1 * len(answers))

    changes = benchmark.measure(pipe, [neutral, smiling], requests, read, False)
    assert changes.lost.tolist() == [1, 0] and changes.people == 2
    assert changes.read[:, jaw] == pytest.approx([0.1, 0.2])
    alone, both = (
        benchmark.measure(pipe, photos, requests, benchmark.model_reader(pipe), False)
        for photos in ([neutral], [neutral, smiling])
    )
    assert changes.asked == pytest.approx([alone.asked[0], both.asked[1]])
    benchmark.write(changes, tmp_path / "some", "mediapipe")
    assert "1 of 4 readings are lost" in (tmp_path / "some" / "summary.md").read_text()
    answers.clear()
    nothing = benchmark.measure(pipe, [neutral], requests, lambda *photo: read(*photo, lost=range(9)), False)
    benchmark.write(nothing, tmp_path / "none", "mediapipe")
    assert "| jawOpen | 1 | – | – | – | – |" in (tmp_path / "none" / "summary.md").read_text()
    rows = list(csv.DictReader((tmp_path / "none" / "changes.csv").open()))
    assert rows[0]["asked_change"] == rows[0]["jawOpen"] == ""


def test_changes_are_read_and_written(benchmark, settable_pipeline, neutral, tmp_path):
    """A reader that always answers the same but for one name, so that the tables are known."""
    pipe, names, answers = settable_pipeline, settable_pipeline.blendshape_names, []
    assert ("gazeX", -20.0) in benchmark.list_requests(pipe, [1.0], [-20.0])
    assert not any(name.startswith("eyeLook") for name, _ in benchmark.list_requests(pipe, [1.0], [5.0]))

    def read(photo, crop_transform):
        answers.append(photo)
        values = np.zeros(len(names))
        if len(answers) > 1:  # after the photo itself
            values[[names.index("jawOpen"), names.index("mouthFunnel"), names.index("gazeX")]] = 0.5, -0.2, 3.0
        return values

    requests = [("jawOpen", 1.0), ("gazeX", 20.0)]
    changes = benchmark.measure(pipe, [neutral], requests, read, False)
    assert len(answers) == 3 and np.abs(np.asarray(answers[1], int) - np.asarray(answers[0], int)).max() > 3
    own = benchmark.model_reader(pipe)(answers[0], pipe.faces(answers[0])[0].crop_transform)
    assert changes.asked[0] == pytest.approx(1 - own[names.index("jawOpen")], abs=1e-3)
    jaw, gaze = changes.summary()
    assert jaw[0] == "jawOpen" and jaw[3] == "+0.50" and jaw[5] == "mouthFunnel -0.20"
    assert gaze[3] == "+3.00°" and gaze[5] == "jawOpen +0.50"
    benchmark.write(changes, tmp_path / "out", "a test")
    rows = list(csv.DictReader((tmp_path / "out" / "changes.csv").open()))
    assert [row["name"] for row in rows] == ["jawOpen", "gazeX"] and float(rows[1]["gazeX"]) == 3.0
    assert "| jawOpen | 1 |" in (tmp_path / "out" / "summary.md").read_text()
    assert (tmp_path / "out" / "changes.png").stat().st_size > 1000
