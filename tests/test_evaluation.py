"""The measurements themselves, on cases with a known answer."""

import json
import sys

import numpy as np
import pytest
import torch
import yaml
from datasets import Dataset

from tergan_hf.data.framing import decode
from tergan_hf.data.loading import load_photos
from tergan_hf.evaluation import __main__ as command
from tergan_hf.evaluation.held_out import held_out_photos
from tergan_hf.evaluation.metrics import accuracy, confusion_matrix, expression_gain, recall_per_class
from tergan_hf.evaluation.transfer import draw_pairs, measure_gain

from .faces import photographed_people, repeatable_people


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
    assert accuracy(matrix) == pytest.approx(2 / 3)
    assert recall_per_class(matrix, ["a", "b", "c"]) == {"a": 0.5, "b": 1.0}


@pytest.fixture
def people(tmp_path):
    return load_photos(str(repeatable_people(tmp_path / "avatars.parquet")))


def test_pairs_are_of_different_people_and_their_truth_is_right(people):
    pairs = draw_pairs(people, 24)
    assert len(pairs) == 24
    for source, target, truth in pairs:
        assert people[source]["identity"] != people[target]["identity"] == people[truth]["identity"]
        assert people[source]["recipe"] == people[truth]["recipe"]
        assert truth != target
    shown = [people[source]["expression"] for source, _, _ in pairs]
    assert {shown.count(label) for label in set(shown)} == {6}


def test_pairs_need_shared_recipes():
    lonely = Dataset.from_dict({"identity": ["a", "b"], "recipe": [0, 1], "expression": ["anger", "fear"]})
    with pytest.raises(ValueError, match="share a recipe"):
        draw_pairs(lonely, 4)
    with pytest.raises(ValueError, match="recipes"):
        draw_pairs(Dataset.from_dict({"identity": ["a"], "recipe": [-1], "expression": ["anger"]}), 4)


class Perfect:
    """A pipeline that knows the truth, and one that hands the target back."""

    def __init__(self, truths=None):
        self.truths = iter(truths or [])

    def transfer(self, sources, targets, detect):
        return [next(self.truths, target) for target in targets]


def test_gain_tells_a_perfect_pipeline_from_a_lazy_one(people):
    pairs = draw_pairs(people, 8)
    truths = [decode(people[truth]["image"]) for _, _, truth in pairs]
    assert measure_gain(Perfect(truths), people, pairs, detect=False)[0]["all"] == 1
    assert measure_gain(Perfect(), people, pairs, detect=False)[0]["all"] == 0


@pytest.mark.parametrize("tiny_pipeline", ["photo"], indirect=True)
def test_the_command_measures_only_who_was_kept_out(tmp_path, tiny_pipeline, monkeypatch, capsys):
    repeatable_people(tmp_path / "avatars.parquet")
    photographed_people(tmp_path / "people")
    record = {
        "sources": [
            {"name": "avatars", "path": "avatars.parquet", "align": False},
            {"name": "people", "path": "people"},
        ],
        "kept_out": {"avatars": ["p1", "p2"], "people": ["london_014"]},
    }
    tiny_pipeline.model.save_pretrained(tmp_path / "weights")
    tiny_pipeline.image_processor.save_pretrained(tmp_path / "weights")
    (tmp_path / "weights" / "training.yaml").write_text(yaml.safe_dump(record))
    photos, _, _ = held_out_photos(tmp_path / "weights", tmp_path)["avatars"]
    assert set(photos["identity"]) == {"p1", "p2"}

    monkeypatch.setattr(command.TerGanPipeline, "from_pretrained", lambda *_: tiny_pipeline)
    arguments = ["--weights", tmp_path / "weights", "--data_root", tmp_path, "--output_dir", tmp_path / "out"]
    monkeypatch.setattr(sys, "argv", ["evaluation", *map(str, arguments), "--pairs", "4"])
    command.main()
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["avatars"]["photos"] == 8 and results["people"]["photos"] == 2
    assert -5 < results["avatars"]["expression_gain"]["crops"]["all"] < 1
    assert (tmp_path / "out" / "people_uses.png").is_file()
    assert "accuracy" in capsys.readouterr().out


def test_weights_without_a_record_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"training\.yaml"):
        held_out_photos(tmp_path, tmp_path)
