"""The benchmark: how it is built, and that it is scored by the rule of the report."""

import csv
import io
import json

import numpy as np
import pytest
import yaml
from datasets import Dataset, Features, Image, List, Value
from huggingface_hub import DatasetCard
from PIL import Image as PILImage

from tergan_hf.cli.benchmark import main
from tergan_hf.data.loading import load_photos
from tergan_hf.evaluation.benchmark import load_task, score_model, score_results
from tergan_hf.evaluation.digest import weights_digest
from tergan_hf.evaluation.embeddings import embed_photos
from tergan_hf.evaluation.judges import Judges
from tergan_hf.evaluation.perceptual import PerceptualMetrics
from tergan_hf.evaluation.recognition import measure_recognition
from tergan_hf.evaluation.systems import MODEL
from tergan_hf.evaluation.transfer import draw_pairs, measure_transfer

from .conftest import EXAMPLES
from .pictures import cell
from .tiny_models import save_pipeline


LABELS = ("neutral", "happiness", "surprise")


def write_set(folder, names, split):
    """A built set: an example photo per person, turned a little for each expression, so that faces are found."""
    folder.mkdir(parents=True, exist_ok=True)
    photos = sorted(EXAMPLES.glob("*.jpg"))
    rows = []
    for number, name in enumerate(names):
        with PILImage.open(photos[number % len(photos)]) as photo:
            face = photo.convert("RGB").resize((160, 160))
        for expression_id, label in enumerate((*LABELS, "other")):
            photo = face.rotate(2 * expression_id, fillcolor="white")
            rows.append({
                "image": cell(photo, "JPEG", quality=90), "identity": name, "session": 0,
                "expression_id": expression_id, "expression": label, "blendshapes": [0.1 * expression_id] * 53,
            })  # fmt: skip
    features = Features(
        image=Image(), identity=Value("string"), session=Value("int32"), expression_id=Value("int32"),
        expression=Value("string"), blendshapes=List(Value("float32")),
    )  # fmt: skip
    Dataset.from_list(rows, features=features).to_parquet(folder / f"{split}-00000-of-00001.parquet")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# A set\n\n## Licence\n\nMIT, as the heads.\n")
    return folder


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory):
    folder = tmp_path_factory.mktemp("benchmark")
    write_set(folder / "heads", ["avatar_1", "avatar_2"], "train")
    write_set(folder / "portraits", ["london_1", "london_2", "congress_A000001"], "validation")
    arguments = ["--heads", folder / "heads", "--portraits", folder / "portraits", "--output", folder / "built"]
    main(["build", *map(str, arguments), "--pairs", "3", "--per-label", "2"])
    return folder


def test_rows_are_people_who_may_be_shown_with_known_labels(benchmark):
    rows = load_task(str(benchmark / "built"), "transfer_portraits")
    assert set(rows["source_identity"]) | set(rows["target_identity"]) == {"london_1", "london_2"}
    assert all(row["source_identity"] != row["target_identity"] for row in rows)
    labelled = load_task(str(benchmark / "built"), "recognition_heads")
    assert sorted(labelled["expression"]) == sorted(2 * LABELS)
    original = {photo["image"]["bytes"] for photo in load_photos(str(benchmark / "heads"))}
    assert {photo["image"]["bytes"] for photo in labelled} <= original


def test_the_card_and_eval_yaml_name_every_task(benchmark):
    folder = benchmark / "built"
    tasks = yaml.safe_load((folder / "eval.yaml").read_text())
    assert {"name", "description", "evaluation_framework", "tasks"} == set(tasks)
    assert {task["id"] for task in tasks["tasks"]} == {
        f"{task}_{kind}" for task in ("transfer", "identity", "recognition") for kind in ("heads", "portraits")
    }
    card = DatasetCard.load(folder / "README.md")
    configs = {entry["config_name"] for entry in card.data.configs}
    assert {task["config"] for task in tasks["tasks"]} == configs
    for entry in card.data.configs:
        assert list(folder.glob(entry["data_files"][0]["path"]))
    assert card.text.count("MIT, as the heads.") == 2 and card.data.license == ["mit", "cc-by-4.0"]


def test_scores_are_those_of_the_report(benchmark, tiny_photo_pipeline):
    """Same photos, same pairs: the same numbers as the measurements that the report is made of."""
    pipe = tiny_photo_pipeline
    scores = score_model(str(benchmark / "built"), pipe)
    photos = load_photos(str(benchmark / "heads"))
    photos = photos.select(np.flatnonzero(np.isin(photos["expression"], pipe.labels)))
    off = PerceptualMetrics(enabled=False)
    rows = measure_transfer({MODEL: pipe}, photos, draw_pairs(photos, 3, 0), True, Judges(detector=pipe.detector), off)
    assert scores["tasks"]["transfer_heads"] == {
        "metric": "expression gain", "value": round(rows[MODEL]["gain"], 5), "rows": 3,
    }  # fmt: skip
    labelled = load_task(str(benchmark / "built"), "recognition_heads")
    expected = measure_recognition(embed_photos(pipe, labelled, True), list(labelled["expression"]), pipe.labels)
    assert scores["tasks"]["recognition_heads"]["value"] == round(expected["accuracy"], 5)
    assert scores["details"]["transfer_heads"]["copy of the target"]["gain"] == 0
    assert "identity_heads" not in scores["tasks"]  # no judge


def save_truths(benchmark, folder):
    """Results of a perfect system for the heads."""
    (folder / "transfer_heads").mkdir(parents=True)
    for number, row in enumerate(load_task(str(benchmark / "built"), "transfer_heads")):
        PILImage.open(io.BytesIO(row["truth"]["bytes"])).save(folder / "transfer_heads" / f"{number:04d}.png")
    labels = load_task(str(benchmark / "built"), "recognition_heads")["expression"]
    with open(folder / "recognition_heads.csv", "w", newline="") as file:
        csv.writer(file).writerows([("row", "label"), *enumerate(labels)])
    return folder


def test_saved_results_of_any_system_are_scored(benchmark, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("tergan_hf.cli.benchmark.Judges.find", lambda folder: Judges())
    results = save_truths(benchmark, tmp_path / "results")
    options = ["score", "--dataset", str(benchmark / "built"), "--results", str(results)]
    main([*options, "--output", str(tmp_path / "scores.json")])
    tasks = json.loads((tmp_path / "scores.json").read_text())["tasks"]
    assert {name: task["value"] for name, task in tasks.items()} == {"transfer_heads": 1.0, "recognition_heads": 1.0}
    assert "| transfer_heads | expression gain | 1.0000 | 3 |" in capsys.readouterr().out
    # Rows that are not named count as wrong.
    (results / "recognition_heads.csv").write_text("row,label\n0,anger\n")
    with pytest.raises(SystemExit, match=r"scores\.json exists already: add --overwrite"):
        main([*options, "--output", str(tmp_path / "scores.json")])
    main([*options, "--output", str(tmp_path / "scores.json"), "--overwrite"])
    assert json.loads((tmp_path / "scores.json").read_text())["tasks"]["recognition_heads"]["value"] == 0
    for spoil, message in (
        (lambda: (results / "recognition_heads.csv").write_text("row,label\n99,anger\n"), "line 2: needs a row from"),
        (lambda: PILImage.new("RGB", (9, 9)).save(results / "transfer_heads" / "0001.png"), "9×9 pixels"),
        (lambda: (results / "transfer_heads" / "0000.png").unlink(), r"0000\.png"),
    ):
        spoil()
        with pytest.raises(SystemExit, match=message):
            main(options)


def test_a_score_has_the_number_of_its_values(benchmark, tmp_path):
    class Once(Judges):
        """Sees the face of the first result only."""

        def for_pair(self, source, target, label):
            first, self.asked = not hasattr(self, "asked"), True
            return lambda result: {"to_target": 0.5} if first else {}

    tasks = score_results(str(benchmark / "built"), save_truths(benchmark, tmp_path / "results"), Once())["tasks"]
    assert (tasks["identity_heads"]["rows"], tasks["transfer_heads"]["rows"]) == (1, 3)


def test_the_scores_of_a_model_name_its_weights(benchmark, tiny_photo_pipeline, tmp_path, monkeypatch):
    monkeypatch.setattr("tergan_hf.cli.benchmark.Judges.find", lambda folder: Judges())
    save_pipeline(tiny_photo_pipeline, tmp_path / "weights")
    options = ["--model", str(tmp_path / "weights"), "--output", str(tmp_path / "benchmark.json"), "--device", "cpu"]
    main(["score", "--dataset", str(benchmark / "built"), *options])
    scores = json.loads((tmp_path / "benchmark.json").read_text())
    assert scores["sha256"] == weights_digest(tmp_path / "weights") and len(scores["tasks"]) == 4


def test_mistakes_are_named(benchmark, tmp_path, monkeypatch):
    monkeypatch.setattr("tergan_hf.cli.benchmark.Judges.find", lambda folder: Judges())
    build = ["build", "--heads", str(benchmark / "heads"), "--portraits", str(benchmark / "portraits"), "--output"]
    with pytest.raises(SystemExit, match="holds something"):
        main([*build, str(benchmark / "built")])
    (tmp_path / "empty").mkdir()
    score = ["score", "--results", str(tmp_path / "empty"), "--dataset"]
    with pytest.raises(SystemExit, match="neither transfer_heads"):
        main([*score, str(benchmark / "built")])
    results = save_truths(benchmark, tmp_path / "results")
    with pytest.raises(SystemExit, match="holds no benchmark"):
        main(["score", "--dataset", str(tmp_path / "empty"), "--results", str(results)])
