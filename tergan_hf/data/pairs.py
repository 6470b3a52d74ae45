"""Pairs of photos for stage 2: random, of the same person, or with an exact ground truth."""

from dataclasses import dataclass

import numpy as np

from .labels import UNLABELLED
from .loading import NO_EXPRESSION_ID
from .photo_set import PhotoSet
from .rarity import RowChoice, rarity_weights


@dataclass(frozen=True)
class Pair:
    """
    Row numbers of a pair.

    Args:
        source_set, source: number of the set and row of x_s.
        target_set, target: number of the set and row of x_t.
        truth: row of x̄ in the target's set, or `None` if it is unknown.
    """

    source_set: int
    source: int
    target_set: int
    target: int
    truth: int | None = None


class PairSampler:
    """
    Draw pairs from sets with known identities.

    Args:
        sets: the sets. Their `pair_weight` is how often a target comes from each.
        blendshape_balance: `balance` of `rarity_weights`, by which exact truths are drawn from a session.
    """

    def __init__(self, sets: list[PhotoSet], blendshape_balance: float = 0.0):
        self.sets = sets
        weights = np.array([photos.pair_weight for photos in sets], float)
        self.weights = weights / weights.sum()
        self.by_expression = [_rows_by_label(photos.expressions) for photos in sets]
        self.by_identity = [rows_by_value(photos.identities) for photos in sets]
        self.by_scene = [rows_by_value(photos.scenes) for photos in sets]
        self.draw_row = [RowChoice(rarity_weights(photos, blendshape_balance)) for photos in sets]
        self.by_expression_id = [rows_by_value(photos.expression_ids) for photos in sets]

    def draw(self, random: np.random.Generator, ground_truth_share: float) -> Pair:
        """Draw a pair, with this probability one with a ground truth: exact if the target has an `expression_id`,
        otherwise another photo of the same person."""
        number = random.choice(len(self.sets), p=self.weights)
        target = int(random.integers(len(self.sets[number])))
        if random.random() >= ground_truth_share:
            return self.draw_random(random, number, target)
        if self.sets[number].expression_ids[target] != NO_EXPRESSION_ID:
            return self.draw_exact(random, number, target)
        return self.draw_same_identity(random, number, target)

    def draw_random(self, random: np.random.Generator, number: int, target: int) -> Pair:
        """Draw the paper's pair: x_s from any set, every label of the set equally often, x̄ unknown."""
        source_set = random.choice(len(self.sets), p=self.weights)
        rows = self.by_expression[source_set]
        return Pair(source_set, random.choice(rows[random.choice(list(rows))]), number, target)

    def draw_same_identity(self, random: np.random.Generator, number: int, target: int) -> Pair:
        """Draw another photo of x_t's person as x_s and as the truth. It is nearly exact if pose and light agree. For
        the only photo of a person, draw a random pair: as its own truth it would teach to change nothing."""
        same_person = self.by_identity[number][self.sets[number].identities[target]]
        others = same_person[same_person != target]
        if not len(others):
            return self.draw_random(random, number, target)
        source = random.choice(others)
        return Pair(number, source, number, target, source)

    def draw_exact(self, random: np.random.Generator, number: int, target: int) -> Pair:
        """Draw the truth from x_t's session, and x_s from all photos of the set with the truth's `expression_id`."""
        photos = self.sets[number]
        truth = int(self.draw_row[number](random, self.by_scene[number][photos.scenes[target]]))
        source = random.choice(self.by_expression_id[number][photos.expression_ids[truth]])
        return Pair(number, source, number, target, truth)


def rows_by_value(column: np.ndarray) -> dict[int, np.ndarray]:
    """Group row numbers by value: value → its rows."""
    order = np.argsort(column, kind="stable")
    values, first = np.unique(column[order], return_index=True)
    return dict(zip(values, np.split(order, first[1:])))


def _rows_by_label(labels: np.ndarray) -> dict[int, np.ndarray]:
    """The same without photos that have no label, if others have one."""
    rows = rows_by_value(labels)
    return {label: own for label, own in rows.items() if label != UNLABELLED} or rows
