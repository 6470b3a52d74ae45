"""The model card has the numbers of the report, which belongs to the weights beside it."""

import json
import shutil

import pytest
import torch
import yaml
from huggingface_hub import ModelCard

from tergan_hf import TerGanModel
from tergan_hf.cli.model_card import main
from tergan_hf.data.known_sets import known_set
from tergan_hf.evaluation.digest import weights_digest
from tergan_hf.evaluation.suite import BASELINE
from tergan_hf.publishing.card import ReportMismatchError, build_card
from tergan_hf.publishing.card_examples import read_examples

from .conftest import WEIGHTS
from .tiny_models import pipeline_of, save_pipeline, tiny_model


PUBLISHED = [WEIGHTS, WEIGHTS.with_name("ter-gan-paper")]


def results_of(card: str) -> dict[tuple[str, str], float]:
    """(data set, name of the metric) → value, as the Hub reads the header."""
    found = ModelCard(card).data.eval_results or []
    return {(result.dataset_name, result.metric_name): result.metric_value for result in found}


@pytest.fixture
def trained(tmp_path):
    """A folder with the weights of a user's own run and a small report."""
    save_pipeline(pipeline_of(tiny_model()), tmp_path)
    sources = [{"name": "mine", "path": "my_faces"}]
    record = {"preset": "photo", "sources": sources, "kept_out": {"mine": ["a", "b"]}}
    (tmp_path / "training.yaml").write_text(yaml.safe_dump(record))
    recall = {"anger": 0.5, "happiness": 0.75}
    row = {"mean": 0.6, "deviation": 0.1, "calibration_error": 0.1, "recall": recall}
    report = {
        "model": {"sha256": weights_digest(tmp_path), "parameters": 1e6, "freeze_expression_encoder": True},
        "command": "python -m tergan_hf.evaluate", "unavailable": {"LPIPS": "no network"},
        "cost": {"minutes": 1, "processor_minutes": 1, "peak_memory_gib": 1, "device": "cpu"},
        "sets": {"mine": {
            "people": 2, "photos": 8,
            "recognition": {"photos": 8, "accuracy": 0.625, "majority": 0.5, "recall": recall,
                            "calibration_error": 0.2},
            "cross_validation": {"count": 2, "by": "people", "majority": 0.5, "baseline": "the same network",
                                 "rows": {"f(e)": row}},
            "groups": {"gender": {"female": {"people": 2, "accuracy": 0.6}}},
            "trained_on": {"people": 40, "gender": {"male": 39, "female": 1}},
        }},
    }  # fmt: skip
    (tmp_path / "report.json").write_text(json.dumps(report))
    return tmp_path


def test_numbers_licences_and_scarce_groups_come_from_the_files(trained):
    card = build_card(trained)
    assert results_of(card)["mine, mine, kept out of training", "accuracy"] == 0.625
    assert "**62.5%**" in card and "60.0 ± 10.0" in card and "most frequent label" in card
    assert "**not recorded**" in card  # the licence of a set that is not known
    assert "female (mine: 1 of 40 people)" in card
    assert ModelCard(card).data.license == "apache-2.0"
    assert "reads 53 blendshapes" in card


def test_a_frozen_encoder_has_no_baseline_beside_it(trained):
    """The report's CNN baseline was the network itself, rounded."""
    report = json.loads((trained / "report.json").read_text())
    measured, code = report["sets"]["mine"], {"accuracy": 0.5, "information": 0.2}
    measured["cross_validation"] |= {"baseline": BASELINE}
    measured["cross_validation"]["rows"][BASELINE] = {**measured["cross_validation"]["rows"]["f(e)"], "mean": 0.61}
    factor = {"values": 2, "chance": 0.5, "expression": code, "identity": code, BASELINE: code}
    measured["disentanglement"] = {"expression": factor, "identity": factor, "gap": 0.1}
    (trained / "report.json").write_text(json.dumps(report))
    assert "61.0 ± 10.0" in build_card(trained) and "| f(i) | CNN baseline |" in build_card(trained)
    record = yaml.safe_load((trained / "training.yaml").read_text())
    (trained / "training.yaml").write_text(yaml.safe_dump({**record, "freeze_expression_encoder": True}))
    card = build_card(trained)
    assert "61.0 ± 10.0" not in card and "| CNN baseline |" not in card
    assert "stage 2 left G_es as stage 1 made it" in card and "another network" not in card


def test_sets_share_the_card(trained):
    """A set of one person or label has no folds. Editing of each set has a table of its own."""
    report = json.loads((trained / "report.json").read_text())
    row = {"cosine": 0.9, "lowest": 0.8, "judged": 0.7}
    edited = {"systems": {"TER-GAN": {"all": row, "anger": row}}, "real": {}, "by_group": {}}
    strangers = {"TER-GAN": {"judged": 0.6, "to_target": 0.5, "to_source": 0.1}}
    sets = {}
    for name, cosine in (("first", 0.91), ("second", 0.72)):
        row = {**row, "cosine": cosine}
        sets[name] = {
            **report["sets"]["mine"], "editing": {**edited, "systems": {"TER-GAN": {"all": row, "anger": row}}},
            "strangers": {"TER-GAN": {**strangers["TER-GAN"], "to_target": cosine}},
            "judge_ceiling": {"anger": {"judged": cosine, "photos": 9}},
        }  # fmt: skip
    sets["first"]["cross_validation"] = {}
    (trained / "report.json").write_text(json.dumps({**report, "sets": sets}))
    card = build_card(trained)
    for needed in ("0.910", "0.720", "anger 91%", "anger 72%", "(first, second)", "is this very network"):
        assert needed in card
    assert card.count("**first**") == card.count("**second**") >= 3
    (trained / "report.json").write_text(json.dumps({**report, "sets": {"first": sets["first"]}}))
    assert "CNN baseline" not in build_card(trained)


def test_a_test_split_is_one_of_its_source(trained):
    record = yaml.safe_load((trained / "training.yaml").read_text())
    record["sources"] = [{"name": "fer2013", "path": "fer2013_blendshapes"}]
    (trained / "training.yaml").write_text(yaml.safe_dump(record))
    report = json.loads((trained / "report.json").read_text())
    measured = report["sets"].pop("mine")
    report["sets"] = dict.fromkeys(("fer2013", "fer2013_test", "fer2013_private_test", "other_test"), measured)
    (trained / "report.json").write_text(json.dumps(report))
    results = ModelCard(build_card(trained)).data.eval_results
    found = {result.dataset_name.split(", ")[-2]: (result.dataset_type, result.dataset_split) for result in results}
    assert found == {
        "fer2013": ("fer2013", "validation"), "fer2013_test": ("fer2013", "test"),
        "fer2013_private_test": ("fer2013", "private_test"), "other_test": ("other_test", "validation"),
    }  # fmt: skip


def test_votes_and_blendshapes_have_tables_where_they_were_measured(trained):
    assert "people's votes" not in build_card(trained) and "### Blendshapes" not in build_card(trained)
    report = json.loads((trained / "report.json").read_text())
    measured = report["sets"]["mine"]
    summary = {"accuracy": 0.75, "balanced_accuracy": 0.7, "recall": {"anger": 0.5}, "calibration_error": 0.02}
    measured["recognition"] |= {"balanced_accuracy": 0.6}
    measured["votes"] = {"clear": {"photos": 5, **summary}, "cross_entropy": 1.1, "constant": 1.6, "entropy": 0.7}
    measured["original_labels"] = {
        "fitted_on": 90, "rows": {"f(e)": {**summary, "accuracy": 0.71}, "pixels": {**summary, "accuracy": 0.31}},
        "own_classifier": 0.64, "majority": 0.26,
    }  # fmt: skip
    read = {"r": 0.91, "slope": 0.8, "names": {"gazeX": {"r": 0.91, "slope": 0.8, "error": 2.25}}}
    mean = {"r": 0.0, "slope": 0.0, "names": {"gazeX": {"r": 0.0, "slope": 0.0, "error": 7.5}}}
    measured["blendshapes"] = {
        "photos": 8, "moving": ["gazeX"], "deviation": {"gazeX": 9.5},
        "systems": {"TER-GAN": read, "linear fit from the class probabilities": mean, "the mean": mean},
    }  # fmt: skip
    (trained / "report.json").write_text(json.dumps(report))
    card = " ".join(build_card(trained).split())
    assert "| FER+, clear majority | 5 | **75.0%** | 70.0% |" in card and "**1.100** nats" in card
    assert "f(e) | 8 | **71.0%** |" in card and "31.0%" in card and "64.0%" in card
    assert "| gazeX | 9.5° | 0.91 | 0.80 | 2.2° | 7.5° | 0.00 | 0.00 |" in card
    results = results_of(build_card(trained))
    own = "mine, mine, kept out of training"
    assert results[own, "accuracy on clear majorities of the votes"] == 0.75
    assert results[own, "blendshapes that move, mean Pearson's r"] == 0.91


def test_a_card_without_a_report_promises_nothing(trained):
    (trained / "report.json").unlink()
    card = build_card(trained)
    assert "have not been evaluated" in card and not results_of(card) and "%" not in card.split("## Results")[1]


def test_a_report_of_other_weights_is_refused(trained):
    with torch.no_grad():
        other = TerGanModel.from_pretrained(trained)
        other.classifier.bias += 1
    other.save_pretrained(trained)
    with pytest.raises(ReportMismatchError, match=r"evaluate again"):
        build_card(trained)
    with pytest.raises(SystemExit, match="other weights"):
        main([str(trained)])


def test_footnotes_come_from_the_notes_beside_the_weights(trained):
    assert "¹" not in build_card(trained)
    (trained / "notes.yaml").write_text(yaml.safe_dump({"mine": "Taken in bad light.", "other": "Not measured."}))
    card = build_card(trained)
    assert "| mine ¹ |" in card and "| mine ¹, 2 folds of people |" in card
    assert "¹ Taken in bad light." in card and "Not measured." not in card


def test_the_card_says_what_photos_of_fer2013_trained(trained):
    record = yaml.safe_load((trained / "training.yaml").read_text())
    record["sources"].append({"name": "fer2013", "path": "fer2013_blendshapes"})
    (trained / "training.yaml").write_text(yaml.safe_dump(record))
    card = " ".join(build_card(trained).split())
    assert "ten people's votes" in card
    assert "Its photos were used to train recognition." in card and "None of its faces is shown." in card


def test_the_card_says_which_numbers_use_test_time_augmentation(trained):
    assert "use test-time augmentation" in build_card(trained)


def test_a_report_of_other_weights_leaves_the_files_as_they_are(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation")
    before = (trained / "report.json").read_text()
    other = json.loads(before)
    other["model"]["sha256"] = "0" * 64
    (folder / "report.json").write_text(json.dumps(other))
    with pytest.raises(SystemExit, match="other weights"):
        main([str(trained), "--report", str(folder)])
    assert (trained / "report.json").read_text() == before and not (trained / "README.md").exists()
    with pytest.raises(SystemExit, match=r"report\.json is missing"):
        main([str(trained), "--report", str(folder / "nothing")])
    with pytest.raises(SystemExit, match=r"config\.json is missing"):
        main([str(folder)])


def test_the_command_takes_a_report_and_writes_the_card(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation")
    shutil.move(trained / "report.json", folder / "report.json")
    main([str(trained), "--report", str(folder)])
    assert (trained / "README.md").read_text() == build_card(trained)
    assert results_of((trained / "README.md").read_text())


@pytest.mark.parametrize("weights", PUBLISHED, ids=lambda weights: weights.name)
def test_the_published_cards_are_up_to_date(weights):
    assert (weights / "README.md").read_text() == build_card(weights), f"run python -m tergan_hf.model_card {weights}"
    report = json.loads((weights / "report.json").read_text())
    found = results_of((weights / "README.md").read_text())
    accuracies = {measured["recognition"]["accuracy"] for measured in report["sets"].values()}
    assert {round(value, 4) for value in accuracies} <= set(found.values())


def test_the_published_card_has_examples():
    assert read_examples(WEIGHTS).widget, "run python -m tergan_hf.model_card --examples"


@pytest.mark.parametrize("weights", PUBLISHED, ids=lambda weights: weights.name)
def test_every_set_of_the_published_weights_has_a_licence(weights):
    record = yaml.safe_load((weights / "training.yaml").read_text())
    for source in record["sources"]:
        assert known_set(source["path"]) is not None, f"describe {source['path']} in tergan_hf/data/known_sets.py"
