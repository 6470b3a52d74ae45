"""A set of padded crops with numeric labels."""

import logging
from dataclasses import dataclass, field

import numpy as np
import torch
from datasets import Dataset as PhotoDataset

from ..model.face_alignment_tergan import compose_transforms, invert_transform, whole_image_transform
from .crops import cut_crops, to_range, to_symmetric_range
from .decoded import DecodedColumn
from .flow_maps import STILL, match_flow_map
from .labels import UNLABELLED, blendshape_values, class_indices, label_distributions, original_expressions
from .loading import NEUTRAL_ID, NO_EXPRESSION_ID, NO_IDENTITY
from .padded_crops import padded_crop_size


logger = logging.getLogger(__name__)

CACHE_BYTES = 3 * 2**30  # of decoded images that a set keeps in memory
CLEAR_INTENSITY = 0.85  # an expression is clear from this intensity on
FLOW_MAP_SIZE = 64  # side of a flow map


@dataclass
class PhotoSet:
    """
    One set of padded crops with numeric labels.

    Args:
        name: name of the set.
        photos: from `make_padded_crops`.
        expressions: (N,) class indices, `UNLABELLED` for photos without a label among the classes.
        identities: (N,) indices over all sets together, -1 for unknown people.
        scenes: (N,) one number for each session of each person.
        expression_ids: (N,) numbers of the blendshape poses, `NO_EXPRESSION_ID` for photos without one.
        crop_transforms: (N, 2, 3) photo pixels → unit square of the crop.
        photo_sizes: (N, 2) width and height of the original photos, `None` in a set without flow maps.
        blendshapes: (N, K) values in the order of `COLUMN_NAMES`, NaN where unknown; `None` in a set without them.
        label_distributions: (N, classes) share of each class in several people's votes, summing to 1; `None` in a set
            without votes.
        original_expressions: (N,) class indices of a second label of the same photo, `UNLABELLED` for none; `None` in
            a set without them.
        clear: (N,) bool, the photos that show a single expression (nearly) in full, `None` in a set without
            intensities.
        weight: how often stage 1 draws from the set.
        pair_weight: how often stage 2 draws a target from the set.
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
    label_distributions: np.ndarray | None = None
    original_expressions: np.ndarray | None = None
    clear: np.ndarray | None = None
    weight: float = 1.0
    pair_weight: float = 1.0
    _decoded: dict[str, DecodedColumn] = field(default_factory=dict, repr=False)

    def __post_init__(self):
        # Allocated before workers are forked, so that they share it.
        if "flow" in getattr(self.photos, "column_names", ()):
            self._decoded["flow"] = DecodedColumn(self.photos, "flow", CACHE_BYTES // 2, as_stored=True)

    def __len__(self) -> int:
        return len(self.photos)

    @property
    def has_identities(self) -> bool:
        """Whether all people are known. G_et and stage 2 need such sets."""
        return bool((self.identities >= 0).all())

    @property
    def are_photographs(self) -> bool:
        """Whether no photo is rendered."""
        return bool((self.expression_ids == NO_EXPRESSION_ID).all())

    @property
    def labelled_rows(self) -> np.ndarray:
        """Row numbers of the photos with a label."""
        return np.flatnonzero(self.expressions != UNLABELLED)

    @property
    def has_flow(self) -> bool:
        """Whether the photos have flow maps."""
        return "flow" in self.photos.column_names

    def neutral_rows(self) -> np.ndarray:
        """(N,) row of the neutral photo of each photo's session, -1 if there is none. Only renderings have one."""
        neutral = np.flatnonzero(self.expression_ids == NEUTRAL_ID)
        of_session = dict(zip(self.scenes[neutral].tolist(), neutral.tolist()))
        return np.array([of_session.get(scene, -1) for scene in self.scenes.tolist()], dtype=int)

    def pixels(self, row: int, side: int) -> torch.Tensor:
        """(3, side, side) uint8, the padded crop. Those of the last requested side stay in memory."""
        self.keep(side)
        return torch.from_numpy(np.array(self._decoded["image"][row])).permute(2, 0, 1)

    def keep(self, side: int):
        """Keep padded crops of this side in memory, shared with all workers that are forked later."""
        kept = self._decoded.get("image")
        if kept is not None and kept.side == side:
            return
        if "image" in getattr(self.photos, "column_names", ()):
            self._decoded["image"] = DecodedColumn(self.photos, "image", CACHE_BYTES // 2, side)

    def resolution(self, row: int) -> int:
        """Side of the aligned crop in pixels of the photo. A crop with more pixels is interpolated."""
        return round(float(1 / np.sqrt(abs(np.linalg.det(self.crop_transforms[row][:, :2])))))

    def crop_to_photo(self, row: int) -> torch.Tensor:
        """(2, 3) from the aligned crop to the original photo, both [-1, 1]. Only for a set with flow maps."""
        assert self.photo_sizes is not None
        whole = whole_image_transform(*self.photo_sizes[row])
        unit = compose_transforms(whole, invert_transform(self.crop_transforms[row]))
        return torch.from_numpy(to_symmetric_range(unit)).float()

    @property
    def flow_map_shape(self) -> tuple[int, int, int]:
        """(2, M, M), or (4, M, M) for 16-bit maps (`flow_maps`)."""
        if not self.has_flow:
            return (2, FLOW_MAP_SIZE, FLOW_MAP_SIZE)
        height, width, channels = self._decoded["flow"].shape
        return (4 if channels == 4 else 2, height, width)

    def flow_map(self, row: int, shape: tuple[int, int, int] | None = None) -> torch.Tensor:
        """
        The flow map of a photo. In a set without flow maps it says that nothing moves.

        Args:
            shape: convert the map to this shape, so that sets with different maps share a batch. Default: as stored.

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
    shapes = [photos.flow_map_shape for photos in sets if photos.has_flow] or [(2, FLOW_MAP_SIZE, FLOW_MAP_SIZE)]
    return tuple(max(sizes) for sizes in zip(*shapes))


def aligned_crops(photos: PhotoSet, rows: np.ndarray, image_size: int, device) -> torch.Tensor:
    """Crops of some rows without augmentation, (B, 3, image_size, image_size) in [-1, 1]."""
    side = padded_crop_size(image_size)
    pixels = torch.stack([photos.pixels(row, side) for row in rows]).to(device)
    return cut_crops(to_range(pixels), torch.eye(2, 3, device=device).expand(len(rows), 2, 3), image_size)


def label_photo_sets(
    cropped: dict[str, PhotoDataset], expressions: list[str], weights: dict[str, tuple[float, float]] | None = None
) -> tuple[list[PhotoSet], list[str]]:
    """
    Replace the labels of several cropped sets by numbers.

    Args:
        cropped: name → padded crops from `make_padded_crops`.
        expressions: labels in the order of the classes.
        weights: name → (weight, pair_weight). Default: 1 for both.

    Returns:
        the sets, and the names of all identities, `set/identity`, in the order of their indices.

    Raises:
        InvalidInputError: a label is not in `expressions`, or a column has the wrong length.
    """
    identities: dict[str, int] = {}
    sets = []
    for name, photos in cropped.items():
        labels = list(photos["expression"])
        classes = class_indices(labels, expressions, name)
        if unlabelled := int((classes == UNLABELLED).sum()):
            logger.info("%s: %d of %d photos have no label", name, unlabelled, len(labels))
        rows = [
            identities.setdefault(f"{name}/{identity}", len(identities)) if identity != NO_IDENTITY else -1
            for identity in photos["identity"]
        ]
        weight, pair_weight = (weights or {}).get(name, (1.0, 1.0))
        scenes: dict[tuple[int, int], int] = {}
        sessions = photos["session"] if "session" in photos.column_names else [0] * len(photos)
        sets.append(
            PhotoSet(
                name=name,
                photos=photos,
                expressions=classes,
                identities=np.array(rows),
                scenes=np.array([scenes.setdefault(key, len(scenes)) for key in zip(rows, sessions)]),
                expression_ids=np.array(photos["expression_id"]),
                crop_transforms=np.array(photos.with_format("numpy")["crop_transform"][:]),
                photo_sizes=np.array(photos["photo_size"]) if "photo_size" in photos.column_names else None,
                blendshapes=blendshape_values(photos, name),
                label_distributions=label_distributions(photos, expressions, name),
                original_expressions=original_expressions(photos, expressions),
                clear=_clear(photos, labels),
                weight=weight,
                pair_weight=pair_weight,
            )
        )
    return sets, list(identities)


def _clear(photos: PhotoDataset, labels: list[str]) -> np.ndarray | None:
    """`PhotoSet.clear` from the columns `intensity` and `mixed_with` of rendered sets. A column `intensity` of other
    sets may mean anything."""
    if "intensity" not in photos.column_names:
        return None
    if (np.array(photos["expression_id"]) == NO_EXPRESSION_ID).all():
        return None
    alone = [not other for other in photos["mixed_with"]] if "mixed_with" in photos.column_names else True
    full = (np.array(photos["intensity"]) >= CLEAR_INTENSITY) | (np.array(labels) == "neutral")
    return full & np.array(alone)
