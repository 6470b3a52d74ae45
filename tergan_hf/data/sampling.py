"""What a training step sees: balanced single photos (stage 1) and balanced pairs (stage 2).

Both data sets draw by index: item i is the same on every machine and in every process, whatever was drawn before, so
that shards, workers and resumed runs need no shared random state.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from datasets import Dataset as PhotoDataset
from torch.utils.data import Dataset

from ..face_alignment_tergan import compose_framings, invert_framing, whole_image_framing
from .decoded import DecodedColumn
from .loading import NO_IDENTITY, NO_RECIPE
from .pairs import PairSampler, rows_by_value


CACHE_BYTES = 3 * 2**30  # of decoded chips that a set keeps in memory
CLEAR_INTENSITY = 0.85  # from here on an expression is shown clearly
MOTION_SIZE = 64  # side of a motion map
TO_UNIT = np.array([[0.5, 0, 0.5], [0, 0.5, 0.5]])  # [-1, 1] → [0, 1]
FROM_UNIT = np.array([[2.0, 0, -1], [0, 2, -1]])


@dataclass
class Chips:
    """
    One framed set of photos with numeric labels.

    Args:
        photos: as `frame_photos` gives them.
        expressions: (N,) class indices.
        identities: (N,) indices over all sets together, -1 where there is none.
        scenes: (N,) one number for each sitting of each person.
        recipes: (N,) exact expressions, -1 where there is none.
        framings: (N, 2, 3) photo pixels → unit square of the crop.
        photo_sizes: (N, 2) width and height of the photos the framings belong to; `None` where there is no motion.
        activations: (N, K) how far each muscle of the face is activated, `None` where the set does not say.
        clear: (N,) which photos show their expression alone and (nearly) in full, `None` where the set does not say.
        weight: how often stage 1 draws from it; pair_weight: how often stage 2 draws a target from it.
    """

    name: str
    photos: PhotoDataset
    expressions: np.ndarray
    identities: np.ndarray
    scenes: np.ndarray
    recipes: np.ndarray
    framings: np.ndarray
    photo_sizes: np.ndarray | None = None
    activations: np.ndarray | None = None
    clear: np.ndarray | None = None
    weight: float = 1.0
    pair_weight: float = 1.0
    _decoded: dict[str, DecodedColumn] = field(default_factory=dict, repr=False)

    def __post_init__(self):
        # Before workers are forked off, so that they share what they decode.
        if "motion" in getattr(self.photos, "column_names", ()):
            self._decoded["motion"] = DecodedColumn(self.photos, "motion", CACHE_BYTES // 2)

    def __len__(self) -> int:
        return len(self.photos)

    @property
    def has_identities(self) -> bool:
        """Whether its people are known: only such sets serve G_et and stage 2."""
        return bool((self.identities >= 0).all())

    @property
    def are_photographs(self) -> bool:
        """Whether no photo is a rendering of a recipe."""
        return bool((self.recipes == NO_RECIPE).all())

    @property
    def has_motion(self) -> bool:
        """Whether its photos come with motion maps."""
        return "motion" in self.photos.column_names

    def pixels(self, row: int, side: int) -> torch.Tensor:
        """(3, side, side) uint8 chip. Chips of the side asked for last are kept in memory."""
        self.keep(side)
        return torch.from_numpy(np.array(self._decoded["image"][row])).permute(2, 0, 1)

    def keep(self, side: int):
        """Keep chips of this side in memory from now on, for all workers that are forked off later."""
        kept = self._decoded.get("image")
        if kept is not None and kept.side == side:
            return
        if "image" in getattr(self.photos, "column_names", ()):
            self._decoded["image"] = DecodedColumn(self.photos, "image", CACHE_BYTES // 2, side)

    def resolution(self, row: int) -> int:
        """Side of a photo's aligned crop in pixels of the photo: what a larger crop shows besides is interpolated."""
        return round(float(1 / np.sqrt(abs(np.linalg.det(self.framings[row][:, :2])))))

    def motion(self, row: int) -> torch.Tensor:
        """(2, M, M) uint8 motion map; in a set without motion, one that says that all is still."""
        if not self.has_motion:
            return torch.full((2, MOTION_SIZE, MOTION_SIZE), 128, dtype=torch.uint8)
        return torch.from_numpy(np.array(self._decoded["motion"][row][:, :, :2])).permute(2, 0, 1)


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
        scenes: dict[tuple[int, int], int] = {}
        sittings = photos["sitting"] if "sitting" in photos.column_names else [0] * len(photos)
        activations = None
        if "activations" in photos.column_names:
            activations = np.array(photos["activations"][:], dtype=np.float32)
        sets.append(
            Chips(
                name=name,
                photos=photos,
                expressions=np.array([class_of[label] for label in labels]),
                identities=np.array(rows),
                scenes=np.array([scenes.setdefault(key, len(scenes)) for key in zip(rows, sittings)]),
                recipes=np.array(photos["recipe"]),
                framings=np.array(photos.with_format("numpy")["framing"][:]),
                photo_sizes=np.array(photos["photo_size"]) if "photo_size" in photos.column_names else None,
                activations=activations,
                clear=_clear(photos, labels),
                weight=weight,
                pair_weight=pair_weight,
            )
        )
    return sets, list(identities)


def _clear(photos: PhotoDataset, labels: list[str]) -> np.ndarray | None:
    if "intensity" not in photos.column_names:
        return None
    alone = [not other for other in photos["mixed_with"]] if "mixed_with" in photos.column_names else True
    full = (np.array(photos["intensity"]) >= CLEAR_INTENSITY) | (np.array(labels) == "neutral")
    return full & np.array(alone)


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
    `device_photos.DevicePhotos`, items hold a photo's number there instead of its pixels, and no motion map."""

    def __init__(self, sets: list[Chips], length: int, side: int, seed: int, first_rows: dict[str, int] | None = None):
        self.sets, self.length, self.side, self.seed, self.first_rows = sets, length, side, seed, first_rows
        if first_rows is None:
            for chips in sets:
                chips.keep(side)

    def __len__(self) -> int:
        return self.length

    def random(self, index: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, index))

    def photo(self, chips: Chips, row: int) -> torch.Tensor | int:
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
    `recipe`, `NO_RECIPE` where it has none; `resolution`, of `Chips`; `activations` (K,), zeros and `has_activations`
    false where the set has none.
    """

    def __init__(
        self, sets: list[Chips], length: int, side: int, seed: int = 0, balance: str = "expressions",
        class_balance: float = 1.0, first_rows: dict[str, int] | None = None,
    ):  # fmt: skip
        super().__init__(sets, length, side, seed, first_rows)
        self.activations = max((c.activations.shape[1] for c in sets if c.activations is not None), default=0)
        if not sets:
            raise ValueError("no set of photos to draw from")
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
        known = chips.activations is not None
        return {
            "chip": self.photo(chips, row),
            "expression": int(chips.expressions[row]),
            "identity": int(chips.identities[row]),
            "set": number,
            "recipe": int(chips.recipes[row]),
            "resolution": chips.resolution(row),
            "activations": torch.from_numpy(chips.activations[row]) if known else torch.zeros(self.activations),
            "has_activations": known,
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

    Items: `source`, `target`, `truth` (3, side, side) uint8 chips; `registration` (2, 3), from the target's framing to
    the coordinates of the truth's chip, [-1, 1] over the crop; `has_truth` bool; `is_rendered` bool, whether the
    target has a recipe; `source_expression`, `target_expression`, `target_identity` int64; `target_motion`,
    `truth_motion` (2, M, M) uint8 motion maps, `has_motion` bool, and `to_photo` (2, 3), from the target's framing,
    [-1, 1] over the crop, to its photo, [-1, 1] as well.
    """

    def __init__(
        self, sets: list[Chips], length: int, side: int, seed: int = 0, ground_truth_share: float = 0.0,
        first_rows: dict[str, int] | None = None,
    ):  # fmt: skip
        super().__init__([chips for chips in sets if chips.has_identities], length, side, seed, first_rows)
        if not self.sets:
            raise ValueError("stage 2 needs a set of photos with identities")
        self.sampler = PairSampler(self.sets)
        self.ground_truth_share = ground_truth_share

    def __getitem__(self, index: int) -> dict:
        pair = self.sampler.draw(self.random(index), self.ground_truth_share)
        chips, target, truth = self.sets[pair.target_set], pair.target, pair.truth
        sources = self.sets[pair.source_set]
        shown = target if truth is None else truth
        motion = {}
        if self.first_rows is None:
            motion = {"target_motion": chips.motion(target), "truth_motion": chips.motion(shown)}
        return {
            "source": self.photo(sources, pair.source),
            "target": self.photo(chips, target),
            "truth": self.photo(chips, shown),
            "registration": self._registration(chips, target, truth),
            "has_truth": truth is not None,
            "is_rendered": bool(chips.recipes[target] != NO_RECIPE),
            "source_expression": int(sources.expressions[pair.source]),
            "target_expression": int(chips.expressions[target]),
            "target_identity": int(chips.identities[target]),
            **motion,
            "has_motion": chips.has_motion and truth is not None,
            "to_photo": self._to_photo(chips, target),
        }

    @staticmethod
    def _registration(chips: Chips, target: int, truth: int | None) -> torch.Tensor:
        """Rendered people stand still between expressions, so their truth is cut with the target's framing. Between
        two photographs people move: there the truth keeps its own."""
        if truth is None or chips.recipes[truth] == NO_RECIPE:
            return torch.eye(2, 3)
        unit = compose_framings(chips.framings[truth], invert_framing(chips.framings[target]))
        return torch.from_numpy(compose_framings(FROM_UNIT, compose_framings(unit, TO_UNIT))).float()

    @staticmethod
    def _to_photo(chips: Chips, target: int) -> torch.Tensor:
        if not chips.has_motion:
            return torch.eye(2, 3)
        whole = whole_image_framing(*chips.photo_sizes[target])
        unit = compose_framings(whole, invert_framing(chips.framings[target]))
        return torch.from_numpy(compose_framings(FROM_UNIT, compose_framings(unit, TO_UNIT))).float()
