"""Metrics on cases with a known answer."""

import urllib.error

import numpy as np
import pytest
import torch
from datasets import Dataset

from tergan_hf.data.ground_truth import expression_gain
from tergan_hf.evaluation import perceptual
from tergan_hf.evaluation.disentanglement import probe
from tergan_hf.evaluation.groups import count_groups, means_by_group
from tergan_hf.evaluation.metrics import (
    HIGHEST_PSNR,
    calibration_error,
    confusion_matrix,
    progress,
    psnr,
)
from tergan_hf.evaluation.perceptual import PerceptualMetrics
from tergan_hf.evaluation.recognition import cross_validate, folds


def test_expression_gain_of_known_results():
    truth, target = torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)
    assert expression_gain(truth, target, truth).item() == 1
    assert expression_gain(target, target, truth).item() == 0
    assert expression_gain(truth + 0.5, target, truth).item() == pytest.approx(0.5)
    assert expression_gain(truth + 2, target, truth).item() == pytest.approx(-1)
    assert torch.isnan(expression_gain(target, target, target)).item()
    assert expression_gain(np.full((2, 2), 5, np.uint8), np.full((2, 2), 9, np.uint8), np.full((2, 2), 1, np.uint8))[
        0
    ].item() == pytest.approx(0.5)


def test_confusion_counts():
    matrix = confusion_matrix(["a", "a", "b"], ["a", "b", "b"], ["a", "b", "c"])
    assert matrix.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_psnr_calibration_and_progress_of_known_results():
    black, white = np.zeros((1, 4, 4, 3), np.uint8), np.full((1, 4, 4, 3), 255, np.uint8)
    assert psnr(white, black).item() == pytest.approx(0)
    assert psnr(black + 51, black).item() == pytest.approx(20 * np.log10(5))
    assert psnr(black, black).item() == HIGHEST_PSNR
    right = np.array([True] * 8 + [False] * 2)
    assert calibration_error(np.full(10, 0.8), right) == pytest.approx(0)
    assert calibration_error(np.full(10, 1.0), right) == pytest.approx(0.2)
    assert progress(black + 102, black, white).item() == pytest.approx(0.4)
    assert progress(black, black, white).item() == 0
    assert np.isnan(progress(white, black, black)).all()


def test_folds_never_share_a_person():
    people = np.repeat([f"p{number}" for number in range(10)], 3)
    for train, test in folds(people, 8):
        assert not set(people[train]) & set(people[test])
    assert len(folds(people, 20)) == 10
    with pytest.raises(ValueError, match="two groups"):
        folds(["one"] * 4, 8)


def test_a_classifier_that_knows_only_people_is_at_chance_on_new_people():
    random = np.random.default_rng(0)
    people = np.repeat(np.arange(24), 6)
    expressions = np.tile(np.array(["anger", "fear", "happiness"]), 48)
    identity_features, expression_features = np.eye(24)[people], np.eye(3)[np.tile([0, 1, 2], 48)]
    noise = 0.1 * random.standard_normal((144, 24))
    blind = cross_validate(identity_features + noise, expressions, people)
    seeing = cross_validate(expression_features + noise[:, :3], expressions, people)
    assert len(blind["folds"]) == 8 and blind["mean"] < 0.5
    assert seeing["mean"] == 1 and seeing["deviation"] == 0
    assert np.sum(seeing["confusion"]) == 144
    # If each person shows one expression, identity predicts it in training, but not for new people.
    personal = np.array(["anger", "fear", "happiness"])[people % 3]
    assert cross_validate(identity_features + noise, personal, people)["mean"] < 0.5


def test_photos_without_features_count_as_wrong():
    expressions, people = np.tile(["anger", "fear"], 12), np.repeat(np.arange(6), 4)
    features = np.eye(2)[np.tile([0, 1], 12)]
    rows = np.flatnonzero(people != 0)  # no face of this person was found
    found = cross_validate(features[rows], expressions, people, 6, rows)
    assert sorted(found["folds"]) == [0, 1, 1, 1, 1, 1] and found["recall"] == {"anger": 5 / 6, "fear": 5 / 6}
    assert found["calibration_error"] < 0.1 and np.sum(found["confusion"]) == 20  # of the answers
    only = np.flatnonzero(people == 5)  # all faces that were found are in one fold
    assert cross_validate(features[only], expressions, people, 2, only)["mean"] == 0


def test_probes_separate_right_swapped_and_empty_codes():
    random = np.random.default_rng(0)
    people, expressions = np.repeat(np.arange(8), 12), np.tile(np.arange(4), 24)
    expression_ids = np.tile(np.arange(12), 8)
    noise = 0.05 * random.standard_normal((96, 8))
    expression, identity = np.eye(8)[expressions] + noise, np.eye(8)[people] + noise
    right = probe({"expression": expression, "identity": identity}, expressions, people, expression_ids)
    swapped = probe({"expression": identity, "identity": expression}, expressions, people, expression_ids, count=2)
    empty = probe({"expression": noise, "identity": noise}, expressions, people, expression_ids, count=2)
    assert right["gap"] > 0.9 and swapped["gap"] < -0.9 and abs(empty["gap"]) < 0.1
    assert right["expression"]["expression"]["accuracy"] == right["identity"]["identity"]["accuracy"] == 1
    assert right["identity"]["expression"]["accuracy"] < 0.3 and right["identity"]["chance"] == 1 / 8
    assert right["expression_of_new_ids"]["expression"]["accuracy"] == 1
    assert abs(empty["identity"]["expression"]["information"]) < 0.15


def test_missing_perceptual_metrics_have_a_reason(monkeypatch):
    def unreachable():
        raise urllib.error.URLError("no network")

    class Distance(torch.nn.Module):
        def forward(self, generated, real):
            return (generated - real).abs().mean()

    monkeypatch.setattr(perceptual, "_load_kid", unreachable)
    monkeypatch.setattr(perceptual, "_load_lpips", Distance)
    metrics = PerceptualMetrics()
    assert list(metrics.unavailable) == ["KID"] and "no network" in metrics.unavailable["KID"]
    metrics.start("a")
    metrics.update("a", np.zeros((2, 4, 4, 3), np.uint8), np.full((2, 4, 4, 3), 255, np.uint8))
    assert metrics.compute("a") == {"lpips": pytest.approx(2)}
    assert metrics.compute("the truth") == {}


def test_people_count_in_every_group_of_their_heads():
    photos = Dataset.from_dict({
        "identity": ["a", "a", "b", "c"], "heads": ["White_F_1", "White_F_1", "X_AIAN_M_1+White_M_2", "Black_F_2"],
        "age": ["24", "24", "40", ""],
    })  # fmt: skip
    assert count_groups(photos) == {
        "age": {"under 25": 1, "35 and older": 1, "not given": 1},
        "ethnicity": {"White": 2, "AIAN": 1, "Black": 1},
        "gender": {"female": 2, "male": 1},
    }


def test_means_by_group_need_no_number_of_everybody():
    photos = Dataset.from_dict({"identity": ["a", "b", "c", "d"], "gender": ["female"] * 3 + ["male"]})
    by_person = {
        "a": {"cosine": 0.8, "lowest": 0.5},
        "b": {},
        "c": {"cosine": 0.6, "lowest": 0.1, "judged": 1.0},
        "d": {},
    }
    assert means_by_group(photos, by_person) == {
        "gender": {"female": {"people": 2, "cosine": pytest.approx(0.7), "lowest": 0.1, "judged": 1.0}}
    }
