"""What a training step sees: balanced single photos (stage 1) and balanced pairs (stage 2).

Both data sets draw by index: item i is the same on every machine and in every process, whatever was drawn before, so
that shards, workers and resumed runs need no shared random state.
"""

from dataclasses import dataclass

import numpy as np
import torch
from datasets import Dataset as PhotoDataset
from torch.utils.data import Dataset

from ..face_alignment_tergan import compose_framings, invert_framing
from .framing import decode
from .loading import NO_IDENTITY, NO_RECIPE


@dataclass
class Chips:
    """
    One framed set of photos with numeric labels.

    Args:
        photos: as `frame_photos` gives them.
        expressions: (N,) class indices.
        identities: (N,) indices over all sets together, -1 where there is none.
        recipes: (N,) exact expressions, -1 where there is none.
        weight: how often stage 1 draws from it; pair_weight: how often stage 2 draws a target from it.
    """

    name: str
    photos: PhotoDataset
    expressions: np.ndarray
    identities: np.ndarray
    recipes: np.ndarray
    framings: np.ndarray
    weight: float = 1.0
    pair_weight: float = 1.0

    def __len__(self) -> int:
        return len(self.photos)

    @property
    def has_identities(self) -> bool:
        """Whether its people are known: only such sets serve G_et and stage 2."""
        return bool((self.identities >= 0).all())

    def pixels(self, row: int) -> torch.Tensor:
        """(3, H, H) uint8 chip."""
        return torch.from_numpy(np.array(decode(self.photos[int(row)]["image"]))).permute(2, 0, 1)


def label_chips(
    framed: dict[str, PhotoDataset], expressions: list[str], weights: dict[str, tuple[float, float]] | None = None
) -> tuple[list[Chips], list[str]]:
    """
    Number the labels of several framed sets.

    Args:
        framed: name → framed photos.
        expressions: labels in the order of the classes. Photos with another label raise.
        weights: name → (weight, pair_weight).

    Returns:
        the sets, and the names of all identities in the order of their indices, `set/identity`.

    Raises:
        ValueError: an expression that is not one of the labels.
    """
    class_of = {label: index for index, label in enumerate(expressions)}
    identities: dict[str, int] = {}
    sets = []
    for name, photos in framed.items():
        labels = list(photos["expression"])
        unknown = sorted(set(labels) - set(class_of))
        if unknown:
            raise ValueError(f"{name}: unknown expressions {unknown}; the model has {expressions}")
        rows = [
            identities.setdefault(f"{name}/{identity}", len(identities)) if identity != NO_IDENTITY else -1
            for identity in photos["identity"]
        ]
        weight, pair_weight = (weights or {}).get(name, (1.0, 1.0))
        sets.append(
            Chips(
                name=name,
                photos=photos,
                expressions=np.array([class_of[label] for label in labels]),
                identities=np.array(rows),
                recipes=np.array(photos["recipe"]),
                framings=np.array(photos.with_format("numpy")["framing"][:]),
                weight=weight,
                pair_weight=pair_weight,
            )
        )
    return sets, list(identities)


def _rows_by_value(column: np.ndarray) -> dict[int, np.ndarray]:
    return {value: np.flatnonzero(column == value) for value in np.unique(column)}


class _DrawnDataset(Dataset):
    """Items drawn anew for each (seed, index); a stage is one long pass over one of these."""

    def __init__(self, length: int, seed: int):
        self.length, self.seed = length, seed

    def __len__(self) -> int:
        return self.length

    def random(self, index: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, index))


class BalancedPhotos(_DrawnDataset):
    """
    Single photos with every expression equally often, whatever their numbers in the sets.

    An item draws a set by weight (among those that have the class), then a photo of the class. Give
    `balance="identities"` to draw people equally often instead.

    Items: `chip` (3, H, H) uint8, `expression` and `identity` int64.
    """

    def __init__(self, sets: list[Chips], length: int, seed: int = 0, balance: str = "expressions"):
        super().__init__(length, seed)
        if not sets:
            raise ValueError("no set of photos to draw from")
        self.sets = sets
        keys = [getattr(chips, balance) for chips in sets]
        self.classes = np.unique(np.concatenate(keys))
        self.rows = [_rows_by_value(column) for column in keys]

    def __getitem__(self, index: int) -> dict:
        random = self.random(index)
        key = random.choice(self.classes)
        having = [number for number, rows in enumerate(self.rows) if key in rows]
        weights = np.array([self.sets[number].weight for number in having])
        number = random.choice(having, p=weights / weights.sum())
        row = random.choice(self.rows[number][key])
        chips = self.sets[number]
        return {
            "chip": chips.pixels(row),
            "expression": int(chips.expressions[row]),
            "identity": int(chips.identities[row]),
        }


class ExpressionPairs(_DrawnDataset):
    """
    Pairs (x_s, x_t) for stage 2, x_s with every expression equally often.

    A pair without ground truth is the paper's: x_s and x_t at random. A pair with one knows the true x̄. In a set with
    recipes, x_s is anybody's photo and the truth is x_t's person with the recipe of x_s, exact. In a set without, x_s
    is another photo of x_t's person and its own truth, nearly exact where pose and light agree.

    Args:
        sets: those without identities are passed over.
        length: number of items.
        ground_truth_share: how many pairs have a ground truth.

    Items: `source`, `target`, `truth` (3, H, H) uint8 chips; `registration` (2, 3), from the target's framing to the
    coordinates of the truth's chip, [-1, 1] over the crop; `has_truth` bool; `source_expression`,
    `target_identity` int64.
    """

    def __init__(self, sets: list[Chips], length: int, seed: int = 0, ground_truth_share: float = 0.0):
        super().__init__(length, seed)
        self.sets = [chips for chips in sets if chips.has_identities]
        if not self.sets:
            raise ValueError("stage 2 needs a set of photos with identities")
        weights = np.array([chips.pair_weight for chips in self.sets], float)
        self.weights = weights / weights.sum()
        self.ground_truth_share = ground_truth_share
        self.by_expression = [_rows_by_value(chips.expressions) for chips in self.sets]
        self.by_identity = [_rows_by_value(chips.identities) for chips in self.sets]
        self.row_of = [
            {(i, r): row for row, (i, r) in enumerate(zip(chips.identities, chips.recipes)) if r != NO_RECIPE}
            for chips in self.sets
        ]

    def __getitem__(self, index: int) -> dict:
        random = self.random(index)
        number = random.choice(len(self.sets), p=self.weights)
        chips, truth = self.sets[number], None
        target = random.integers(len(chips))
        source_number, source = number, None
        if random.random() < self.ground_truth_share:
            if self.row_of[number]:
                source = self._balanced(number, random)
                truth = self.row_of[number].get((chips.identities[target], chips.recipes[source]))
            else:
                same_person = self.by_identity[number][chips.identities[target]]
                others = same_person[same_person != target]
                source = truth = random.choice(others if len(others) else same_person)
        else:
            source_number = random.choice(len(self.sets), p=self.weights)
            source = self._balanced(source_number, random)
        target_pixels = chips.pixels(target)
        return {
            "source": self.sets[source_number].pixels(source),
            "target": target_pixels,
            "truth": target_pixels if truth is None else chips.pixels(truth),
            "registration": self._registration(chips, target, truth),
            "has_truth": truth is not None,
            "source_expression": int(self.sets[source_number].expressions[source]),
            "target_identity": int(chips.identities[target]),
        }

    def _balanced(self, number: int, random: np.random.Generator) -> int:
        rows = self.by_expression[number]
        return random.choice(rows[random.choice(list(rows))])

    @staticmethod
    def _registration(chips: Chips, target: int, truth: int | None) -> torch.Tensor:
        """Rendered people stand still between expressions, so their truth is cut with the target's framing. Between
        two photographs people move: there the truth keeps its own."""
        if truth is None or chips.recipes[truth] == NO_RECIPE:
            return torch.eye(2, 3)
        unit = compose_framings(chips.framings[truth], invert_framing(chips.framings[target]))
        to_unit, from_unit = np.array([[0.5, 0, 0.5], [0, 0.5, 0.5]]), np.array([[2.0, 0, -1], [0, 2, -1]])
        return torch.from_numpy(compose_framings(from_unit, compose_framings(unit, to_unit))).float()
