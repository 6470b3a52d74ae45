"""A set of padded crops with numeric labels."""

from dataclasses import dataclass, field

import numpy as np
import torch
from datasets import Dataset as PhotoDataset

from ..model.errors_tergan import InvalidInputError
from .decoded import DecodedColumn
from .flow_maps import STILL, match_flow_map
from .loading import NO_EXPRESSION_ID, NO_IDENTITY


CACHE_BYTES = 3 * 2**30  # of decoded crops that a set keeps in memory
CLEAR_INTENSITY = 0.85  # from here on an expression is shown clearly
FLOW_MAP_SIZE = 64  # side of a flow map


@dataclass
class PhotoSet:
    """
    One cropped set of photos with numeric labels.

    Args:
        photos: as `make_padded_crops` gives them.
        expressions: (N,) class indices.
        identities: (N,) indices over all sets together, -1 where there is none.
        scenes: (N,) one number for each session of each person.
        expression_ids: (N,) exact expressions, -1 where there is none.
        crop_transforms: (N, 2, 3) photo pixels → unit square of the crop.
        photo_sizes: (N, 2) width and height of the photos the crop_transforms belong to; `None` where there is no motion.
        blendshapes: (N, K) how far each muscle of the face is activated, `None` where the set does not say.
        clear: (N,) which photos show their expression alone and (nearly) in full, `None` where the set does not say.
        weight: how often stage 1 draws from it; pair_weight: how often stage 2 draws a target from it.
    """

    name: str
    photos: PhotoDataset
    expressions: np.ndarray
    identities: np.ndarray
    scenes: np.ndarray
    expression_ids: np.ndarray
    crop_transforms: np.ndarray
    photo_sizes: np.ndarray | None = None
    blendshapes: np.ndarray | None = None
    clear: np.ndarray | None = None
    weight: float = 1.0
    pair_weight: float = 1.0
    _decoded: dict[str, DecodedColumn] = field(default_factory=dict, repr=False)

    def __post_init__(self):
        # Before workers are forked off, so that they share what they decode.
        if "flow" in getattr(self.photos, "column_names", ()):
            self._decoded["flow"] = DecodedColumn(self.photos, "flow", CACHE_BYTES // 2, as_stored=True)

    def __len__(self) -> int:
        return len(self.photos)

    @property
    def has_identities(self) -> bool:
        """Whether its people are known: only such sets serve G_et and stage 2."""
        return bool((self.identities >= 0).all())

    @property
    def are_photographs(self) -> bool:
        """Whether no photo is a rendering of a expression_id."""
        return bool((self.expression_ids == NO_EXPRESSION_ID).all())

    @property
    def has_flow(self) -> bool:
        """Whether its photos come with flow maps."""
        return "flow" in self.photos.column_names

    def pixels(self, row: int, side: int) -> torch.Tensor:
        """(3, side, side) uint8 chip. PhotoSet of the side asked for last are kept in memory."""
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
        return round(float(1 / np.sqrt(abs(np.linalg.det(self.crop_transforms[row][:, :2])))))

    @property
    def flow_map_shape(self) -> tuple[int, int, int]:
        """(2, M, M), or (4, M, M) of fine maps (`flow_maps`)."""
        if not self.has_flow:
            return (2, FLOW_MAP_SIZE, FLOW_MAP_SIZE)
        height, width, channels = self._decoded["flow"].shape
        return (4 if channels == 4 else 2, height, width)

    def flow_map(self, row: int, shape: tuple[int, int, int] | None = None) -> torch.Tensor:
        """
        The flow map of a photo; in a set without motion, one that says that all is still.

        Args:
            shape: to be brought to, so that sets with different maps share a batch; default: as stored.

        Returns:
            (2, M, M) or (4, M, M) uint8, as `flow_maps.decode_flow_map` reads it.
        """
        shape = shape or self.flow_map_shape
        if not self.has_flow:
            return torch.full(shape, STILL, dtype=torch.uint8)
        levels = np.array(self._decoded["flow"][row][:, :, : self.flow_map_shape[0]])
        return match_flow_map(torch.from_numpy(levels).permute(2, 0, 1), shape)


def common_flow_map_shape(sets: list[PhotoSet]) -> tuple[int, int, int]:
    """The finest shape of the flow maps of some sets."""
    moving = [chips.flow_map_shape for chips in sets if chips.has_flow] or [(2, FLOW_MAP_SIZE, FLOW_MAP_SIZE)]
    return tuple(max(sizes) for sizes in zip(*moving))


def label_photo_sets(
    cropped: dict[str, PhotoDataset], expressions: list[str], weights: dict[str, tuple[float, float]] | None = None
) -> tuple[list[PhotoSet], list[str]]:
    """
    Number the labels of several cropped sets.

    Args:
        cropped: name → cropped photos.
        expressions: labels in the order of the classes. Photos with another label raise.
        weights: name → (weight, pair_weight).

    Returns:
        the sets, and the names of all identities in the order of their indices, `set/identity`.

    Raises:
        InvalidInputError: an expression that is not one of the labels.
    """
    class_of = {label: index for index, label in enumerate(expressions)}
    identities: dict[str, int] = {}
    sets = []
    for name, photos in cropped.items():
        labels = list(photos["expression"])
        unknown = sorted(set(labels) - set(class_of))
        if unknown:
            raise InvalidInputError(f"{name}: unknown expressions {unknown}; the model has {expressions}")
        rows = [
            identities.setdefault(f"{name}/{identity}", len(identities)) if identity != NO_IDENTITY else -1
            for identity in photos["identity"]
        ]
        weight, pair_weight = (weights or {}).get(name, (1.0, 1.0))
        scenes: dict[tuple[int, int], int] = {}
        sessions = photos["session"] if "session" in photos.column_names else [0] * len(photos)
        blendshapes = None
        if "blendshapes" in photos.column_names:
            blendshapes = np.array(photos["blendshapes"][:], dtype=np.float32)
        sets.append(
            PhotoSet(
                name=name,
                photos=photos,
                expressions=np.array([class_of[label] for label in labels]),
                identities=np.array(rows),
                scenes=np.array([scenes.setdefault(key, len(scenes)) for key in zip(rows, sessions)]),
                expression_ids=np.array(photos["expression_id"]),
                crop_transforms=np.array(photos.with_format("numpy")["crop_transform"][:]),
                photo_sizes=np.array(photos["photo_size"]) if "photo_size" in photos.column_names else None,
                blendshapes=blendshapes,
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
