"""What recipes change beyond what f(e) tells, and room in f(e) to tell it."""

import copy

import numpy as np
import pytest
import torch

from tergan_hf.data.crops import cut_crops, to_range
from tergan_hf.training.arguments import OptimizerArguments
from tergan_hf.training.consensus import Consensus
from tergan_hf.training.monitoring import aligned_crops
from tergan_hf.training.nuances import SIDE, Untold, mean_changes, unseen_directions

from .conftest import TINY
from .faces import label_files, loose_crops, repeatable_people


SIZE = TINY["image_size"]
RECIPES = 6


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    paths = {
        "fer": loose_crops(folder / "fer.parquet"),
        "people": repeatable_people(folder / "people.parquet", people=5, recipes=RECIPES),
    }
    return label_files(paths, SIZE)


@pytest.fixture
def classifier(tiny_expression_encoder):
    return torch.nn.Linear(tiny_expression_encoder.embedding.out_features, 7)


def test_a_recipe_changes_what_differs_from_the_other_recipes_in_the_same_face(sets):
    changes = mean_changes(sets[1], np.arange(RECIPES)).reshape(RECIPES, SIDE, SIDE)
    # Dark mouths reach from row 40 down, the further the higher the recipe's number.
    lower = changes[:, 52:56, 24:40].mean((1, 2))
    assert lower[0] - lower[-1] > 0.5
    assert np.abs(changes[:, :20]).max() < 0.05  # whose skin and background are whose does not matter
    np.testing.assert_allclose(changes, changes[:, :, ::-1], atol=1e-6)


def test_where_activations_are_known_changes_are_linear_in_them(sets):
    people = copy.copy(sets[1])
    people.activations = np.stack([people.recipes, np.zeros(len(people))], axis=1).astype(np.float32)
    people.expressions = np.where(people.recipes == 0, 4, 0)
    changes = mean_changes(people, np.arange(RECIPES), neutral=4)
    np.testing.assert_allclose(changes[0], 0, atol=1e-6)
    np.testing.assert_allclose(changes[2:], changes[1] * np.arange(2, RECIPES)[:, None], atol=1e-4)


def test_nuances_are_what_fe_does_not_tell():
    random = np.random.default_rng(0)
    told, untold = random.normal(size=(60, 3)), random.normal(size=(60, 1))
    patterns = random.normal(size=(4, 100))
    found = Untold([told @ patterns[:3] + 0.3 * untold @ patterns[3:]], [told], 1)
    assert abs(np.corrcoef(found.numbers[0][:, 0], untold[:, 0])[0, 1]) > 0.8
    assert np.abs(np.corrcoef(np.hstack([found.numbers[0], told]).T)[0, 1:]).max() < 0.3
    assert found.numbers[0].std() == pytest.approx(found.deviations[0], rel=0.1)


def test_the_classifier_does_not_see_the_directions():
    random = np.random.default_rng(0)
    classifier, embeddings = random.normal(size=(7, 12)), random.normal(size=(90, 12)) * np.linspace(0.1, 2, 12)
    directions = unseen_directions(classifier, embeddings, 4)
    np.testing.assert_allclose(directions.T @ directions, np.eye(4), atol=1e-9)
    logits = classifier @ directions
    np.testing.assert_allclose(logits, np.broadcast_to(logits.mean(0), logits.shape), atol=1e-9)
    varied = (embeddings @ directions).var(0)
    assert (np.diff(varied) > 0).all()
    with pytest.raises(ValueError, match="room for 6 nuances, not for 7"):
        unseen_directions(classifier, embeddings, 7)


def test_consensus_may_ask_for_nuances(sets, tiny_expression_encoder, classifier):
    plain, asked = Consensus(tiny_expression_encoder, sets), Consensus(tiny_expression_encoder, sets, 2, classifier)
    people, rows = sets[1], np.arange(len(sets[1]))
    batch = {"set": torch.ones(len(rows), dtype=torch.long), "recipe": torch.from_numpy(people.recipes)}
    crops = aligned_crops(people, rows, SIZE, "cpu")
    straight = torch.zeros(len(rows), dtype=torch.bool)
    former, (wanted, known) = plain.wanted(batch, crops, straight)[0], asked.wanted(batch, crops, straight)
    assert known.all()
    # Its directions have what was there before replaced; f(e) is else the same, and what it is classified as, too.
    directions = asked.nuances.directions
    others = torch.eye(len(directions)) - directions @ directions.T
    torch.testing.assert_close(wanted @ others, former @ others, atol=1e-4, rtol=0)
    with torch.no_grad():
        torch.testing.assert_close(classifier(wanted).softmax(1), classifier(former).softmax(1), atol=1e-4, rtol=0)
    assert ((wanted @ directions).std(0) > 0.1).all()

    # A regression begins to read them, and leaves the rest of f(e) as it was.
    begun = copy.deepcopy(tiny_expression_encoder)
    asked.begin(begun, as_aligned)
    with torch.no_grad():
        before, after = tiny_expression_encoder(crops), begun(crops)
    torch.testing.assert_close(after @ others, before @ others, atol=1e-3, rtol=0)
    missed = [float(asked.losses(read, wanted, known)["nuances"]) for read in (before, after)]
    assert missed[1] < 0.9 * missed[0]

    # Where nobody knows the recipe, any nuance will do.
    unknown = asked.losses(wanted + 3 * directions.sum(1), wanted, ~known)
    assert unknown["nuances"] == 0 and unknown["consensus"] < 1e-6
    assert asked.losses(wanted + 3 * directions.sum(1), wanted, known)["nuances"] > 0.1


def as_aligned(chips):
    """Crops as `aligned_crops` makes them of a set's chips."""
    return cut_crops(to_range(chips), torch.eye(2, 3).expand(len(chips), 2, 3), SIZE)


def test_nuances_are_part_of_consensus():
    with pytest.raises(ValueError, match=r"nuances \(3\) are part of consensus"):
        OptimizerArguments(nuances=3)
