"""What a training step sees: balanced single photos (stage 1) and balanced pairs (stage 2).

Both data sets draw by index: item i is the same on every machine and in every process, whatever was drawn before, so
that shards, workers and resumed runs need no shared random state.
"""

import numpy as np
import torch
from torch.utils.data import Dataset

from ..model.errors_tergan import InvalidInputError
from ..model.face_alignment_tergan import compose_transforms, invert_transform, whole_image_transform
from .loading import NO_EXPRESSION_ID
from .pairs import PairSampler, rows_by_value
from .photo_set import PhotoSet, common_flow_map_shape


TO_UNIT = np.array([[0.5, 0, 0.5], [0, 0.5, 0.5]])  # [-1, 1] → [0, 1]
FROM_UNIT = np.array([[2.0, 0, -1], [0, 2, -1]])


def class_shares(labels: list[np.ndarray], weights: list[float], balance: float = 1.0) -> np.ndarray:
    """
    How often each class of each set is to be drawn.

    With n(s, c) photos of class c among the n(s) of set s, a class is drawn in proportion to
    (Σ_s weight(s) · n(s, c) / n(s)) ** (1 − balance), and its set, among those that have it, in proportion to
    weight(s) · (n(s, c) / n(s)) ** (1 − balance).

    Args:
        labels: each set's classes, 0, 1, …, one number per photo.
        weights: of the sets.
        balance: 1 draws every class equally often, 0 as often as the sets have it.

    Returns:
        (sets, classes), summing to 1; exactly 0 where a set does not have the class.
    """
    classes = max(int(own.max()) for own in labels) + 1
    shares = np.stack([np.bincount(own, minlength=classes) / len(own) for own in labels])
    weights = np.array(weights, float)[:, None]
    tempered = np.where(shares > 0, weights * np.maximum(shares, 1e-12) ** (1 - balance), 0.0)
    of_class = np.where(shares.any(0), (weights * shares).sum(0).clip(1e-12) ** (1 - balance), 0.0)
    joint = of_class * tempered / tempered.sum(0).clip(1e-12)
    return joint / joint.sum()


class _DrawnDataset(Dataset):
    """Items drawn anew for each (seed, index); a stage is one long pass over one of these. With `first_rows`, of
    `device_photos.DevicePhotos`, items hold a photo's number there instead of its pixels, and no flow map."""

    def __init__(
        self, sets: list[PhotoSet], length: int, side: int, seed: int, first_rows: dict[str, int] | None = None
    ):
        self.sets, self.length, self.side, self.seed, self.first_rows = sets, length, side, seed, first_rows
        if first_rows is None:
            for chips in sets:
                chips.keep(side)

    def __len__(self) -> int:
        return self.length

    def random(self, index: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, index))

    def photo(self, chips: PhotoSet, row: int) -> torch.Tensor | int:
        """A photo's chip, or its number on the device."""
        if self.first_rows is None:
            return chips.pixels(row, self.side)
        return self.first_rows[chips.name] + int(row)


class BalancedPhotos(_DrawnDataset):
    """
    Single photos, every expression as often as `class_shares` says. Give `balance="identities"` to draw people
    instead of expressions.

    Args:
        side: of the chips, in pixels.
        class_balance: of `class_shares`.
        first_rows: of `_DrawnDataset`.

    Items: `chip` (3, side, side) uint8, `expression` and `identity` int64; `set`, the place of its set among them, and
    `expression_id`, `NO_EXPRESSION_ID` where it has none; `resolution`, of `PhotoSet`; `blendshapes` (K,), zeros and `has_blendshapes`
    false where the set has none.
    """

    def __init__(
        self, sets: list[PhotoSet], length: int, side: int, seed: int = 0, balance: str = "expressions",
        class_balance: float = 1.0, first_rows: dict[str, int] | None = None,
    ):  # fmt: skip
        super().__init__(sets, length, side, seed, first_rows)
        self.blendshapes = max((c.blendshapes.shape[1] for c in sets if c.blendshapes is not None), default=0)
        if not sets:
            raise InvalidInputError("no set of photos to draw from")
        keys = [getattr(chips, balance) for chips in sets]
        shares = class_shares(keys, [chips.weight for chips in sets], class_balance)
        self.shares = shares.ravel().cumsum()
        self.classes = shares.shape[1]
        self.rows = [rows_by_value(column) for column in keys]

    def __getitem__(self, index: int) -> dict:
        random = self.random(index)
        number, key = divmod(int(np.searchsorted(self.shares, random.random(), side="right")), self.classes)
        row = random.choice(self.rows[number][key])
        chips = self.sets[number]
        known = chips.blendshapes is not None
        return {
            "padded_crop": self.photo(chips, row),
            "expression": int(chips.expressions[row]),
            "identity": int(chips.identities[row]),
            "set": number,
            "expression_id": int(chips.expression_ids[row]),
            "resolution": chips.resolution(row),
            "blendshapes": torch.from_numpy(chips.blendshapes[row]) if known else torch.zeros(self.blendshapes),
            "has_blendshapes": known,
        }


class ExpressionPairs(_DrawnDataset):
    """
    Pairs (x_s, x_t) for stage 2, x_s with every expression equally often.

    A pair without ground truth is the paper's: x_s and x_t at random. A pair with one knows the true x̄;
    `pairs.PairSampler` says how it is chosen.

    Args:
        sets: those without identities are passed over.
        length: number of items.
        side: of the chips, in pixels.
        ground_truth_share: how many pairs have a ground truth.
        first_rows: of `_DrawnDataset`.

    Items: `source`, `target`, `truth` (3, side, side) uint8 chips; `registration` (2, 3), from the target's crop_transform to
    the coordinates of the truth's chip, [-1, 1] over the crop; `has_truth` bool; `is_rendered` bool, whether the
    target has a expression_id; `source_expression`, `target_expression`, `target_identity` int64; `target_flow_map`,
    `truth_flow_map` (2 or 4, M, M) uint8 flow maps, `has_flow` bool, and `to_photo` (2, 3), from the target's crop_transform,
    [-1, 1] over the crop, to its photo, [-1, 1] as well.
    """

    def __init__(
        self, sets: list[PhotoSet], length: int, side: int, seed: int = 0, ground_truth_share: float = 0.0,
        first_rows: dict[str, int] | None = None,
    ):  # fmt: skip
        super().__init__([chips for chips in sets if chips.has_identities], length, side, seed, first_rows)
        if not self.sets:
            raise InvalidInputError("stage 2 needs a set of photos with identities")
        self.sampler = PairSampler(self.sets)
        self.ground_truth_share = ground_truth_share
        self.flow_map_shape = common_flow_map_shape(self.sets)

    def __getitem__(self, index: int) -> dict:
        pair = self.sampler.draw(self.random(index), self.ground_truth_share)
        chips, target, truth = self.sets[pair.target_set], pair.target, pair.truth
        sources = self.sets[pair.source_set]
        shown = target if truth is None else truth
        motion = {}
        if self.first_rows is None:
            maps = (chips.flow_map(row, self.flow_map_shape) for row in (target, shown))
            motion = dict(zip(("target_flow_map", "truth_flow_map"), maps))
        return {
            "source": self.photo(sources, pair.source),
            "target": self.photo(chips, target),
            "truth": self.photo(chips, shown),
            "registration": self._registration(chips, target, truth),
            "has_truth": truth is not None,
            "is_rendered": bool(chips.expression_ids[target] != NO_EXPRESSION_ID),
            "source_expression": int(sources.expressions[pair.source]),
            "target_expression": int(chips.expressions[target]),
            "target_identity": int(chips.identities[target]),
            **motion,
            "has_flow": chips.has_flow and truth is not None,
            "to_photo": self._to_photo(chips, target),
        }

    @staticmethod
    def _registration(chips: PhotoSet, target: int, truth: int | None) -> torch.Tensor:
        """Rendered people stand still between expressions, so their truth is cut with the target's crop_transform. Between
        two photographs people move: there the truth keeps its own."""
        if truth is None or chips.expression_ids[truth] == NO_EXPRESSION_ID:
            return torch.eye(2, 3)
        unit = compose_transforms(chips.crop_transforms[truth], invert_transform(chips.crop_transforms[target]))
        return torch.from_numpy(compose_transforms(FROM_UNIT, compose_transforms(unit, TO_UNIT))).float()

    @staticmethod
    def _to_photo(chips: PhotoSet, target: int) -> torch.Tensor:
        if not chips.has_flow:
            return torch.eye(2, 3)
        whole = whole_image_transform(*chips.photo_sizes[target])
        unit = compose_transforms(whole, invert_transform(chips.crop_transforms[target]))
        return torch.from_numpy(compose_transforms(FROM_UNIT, compose_transforms(unit, TO_UNIT))).float()
