"""Recognition against votes and earlier labels, blendshapes, and photos that two splits share."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from datasets import Dataset, Features, Image, List, Value

from tergan_hf import InvalidInputError
from tergan_hf.cli import evaluate
from tergan_hf.data.loading import DataSource, load_photos
from tergan_hf.data.sets.ferplus import ANSWERS, distribution
from tergan_hf.evaluation import blendshapes
from tergan_hf.evaluation.blendshapes import (
    compare_blendshapes,
    correlate,
    measure_blendshapes,
    true_blendshapes,
)
from tergan_hf.evaluation.embeddings import Embeddings
from tergan_hf.evaluation.held_out import HeldOutSet, held_out_sets
from tergan_hf.evaluation.reading_tables import blendshape_table
from tergan_hf.evaluation.suite import Evaluation, Settings
from tergan_hf.evaluation.systems import FROM_PROBABILITIES, MEAN, MODEL, RANDOM
from tergan_hf.evaluation.votes import clear_majorities, has_original_labels, measure_original_labels, measure_votes
from tergan_hf.expressions.blendshapes import COLUMN_NAMES, GAZE_DEGREES
from tergan_hf.model.configuration_tergan import EXPRESSIONS_WITH_NEUTRAL
from tergan_hf.model.errors_tergan import NoFaceFoundError

from .pictures import cell
from .tiny_models import pipeline_of, save_pipeline, tiny_model


SEVEN = list(EXPRESSIONS_WITH_NEUTRAL)
GREY = {"anger": 30, "happiness": 120, "neutral": 220}  # of the photos of each label


def votes_for(**counts: int) -> list[int]:
    return [counts.get(answer, 0) for answer in ANSWERS]


def voted_photos(path, split: str, count: int, seed: int, extra=()):
    """Write a split like FER2013 with votes. The brightness of a photo tells its original label, not its majority."""
    random = np.random.default_rng(seed)
    rows = list(extra)
    for number in range(count):
        original = list(GREY)[number % 3]
        label = list(GREY)[number // 3 % 3]
        other = next(answer for answer in GREY if answer != label)
        counts = votes_for(
            **{label: 8 if number % 2 else 4, other: 2 if number % 2 else 3, "unknown": number % 2 or 3}
        )
        pixels = np.clip(random.normal(GREY[original], 12, (48, 48)), 0, 255).astype(np.uint8)
        rows.append({
            "image": cell(pixels), "expression": label, "original_expression": original, "votes": counts,
            "label_distribution": distribution(tuple(counts)),
        })  # fmt: skip
    features = Features(
        image=Image(), expression=Value("string"), original_expression=Value("string"),
        votes=List(Value("int32"), length=10), label_distribution=List(Value("float32"), length=7),
    )  # fmt: skip
    Dataset.from_list(rows, features=features).to_parquet(path / f"{split}.parquet")
    return rows


def posed_people(path, people: int = 4, poses: int = 12):
    """Write a set like the portraits: everybody shows the same poses, most of them without a name, and the jaw, a lid
    and the gaze move."""
    random = np.random.default_rng(0)
    rows = []
    for person in range(people):
        for pose in range(poses):
            values = np.zeros(len(COLUMN_NAMES), np.float32)
            values[COLUMN_NAMES.index("jawOpen")] = pose / poses
            values[COLUMN_NAMES.index("eyeBlinkLeft")] = pose % 2
            values[COLUMN_NAMES.index("gazeX")] = (pose % 3 - 1) / 2
            pixels = np.full((64, 64, 3), (60 * person, 100, 20 * pose), np.uint8)
            pixels[40 : 42 + pose] = 255
            pixels = np.clip(pixels + random.normal(0, 4, pixels.shape), 0, 255).astype(np.uint8)
            rows.append({
                "image": cell(pixels), "identity": f"p{person}", "expression_id": pose, "blendshapes": values,
                "expression": ["neutral", "happiness", "other"][pose % 3],
            })  # fmt: skip
    features = Features(
        image=Image(), identity=Value("string"), expression_id=Value("int32"), expression=Value("string"),
        blendshapes=List(Value("float32"), length=len(COLUMN_NAMES)),
    )  # fmt: skip
    Dataset.from_list(rows, features=features).to_parquet(path)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The report of a small random model that reads blendshapes, and its folder."""
    folder = tmp_path_factory.mktemp("evaluation")
    (folder / "fer2013").mkdir()
    training = voted_photos(folder / "fer2013", "train", 60, 0)
    voted_photos(folder / "fer2013", "validation", 36, 1, training[:3])
    posed_people(folder / "portraits.parquet")
    save_pipeline(pipeline_of(tiny_model()), folder / "weights")
    sources = [
        {"name": "fer2013", "path": "fer2013", "align": False, "validation_path": "fer2013"},
        {"name": "portraits", "path": "portraits.parquet", "align": False},
    ]
    record = {"sources": sources, "kept_out": {"portraits": ["p0", "p1", "p2", "p3"]}}
    (folder / "weights" / "training.yaml").write_text(yaml.safe_dump(record))
    options = ["--model", folder / "weights", "--data_root", folder, "--report", folder / "out", "--device", "cpu"]
    evaluate.main([*map(str, options), "--no-perceptual", "--pairs", "4", "--folds", "3"])
    return json.loads((folder / "out" / "report.json").read_text())["sets"], (folder / "out" / "report.md").read_text()


def test_photos_of_the_training_split_are_not_counted(report):
    sets, text = report
    assert sets["fer2013"]["photos"] == 36 and sets["fer2013"]["duplicates"] == 3
    assert "Not counted, because the training split has exactly the same pixels: 3 more." in text
    assert sets["portraits"]["duplicates"] is None


def test_named_people_of_the_training_split_are_not_measured(tmp_path, caplog):
    for split, people in (("train", 2), ("validation", 4)):
        posed_people(tmp_path / f"{split}.parquet", people=people)
    source = {"name": "people", "path": "train.parquet", "validation_path": "validation.parquet"}
    (tmp_path / "training.yaml").write_text(yaml.safe_dump({"sources": [source]}))
    (people,) = held_out_sets(tmp_path, tmp_path)
    assert len(people.photos) == len(people.training_photos) == 24 and people.duplicates is None
    assert not set(people.photos["identity"]) & set(people.training_photos["identity"])
    assert "24 photos of people whom the training split has are left out" in caplog.text
    posed_people(tmp_path / "validation.parquet", people=2)
    with pytest.raises(InvalidInputError, match="the training split has every person of this set"):
        held_out_sets(tmp_path, tmp_path)


def test_a_set_of_nothing_but_training_photos_is_refused(tmp_path):
    rows = voted_photos(tmp_path, "train", 6, 0)
    voted_photos(tmp_path, "validation", 0, 0, rows)
    source = {"name": "crops", "path": ".", "validation_path": "."}
    (tmp_path / "training.yaml").write_text(yaml.safe_dump({"sources": [source]}))
    with pytest.raises(ValueError, match="crops: the training split has the same pixels"):
        held_out_sets(tmp_path, tmp_path)


def test_without_the_training_split_nothing_is_left_out(tmp_path, caplog):
    voted_photos(tmp_path, "validation", 6, 0)
    source = {"name": "crops", "path": "train.parquet", "validation_path": "validation.parquet"}
    (tmp_path / "training.yaml").write_text(yaml.safe_dump({"sources": [source]}))
    (crops,) = held_out_sets(tmp_path, tmp_path)
    assert len(crops.photos) == 6 and crops.duplicates is None and "train.parquet" in caplog.text


def test_the_original_labels_are_learnt_from_the_training_split(report):
    """Only the original labels can be seen in these photos."""
    measured = report[0]["fer2013"]["original_labels"]
    assert measured["fitted_on"] == 60 and measured["majority"] == pytest.approx(1 / 3, abs=1e-4)
    assert measured["rows"]["pixels"]["accuracy"] == 1 and measured["rows"]["f(e)"]["accuracy"] > 0.9
    assert "fitted on 60 photos" in report[1]


@pytest.mark.parametrize("nothing", [None, ""])
def test_photos_without_an_original_label_are_left_out(tmp_path, nothing):
    for split, count, seed in (("train", 30, 0), ("validation", 12, 1)):
        rows = [
            {**row, "original_expression": nothing if number % 5 == 0 else row["original_expression"]}
            for number, row in enumerate(voted_photos(tmp_path, split, count, seed))
        ]
        voted_photos(tmp_path, split, 0, 0, rows)
    sides = {split: load_photos(str(tmp_path), split) for split in ("train", "validation")}
    held_out = HeldOutSet("a", sides["validation"], DataSource("a", "", align=False), [], sides["train"])
    measured = measure_original_labels(pipeline_of(tiny_model()), held_out)
    assert (measured["fitted_on"], measured["photos"]) == (24, 9) and set(measured["rows"]["f(e)"]["recall"]) == set(
        GREY
    )
    unlabelled = sides["train"].select([0, 5])
    assert has_original_labels(held_out)
    assert not has_original_labels(replace(held_out, training_photos=unlabelled))
    assert not has_original_labels(replace(held_out, photos=unlabelled))


def test_votes_are_measured_beside_their_baselines(report):
    votes, recognition = report[0]["fer2013"]["votes"], report[0]["fer2013"]["recognition"]
    assert votes["clear"]["photos"] == 18 and set(votes["clear"]["recall"]) == set(GREY)
    assert recognition["balanced_accuracy"] == pytest.approx(np.mean(list(recognition["recall"].values())), abs=1e-4)
    assert votes["entropy"] < votes["constant"] < votes["cross_entropy"]  # random scores are worse than constant ones
    assert "FER+, clear majority" in report[1] and "Cross-entropy with the votes" in report[1]


def test_blendshapes_of_photos_with_other_labels_count(report):
    found = report[0]["portraits"]["blendshapes"]
    assert found["photos"] == 48 and report[0]["portraits"]["photos"] == 32
    assert set(found["moving"]) == {"jawOpen", "eyeBlinkLeft", "gazeX"}
    assert set(found["systems"]) == {MODEL, FROM_PROBABILITIES, MEAN}
    assert found["systems"][MODEL]["names"]["browInnerUp"]["r"] is None  # it does not move
    assert "### Blendshapes (48 photos)" in report[1] and "| eyeBlinkLeft |" in report[1]
    assert "blendshapes" not in report[0]["fer2013"]


def test_identity_in_the_expression_code_has_its_chance_beside_it(report):
    measured = report[0]["portraits"]["disentanglement"]["identity"]
    assert measured["values"] == 4 and measured["chance"] == 0.25
    assert {"expression", "identity", "random G_es"} <= set(measured)
    assert RANDOM not in measured


def test_a_majority_is_clear_above_half_of_all_votes():
    rows = [
        votes_for(anger=6, unknown=4), votes_for(anger=5, fear=5), votes_for(anger=5, fear=2, NF=3),
        votes_for(anger=11, fear=9), votes_for(fear=9, anger=1), votes_for(),
    ]  # fmt: skip
    photos = Dataset.from_dict({"votes": rows, "expression": ["anger"] * len(rows)})
    assert clear_majorities(photos).tolist() == [True, False, False, True, False, False]
    with pytest.raises(ValueError, match="'votes' must hold 10 numbers"):
        clear_majorities(Dataset.from_dict({"votes": [[1, 2]], "expression": ["anger"]}))


def test_cross_entropy_follows_the_order_of_the_labels():
    labels = SEVEN[::-1]
    votes = [votes_for(anger=10), votes_for(happiness=5, neutral=5)]
    photos = Dataset.from_dict({
        "votes": votes, "expression": ["anger", "happiness"],
        "label_distribution": [distribution(tuple(row)) for row in votes],
    })  # fmt: skip
    scores = np.array([distribution(tuple(row)) for row in votes])[:, ::-1]
    measured = measure_votes(photos, Embeddings(np.arange(2), np.array([], int), {}, scores), labels)
    assert measured["cross_entropy"] == pytest.approx(np.log(2) / 2) == measured["entropy"]
    assert measured["constant"] == pytest.approx((np.log(2) + np.log(4)) / 2)
    assert measured["clear"]["accuracy"] == 1 and measured["clear"]["photos"] == 1
    fewer = measure_votes(photos, Embeddings(np.arange(2), np.array([], int), {}, scores[:, 1:]), labels[1:])
    assert "cross_entropy" not in fewer


def test_a_photo_without_a_face_is_a_miss_of_the_clear_majorities():
    votes = [votes_for(anger=10)] * 2
    photos = Dataset.from_dict({"votes": votes, "expression": ["anger"] * 2})
    scores = np.array([[1.0] + [0.0] * 6])
    measured = measure_votes(photos, Embeddings(np.array([1]), np.array([0]), {}, scores), SEVEN)
    assert measured["clear"]["photos"] == 2 and measured["clear"]["accuracy"] == 0.5


def test_correlation_of_known_series():
    x = np.linspace(0, 1, 11)
    assert correlate(x, 0.5 * x + 0.2) == (pytest.approx(1), pytest.approx(0.5))
    assert correlate(x, -x) == (pytest.approx(-1), pytest.approx(-1))
    assert correlate(x, np.full(11, 0.3)) == (0, 0)


def test_blendshapes_that_a_label_tells_are_told_by_the_baseline_too():
    """The class tells the jaw, nothing tells the gaze."""
    random = np.random.default_rng(0)
    smiles = np.tile([0, 1], 60)
    gaze = random.normal(0, 10, 120)
    true = np.column_stack([0.6 * smiles, gaze, np.zeros(120)])
    read = np.column_stack([0.3 * smiles, gaze, np.zeros(120)])
    names = ["jawOpen", "gazeX", "cheekPuff"]
    found = compare_blendshapes(true, read, np.eye(2)[smiles], np.repeat(np.arange(12), 10), names, 4)
    model, baseline, mean = (found["systems"][name] for name in (MODEL, FROM_PROBABILITIES, MEAN))
    assert found["moving"] == ["jawOpen", "gazeX"]
    assert model["names"]["jawOpen"] == {
        "r": pytest.approx(1),
        "slope": pytest.approx(0.5),
        "error": pytest.approx(0.15),
    }
    assert model["r"] == pytest.approx(1) and model["slope"] == pytest.approx(0.75)
    assert baseline["names"]["jawOpen"]["r"] == pytest.approx(1) and abs(baseline["names"]["gazeX"]["r"]) < 0.3
    assert mean["r"] == 0 and mean["names"]["gazeX"]["error"] == pytest.approx(np.abs(gaze - gaze.mean()).mean())
    table = blendshape_table(found)
    assert "| gazeX |" in table and "°" in table and "cheekPuff" not in table


@pytest.mark.parametrize("faces", [0, 1, blendshapes.FEWEST_PHOTOS])
def test_too_few_faces_have_no_table_of_blendshapes(monkeypatch, faces):
    def read(*_, **__):
        if not faces:
            raise NoFaceFoundError("no face was found in any photo")
        return SimpleNamespace(
            rows=np.arange(faces), blendshapes=np.zeros((faces, 1)), probabilities=np.eye(faces, 7),
        )  # fmt: skip

    monkeypatch.setattr(blendshapes, "read_faces", read)
    random = np.random.default_rng(0)
    values = random.random((20, len(COLUMN_NAMES))).tolist()
    photos = Dataset.from_dict({"blendshapes": values, "identity": [""] * 20})
    pipe = SimpleNamespace(model=SimpleNamespace(config=SimpleNamespace(blendshape_names=["jawOpen"])))
    found = measure_blendshapes(pipe, photos, True, "a", 3)
    assert found == {} if faces < blendshapes.FEWEST_PHOTOS else found["photos"] == faces


def test_the_column_of_blendshapes_is_read_by_name_and_gaze_in_degrees():
    values = np.zeros(len(COLUMN_NAMES))
    values[COLUMN_NAMES.index("jawOpen")], values[COLUMN_NAMES.index("gazeY")] = 0.4, -0.5
    photos = Dataset.from_dict({"blendshapes": [values.tolist(), None]})
    read = true_blendshapes(photos, ["gazeY", "jawOpen"])
    assert read[0] == pytest.approx([-0.5 * GAZE_DEGREES, 0.4]) and np.isnan(read[1]).all()
    with pytest.raises(ValueError, match="tongueOut"):
        true_blendshapes(photos, ["tongueOut"])
    with pytest.raises(ValueError, match=r"row 0: .* must hold 53 values, not 2"):
        true_blendshapes(Dataset.from_dict({"blendshapes": [[0.0, 1.0]]}), ["jawOpen"])


def test_left_and_right_share_a_row():
    names = ["mouthSmileLeft", "mouthSmileRight", "jawLeft"]
    true = np.random.default_rng(0).random((40, 3))
    table = blendshape_table(compare_blendshapes(true, true, np.ones((40, 2)) / 2, np.arange(40), names, 4))
    assert "| mouthSmile (left / right) |" in table and "1.00 / 1.00" in table and "| jawLeft |" in table


def test_models_without_blendshapes_have_no_table(tmp_path):
    posed_people(tmp_path / "people.parquet")
    photos = load_photos(str(tmp_path / "people.parquet"))
    pipe = pipeline_of(tiny_model(blendshape_names=()))
    held_out = HeldOutSet("people", photos, DataSource("people", "", align=False), [])
    measured = Evaluation(pipe, tmp_path, Settings(folds=3, pairs=2, intensity_pairs=1)).run([held_out])["people"]
    assert "blendshapes" not in measured and "votes" not in measured
