"""f(e) on which all who show an expression agree."""

import copy

import numpy as np
import pytest
import torch

from tergan_hf.data.framing import chip_size
from tergan_hf.data.loading import DataSource
from tergan_hf.data.sampling import BalancedPhotos
from tergan_hf.training.arguments import OptimizerArguments, TrainingArguments
from tergan_hf.training.consensus import Consensus
from tergan_hf.training.finalize import embed_expressions
from tergan_hf.training.monitoring import aligned_crops

from .conftest import TINY
from .faces import label_files, loose_crops, repeatable_people


SIZE = TINY["image_size"]


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    paths = {"fer": loose_crops(folder / "fer.parquet"), "people": repeatable_people(folder / "people.parquet")}
    return label_files(paths, SIZE)


def everybody(sets):
    """Every photo of the sets: what `BalancedPhotos` says of it, and its crop."""
    batch = {
        "set": torch.cat([torch.full((len(chips),), place) for place, chips in enumerate(sets)]),
        "recipe": torch.cat([torch.from_numpy(chips.recipes) for chips in sets]),
    }
    return batch, torch.cat([aligned_crops(chips, np.arange(len(chips)), SIZE, "cpu") for chips in sets])


def test_an_item_says_which_set_and_recipe_it_is_of(sets):
    side = chip_size(SIZE)
    for item in map(BalancedPhotos(sets, 20, side).__getitem__, range(20)):
        chips = sets[item["set"]]
        rows = np.flatnonzero(chips.recipes == item["recipe"])
        assert any(torch.equal(item["chip"], chips.pixels(row, side)) for row in rows)


def test_all_with_a_recipe_are_to_be_read_alike_and_others_as_they_are(sets, tiny_expression_encoder):
    batch, crops = everybody(sets)
    consensus = Consensus(tiny_expression_encoder, sets)
    loose, people = sets
    read = embed_expressions(tiny_expression_encoder, people, np.arange(len(people)), mirrored=True).unflatten(
        0, (-1, 2)
    )
    for side, mirrored in enumerate(
        (torch.zeros(len(crops), dtype=torch.bool), torch.ones(len(crops), dtype=torch.bool))
    ):
        shown = crops.flip(3) if side else crops
        wanted, known = consensus.wanted(batch, shown, mirrored)
        assert known.tolist() == [False] * len(loose) + [True] * len(people)
        with torch.no_grad():
            torch.testing.assert_close(wanted[: len(loose)], tiny_expression_encoder(shown[: len(loose)]))
        for recipe in range(4):
            rows = np.flatnonzero(people.recipes == recipe)
            expected = read[rows, side].mean(0).expand(len(rows), -1)
            torch.testing.assert_close(wanted[len(loose) + rows], expected)
    assert (read[:, 0] - read[:, 1]).abs().max() > 0.01  # or mirror images would not show


def test_people_come_to_agree(sets, tiny_expression_encoder):
    batch, crops = everybody(sets)
    straight = torch.zeros(len(crops), dtype=torch.bool)
    consensus = Consensus(tiny_expression_encoder, sets)
    wanted, known = consensus.wanted(batch, crops, straight)
    student = copy.deepcopy(tiny_expression_encoder)
    optimizer = torch.optim.Adam(student.parameters(), 2e-3)
    for _ in range(60):
        loss = consensus.losses(student(crops), wanted, known)["consensus"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def disagreement(read):
        own = read[len(sets[0]) :]
        return torch.stack([own[sets[1].recipes == recipe].var(0).sum() for recipe in range(4)]).mean()

    with torch.no_grad():
        before, after = tiny_expression_encoder(crops), student(crops)
    assert disagreement(after) < 0.5 * disagreement(before)
    loose = slice(0, len(sets[0]))
    assert (after[loose] - before[loose]).square().sum() < 0.2 * (before[loose] - before[loose].mean(0)).square().sum()


def test_consensus_needs_recipes_and_a_model_that_has_learnt(sets, tiny_expression_encoder):
    with pytest.raises(ValueError, match="recipes"):
        Consensus(tiny_expression_encoder, sets[:1])
    with pytest.raises(ValueError, match="name it in 'pretrained'"):
        TrainingArguments(sources=[DataSource("set", "folder")], expression_stage=OptimizerArguments(consensus=1.0))
    with pytest.raises(ValueError, match=r"consensus must be between 0 and 1, not 1\.5"):
        OptimizerArguments(consensus=1.5)
