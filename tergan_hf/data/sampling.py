"""Training items: balanced single photos (stage 1) and balanced pairs (stage 2).

Both data sets draw by index. Item i is the same on every machine and in every process, so shards, workers and resumed
runs need no shared random state.
"""

import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.data import Dataset

from ..expressions.blendshapes import COLUMN_NAMES
from ..model.errors_tergan import InvalidInputError
from ..model.face_alignment_tergan import compose_transforms, invert_transform
from .crops import to_symmetric_range
from .labels import UNLABELLED
from .loading import NO_EXPRESSION_ID
from .padded_crops import network_input_size
from .pairs import PairSampler, rows_by_value
from .photo_set import PhotoSet, aligned_crops, common_flow_map_shape
from .rarity import RowChoice, rarity_weights
from .registration import register_faces


def class_shares(labels: list[np.ndarray], weights: list[float], balance: float = 1.0) -> np.ndarray:
    """
    Compute how often to draw each class of each set.

    Let n(s, c) be the number of photos of class c among the n(s) of set s. A class is drawn in proportion to
    (Σ_s weight(s) · n(s, c) / n(s)) ** (1 − balance), and its set, among those that have it, in proportion to
    weight(s) · (n(s, c) / n(s)) ** (1 − balance).

    Args:
        labels: for each set the classes 0, 1, … of its photos.
        weights: weights of the sets. If all are 0, all count alike.
        balance: 1 draws every class equally often, 0 as often as the sets have it.

    Returns:
        (sets, classes), summing to 1, exactly 0 if a set does not have the class.
    """
    classes = max(int(own.max()) for own in labels) + 1
    shares = np.stack([np.bincount(own, minlength=classes) / len(own) for own in labels])
    of_set = np.array(weights if any(weights) else [1.0] * len(weights))[:, None]
    tempered = np.where(shares > 0, of_set * np.maximum(shares, 1e-12) ** (1 - balance), 0.0)
    of_class = np.where(shares.any(0), (of_set * shares).sum(0).clip(1e-12) ** (1 - balance), 0.0)
    joint = of_class * tempered / tempered.sum(0).clip(1e-12)
    return joint / joint.sum()


class _DrawnDataset(Dataset):
    """
    Items drawn for each (seed, index). A stage is one long pass over such a data set.

    Args:
        sets: the sets to draw from.
        length: number of items.
        side: side of the padded crops in pixels.
        seed: seed of all items.
        first_rows: from `DevicePhotos`. Items then hold the row numbers of photos there instead of pixels, and no flow
            maps.
    """

    def __init__(
        self, sets: list[PhotoSet], length: int, side: int, seed: int, first_rows: dict[str, int] | None = None
    ):
        self.sets, self.length, self.side, self.seed, self.first_rows = sets, length, side, seed, first_rows
        if first_rows is None:
            for photos in sets:
                photos.keep(side)

    def __len__(self) -> int:
        return self.length

    def random(self, index: int) -> np.random.Generator:
        """The generator of an item."""
        return np.random.default_rng((self.seed, index))

    def photo(self, photos: PhotoSet, row: int) -> torch.Tensor | int:
        """The padded crop of a photo, or its row number on the device."""
        if self.first_rows is None:
            return photos.pixels(row, self.side)
        return self.first_rows[photos.name] + int(row)


class BalancedPhotos(_DrawnDataset):
    """
    Single photos with balanced expressions.

    Args:
        sets, length, side, seed, first_rows: as for `_DrawnDataset`.
        balance: `"expressions"`, or `"identities"` to balance people instead.
        class_balance: `balance` of `class_shares`.
        num_labels: number of classes. Default: as many as the sets have.
        blendshape_balance: `balance` of `rarity_weights`, among the photos of one class and set.

    Items:
        `padded_crop` (3, side, side) uint8; `expression` int64, `UNLABELLED` for none; `identity` int64;
        `label_distribution` (classes,), one-hot without votes and zeros without a label; `original_expression` int64,
        `UNLABELLED` for none; `set`, number of the set; `is_rendered` bool; `resolution` as in `PhotoSet`;
        `blendshapes` (K,) in the order of `COLUMN_NAMES`, NaN where unknown.

    Raises:
        InvalidInputError: there is no set.
    """

    def __init__(
        self, sets: list[PhotoSet], length: int, side: int, seed: int = 0, balance: str = "expressions",
        class_balance: float = 1.0, first_rows: dict[str, int] | None = None, num_labels: int = 0,
        blendshape_balance: float = 0.0,
    ):  # fmt: skip
        super().__init__(sets, length, side, seed, first_rows)
        if not sets:
            raise InvalidInputError("no set of photos to draw from")
        self.labels = num_labels or max(_least_labels(photos) for photos in sets)
        keys = [getattr(photos, balance) for photos in sets]
        if balance == "expressions":  # photos without a label are a class of their own
            keys = [np.where(own == UNLABELLED, self.labels, own) for own in keys]
        shares = class_shares(keys, [photos.weight for photos in sets], class_balance)
        self.shares = shares.ravel().cumsum()
        self.classes = shares.shape[1]
        self.rows = [rows_by_value(column) for column in keys]
        self.draw_row = [RowChoice(rarity_weights(photos, blendshape_balance)) for photos in sets]

    def __getitem__(self, index: int) -> dict:
        random = self.random(index)
        number, key = divmod(int(np.searchsorted(self.shares, random.random(), side="right")), self.classes)
        row = self.draw_row[number](random, self.rows[number][key])
        photos = self.sets[number]
        unknown = torch.full((len(COLUMN_NAMES),), torch.nan)
        second = photos.original_expressions
        return {
            "padded_crop": self.photo(photos, row),
            "expression": int(photos.expressions[row]),
            "label_distribution": self._label_distribution(photos, row),
            "original_expression": UNLABELLED if second is None else int(second[row]),
            "identity": int(photos.identities[row]),
            "set": number,
            "is_rendered": bool(photos.expression_ids[row] != NO_EXPRESSION_ID),
            "resolution": photos.resolution(row),
            "blendshapes": unknown if photos.blendshapes is None else torch.from_numpy(photos.blendshapes[row]),
        }

    def _label_distribution(self, photos: PhotoSet, row: int) -> torch.Tensor:
        if photos.expressions[row] == UNLABELLED:
            return torch.zeros(self.labels)
        if photos.label_distributions is not None:
            return torch.from_numpy(photos.label_distributions[row])
        return F.one_hot(torch.tensor(int(photos.expressions[row])), self.labels).float()


def _least_labels(photos: PhotoSet) -> int:
    """How many labels the photos of a set show that there are."""
    shown = 1 + int(photos.expressions.max())
    return shown if photos.label_distributions is None else max(shown, photos.label_distributions.shape[1])


class ExpressionPairs(_DrawnDataset):
    """
    Pairs (x_s, x_t) for stage 2. In random pairs x_s has every label of its set equally often.

    A pair without a ground truth is the paper's random pair. A pair with one has the true x̄. `PairSampler` draws
    both.

    Args:
        sets: the sets to draw from. Those without identities are skipped.
        length, side, seed, first_rows: as for `_DrawnDataset`.
        ground_truth_share: share of the pairs with a ground truth.
        blendshape_balance: `balance` of `rarity_weights`, among the truths of one session.

    Items:
        `source`, `target`, `truth`: (3, side, side) uint8 padded crops.
        `registration`: (2, 3) from the target's aligned crop to the truth's, both [-1, 1]. Of two photographs it is
            found by `register_faces`, once for each pair.
        `has_truth`, `is_rendered`, `has_flow`: bool; whether a truth is known, the target has an `expression_id`, and
        the exact flow is known.
        `source_expression`, `target_expression`, `target_identity`: int64.
        `blendshape_change`: (K,), the truth's blendshapes less the target's, in the order of `COLUMN_NAMES`; NaN where
        one of them is unknown.
        `target_flow_map`, `truth_flow_map`: (2 or 4, M, M) uint8 flow maps.
        `to_photo`: (2, 3) from the target's aligned crop to its photo, both [-1, 1].

    Raises:
        InvalidInputError: no set has identities.
    """

    def __init__(
        self, sets: list[PhotoSet], length: int, side: int, seed: int = 0, ground_truth_share: float = 0.0,
        first_rows: dict[str, int] | None = None, blendshape_balance: float = 0.0,
    ):  # fmt: skip
        super().__init__([photos for photos in sets if photos.has_identities], length, side, seed, first_rows)
        if not self.sets:
            raise InvalidInputError(
                "stage 2 needs a set of photos with identities: add a source with the column `identity`"
            )
        self.sampler = PairSampler(self.sets, blendshape_balance)
        self.ground_truth_share = ground_truth_share
        self.flow_map_shape = common_flow_map_shape(self.sets)
        self._registrations: dict[tuple[str, int, int], torch.Tensor] = {}

    def __getitem__(self, index: int) -> dict:
        pair = self.sampler.draw(self.random(index), self.ground_truth_share)
        photos, target, truth = self.sets[pair.target_set], pair.target, pair.truth
        sources = self.sets[pair.source_set]
        shown = target if truth is None else truth
        flow_maps = {}
        if self.first_rows is None:
            maps = (photos.flow_map(row, self.flow_map_shape) for row in (target, shown))
            flow_maps = dict(zip(("target_flow_map", "truth_flow_map"), maps))
        return {
            "source": self.photo(sources, pair.source),
            "target": self.photo(photos, target),
            "truth": self.photo(photos, shown),
            "registration": self._registration(photos, target, truth),
            "has_truth": truth is not None,
            "is_rendered": bool(photos.expression_ids[target] != NO_EXPRESSION_ID),
            "source_expression": int(sources.expressions[pair.source]),
            "target_expression": int(photos.expressions[target]),
            "target_identity": int(photos.identities[target]),
            "blendshape_change": self._blendshape_change(photos, target, truth),
            **flow_maps,
            "has_flow": photos.has_flow and truth is not None,
            "to_photo": photos.crop_to_photo(target) if photos.has_flow else torch.eye(2, 3),
        }

    @staticmethod
    def _blendshape_change(photos: PhotoSet, target: int, truth: int | None) -> torch.Tensor:
        if truth is None or photos.blendshapes is None:
            return torch.full((len(COLUMN_NAMES),), torch.nan)
        return torch.from_numpy(photos.blendshapes[truth] - photos.blendshapes[target])

    def _registration(self, photos: PhotoSet, target: int, truth: int | None) -> torch.Tensor:
        if truth is None:
            return torch.eye(2, 3)
        if photos.expression_ids[truth] != NO_EXPRESSION_ID:
            return self._rendered_registration(photos, target, truth)
        key = photos.name, target, truth
        if key not in self._registrations:
            crops = aligned_crops(photos, np.array([truth, target]), network_input_size(self.side), "cpu")
            self._registrations[key] = register_faces(crops[:1], crops[1:])[0]
        return self._registrations[key]

    @staticmethod
    def _rendered_registration(photos: PhotoSet, target: int, truth: int) -> torch.Tensor:
        """Rendered people do not move between expressions, so their truth is cut with the target's crop transform."""
        unit = compose_transforms(photos.crop_transforms[truth], invert_transform(photos.crop_transforms[target]))
        return torch.from_numpy(to_symmetric_range(unit)).float()
