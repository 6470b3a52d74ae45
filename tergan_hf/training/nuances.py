"""What recipes change in a face beyond what f(e) tells, and where in f(e) there is room to tell it (ours, not in the
paper)."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from ..data.loading import NO_RECIPE
from ..data.sampling import Chips


SIDE = 64  # of the faces compared, in pixels
PHOTOS = 6000  # of a set, whole sittings
DAMPING = 1e-3  # of the ridge regression on activations, in their own scale
TOLD = 0.99  # of f(e)'s variance; what the rest of f(e) goes with is no more than a few photos' chance
FAINT = 0.005  # mean change, in half the range of grey levels, below which it is not magnified further
STRONGEST = 0.8  # standard deviation of the first nuance; f(e)'s numbers have about 1.3
MOST = 3.0  # standard deviations
LAST_LAYER_DAMPING = 0.05  # of the ridge regression on the layers before


class Nuances:
    """
    Room for nuances in f(e): directions in which the classifier does not look, and what recipes are to have there.

    Args:
        sets: photos with recipes.
        recipes: of each set, (R,). means: of each set, (R, 2, D), their f(e), straight and mirrored.
        classifier: on f(e). neutral: its class of that name.
        count: how many directions.

    Attributes:
        directions: (D, count), orthonormal. deviations: (count,), of what recipes have there. centre: (D,).

    Raises:
        ValueError: f(e) has no room for so many.
    """

    def __init__(
        self,
        sets: Sequence[Chips],
        recipes: Sequence[np.ndarray],
        means: Sequence[torch.Tensor],
        classifier: nn.Linear,
        neutral: int | None,
        count: int,
    ):
        together = torch.cat(list(means))
        weight, embeddings = (values.detach().cpu().double().numpy() for values in (classifier.weight, together))
        self.directions = torch.from_numpy(
            unseen_directions(weight, embeddings.reshape(-1, embeddings.shape[-1]), count)
        ).to(together)
        self.centre = together.mean((0, 1))
        changes = [mean_changes(chips, own, neutral) for chips, own in zip(sets, recipes)]
        untold = Untold(changes, [own.mean(1).cpu().double().numpy() for own in means], count)
        self.deviations = torch.from_numpy(untold.deviations).to(together)
        self._numbers = torch.from_numpy(np.concatenate(untold.numbers)).to(together)

    def added_to(self, means: torch.Tensor) -> torch.Tensor:
        """(R, 2, D), all sets', with nuances instead of what they have in these directions."""
        return means + (self._numbers[:, None] - self.read(means)) @ self.directions.T

    def read(self, embeddings: torch.Tensor) -> torch.Tensor:
        """(..., D) → (..., count)."""
        return (embeddings - self.centre) @ self.directions

    def split(self, differences: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Differences of f(e), (B, D), in its other directions (B, D), and of nuances: (B,), a share of their
        variance."""
        own = differences @ self.directions
        return differences - own @ self.directions.T, own.square().sum(1) / self.deviations.square().sum()

    @torch.no_grad()
    def teach_last_layer(self, layer: nn.Linear, features: torch.Tensor, wanted: torch.Tensor):
        """
        Let f(e)'s layer read nuances as well as a ridge regression can: gradient steps take hundreds to find that.

        Args:
            layer: changed in place. features: (N, in_features), its inputs. wanted: (N, D), f(e) with nuances.
        """
        features, numbers = features.double(), self.read(wanted).double()
        centre, spread = features.mean(0), features.std(0) + 1e-4
        design = (features - centre) / spread
        damping = LAST_LAYER_DAMPING * len(design) * torch.eye(design.shape[1]).to(design)
        middle = numbers.mean(0)
        slopes = torch.linalg.solve(design.T @ design + damping, design.T @ (numbers - middle)) / spread[:, None]
        offset = (middle - centre @ slopes).float() + self.centre @ self.directions
        layer.weight += self.directions @ (slopes.T.float() - self.directions.T @ layer.weight)
        layer.bias += self.directions @ (offset - self.directions.T @ layer.bias)


class Untold:
    """
    Numbers that say how the faces of a recipe differ from what its f(e) lets expect. f(e) was learnt to tell
    expressions apart, so that weaker and stronger ways to show one, a lower lid, a mouth just open are hardly in it.
    They are the leading principal components of the mean change of a face's grey pixels, less what a linear fit on
    f(e) explains, in proportion to the root of how much the recipe changes at all.

    Args:
        changes: for each set, (R, P), from `mean_changes`.
        embeddings: for each set, (R, D), the recipes' f(e), mirror images averaged.
        count: how many numbers.

    Attributes:
        numbers: for each set, (R, count), centred.
        deviations: (count,), about what their standard deviation over all sets is; the first is `STRONGEST`.
    """

    def __init__(self, changes: Sequence[np.ndarray], embeddings: Sequence[np.ndarray], count: int):
        untold = []
        for change, embedding in zip(changes, embeddings):
            strength = np.sqrt(np.sqrt(np.square(change).mean(1, keepdims=True)) + FAINT)
            untold.append(_unexplained(change, embedding) / strength)
        _, _, directions = np.linalg.svd(np.concatenate(untold), full_matrices=False)
        numbers = [own @ directions[:count].T for own in untold]
        spread = np.concatenate(numbers).std(0).clip(1e-9)
        self.deviations = STRONGEST * np.sqrt(spread / spread[0])
        self.numbers = [np.clip(own / spread, -MOST, MOST) * self.deviations for own in numbers]


def mean_changes(chips: Chips, recipes: np.ndarray, neutral: int | None = None) -> np.ndarray:
    """
    What recipes change in a face on average: a ridge regression of grey pixels on the muscles' activations or, where
    a set does not say them, on the recipes themselves, within sittings, whose people, light and background stay. Left
    and right are averaged: light tends to come from one side.

    Args:
        recipes: which. neutral: the class whose recipes count as no change.

    Returns:
        (R, SIDE²), in half the range of grey levels.
    """
    rows = _whole_sittings(chips)
    places = [int(np.flatnonzero(chips.recipes == recipe)[0]) for recipe in recipes]
    if chips.activations is None:
        drawn = (chips.recipes[rows, None] == recipes[None]).astype(float)
        asked = np.eye(len(recipes))
    else:
        drawn, asked = chips.activations[rows].astype(float), chips.activations[places]
    pixels = np.stack([_grey(chips, row) for row in rows])
    for scene in np.unique(chips.scenes[rows]):
        own = chips.scenes[rows] == scene
        drawn[own] -= drawn[own].mean(0)
        pixels[own] -= pixels[own].mean(0)
    damping = DAMPING * len(rows) * np.eye(drawn.shape[1])
    changes = asked @ np.linalg.solve(drawn.T @ drawn + damping, drawn.T @ pixels)
    still = chips.expressions[places] == neutral
    changes = changes - changes[still].mean(0) if still.any() else changes - changes.mean(0)
    mirrored = changes.reshape(-1, SIDE, SIDE)[:, :, ::-1].reshape(changes.shape)
    return (changes + mirrored) / 2


def unseen_directions(classifier: np.ndarray, embeddings: np.ndarray, count: int) -> np.ndarray:
    """
    Directions of f(e) in which the classifier does not look, those first in which f(e) varies least.

    Args:
        classifier: (num_labels, D), its weights. embeddings: (N, D). count: how many.

    Returns:
        (D, count), orthonormal.

    Raises:
        ValueError: there are not so many.
    """
    # Softmax does not see what all logits share.
    _, _, directions = np.linalg.svd(classifier - classifier.mean(0))
    unseen = directions[len(classifier) - 1 :].T
    if count > unseen.shape[1]:
        raise ValueError(f"f(e) has room for {unseen.shape[1]} nuances, not for {count}")
    _, order = np.linalg.eigh(unseen.T @ np.cov(embeddings.T) @ unseen)
    return unseen @ order[:, :count]


def _unexplained(change: np.ndarray, embedding: np.ndarray) -> np.ndarray:
    """What a linear fit on the leading components of f(e) leaves of the changes."""
    embedding = embedding - embedding.mean(0)
    components, values, _ = np.linalg.svd(embedding, full_matrices=False)
    leading = 1 + int(np.searchsorted(np.cumsum(values**2) / (values**2).sum(), TOLD))
    components = components[:, :leading]
    change = change - change.mean(0)
    return change - components @ (components.T @ change)


def _whole_sittings(chips: Chips) -> np.ndarray:
    """Rows with recipes, of as many sittings as have about `PHOTOS`."""
    rows = np.flatnonzero(chips.recipes != NO_RECIPE)
    scenes = np.random.default_rng(0).permutation(np.unique(chips.scenes[rows]))
    chosen = scenes[: max(1, round(len(scenes) * min(1.0, PHOTOS / len(rows))))]
    return rows[np.isin(chips.scenes[rows], chosen)]


def _grey(chips: Chips, row: int) -> np.ndarray:
    return chips.pixels(row, SIDE).float().mean(0).numpy().ravel() / 127.5
