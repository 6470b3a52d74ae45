"""Which photos make a pair for stage 2: at random, of the same person, or with an exact ground truth."""

from dataclasses import dataclass

import numpy as np

from .loading import NO_EXPRESSION_ID
from .photo_set import PhotoSet


@dataclass(frozen=True)
class Pair:
    """
    Row numbers of a pair.

    Args:
        source_set, source: x_s. target_set, target: x_t.
        truth: the row of x̄ in the target's set, `None` where nobody knows it.
    """

    source_set: int
    source: int
    target_set: int
    target: int
    truth: int | None = None


class PairSampler:
    """
    Draws pairs from sets whose people are known.

    Args:
        sets: their `pair_weight` says how often a target comes from each.
    """

    def __init__(self, sets: list[PhotoSet]):
        self.sets = sets
        weights = np.array([chips.pair_weight for chips in sets], float)
        self.weights = weights / weights.sum()
        self.by_expression = [rows_by_value(chips.expressions) for chips in sets]
        self.by_identity = [rows_by_value(chips.identities) for chips in sets]
        self.by_scene = [rows_by_value(chips.scenes) for chips in sets]
        self.by_expression_id = [rows_by_value(chips.expression_ids) for chips in sets]

    def draw(self, random: np.random.Generator, ground_truth_share: float) -> Pair:
        """A pair that has a ground truth with this probability: exact in a set with expression_ids, else of one person."""
        number = random.choice(len(self.sets), p=self.weights)
        target = random.integers(len(self.sets[number]))
        if random.random() >= ground_truth_share:
            return self.draw_random(random, number, target)
        if self.sets[number].expression_ids[target] != NO_EXPRESSION_ID:
            return self.draw_exact(random, number, target)
        return self.draw_same_identity(random, number, target)

    def draw_random(self, random: np.random.Generator, number: int, target: int) -> Pair:
        """The paper's: x_s from any set, every expression equally often; nobody knows x̄."""
        source_set = random.choice(len(self.sets), p=self.weights)
        rows = self.by_expression[source_set]
        return Pair(source_set, random.choice(rows[random.choice(list(rows))]), number, target)

    def draw_same_identity(self, random: np.random.Generator, number: int, target: int) -> Pair:
        """x_s is another photo of x_t's person and its own truth, nearly exact where pose and light agree."""
        same_person = self.by_identity[number][self.sets[number].identities[target]]
        others = same_person[same_person != target]
        source = random.choice(others if len(others) else same_person)
        return Pair(number, source, number, target, source)

    def draw_exact(self, random: np.random.Generator, number: int, target: int) -> Pair:
        """The truth is a photo of x_t's session, every expression equally often, and x_s a photo of anybody with the
        same expression_id."""
        chips = self.sets[number]
        rows = self.by_scene[number][chips.scenes[target]]
        expressions = chips.expressions[rows]
        truth = random.choice(rows[expressions == random.choice(np.unique(expressions))])
        return Pair(
            number, random.choice(self.by_expression_id[number][chips.expression_ids[truth]]), number, target, truth
        )


def rows_by_value(column: np.ndarray) -> dict[int, np.ndarray]:
    """Value → the rows that have it."""
    return {value: np.flatnonzero(column == value) for value in np.unique(column)}
