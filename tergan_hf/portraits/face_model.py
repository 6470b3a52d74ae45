"""Read ICT-FaceKit's light face model with blendshapes in ARKit's names."""

from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from ..data.building import BuildError
from ..expressions.blendshapes import BLENDSHAPES
from .mesh import graph_laplacian


MODES = 100
NEUTRAL_OBJ = "generic_neutral_mesh.obj"
# Vertex ranges of the published mesh that are rendered. The eyeballs come from the photo instead.
PARTS = {
    "face": (0, 9409), "socket": (11248, 13294), "gums": (14062, 17039), "upper_teeth": (17039, 19247),
    "lower_teeth": (19247, 21451),
}  # fmt: skip
DOWNLOAD_HINT = "clone https://github.com/ICT-VGL/ICT-FaceKit and give its folder FaceXModel"


@dataclass(eq=False)
class FaceModel:
    """
    A linear 3D face model.

    Args:
        neutral: (V, 3) cm, x to the subject's left, y up, z forward.
        triangles: (T, 3) int32, the skin's first.
        identity: (K, V, 3) identity shapes, offsets from `neutral`.
        expressions: (51, V, 3) offsets in the order of `BLENDSHAPES`.
        parts: vertex range of each part; the first is `face`, the skin.
        files: the files that it was read from.
    """

    neutral: np.ndarray
    triangles: np.ndarray
    identity: np.ndarray
    expressions: np.ndarray
    parts: dict[str, slice]
    files: list[Path] = field(default_factory=list)

    def shape(self, identity: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """(V, 3) vertices for (K,) identity coefficients and (51,) blendshape weights."""
        neutral = self.neutral + np.tensordot(identity.astype(np.float32), self.identity, 1)
        return self.apply_blendshapes(neutral, weights)

    def apply_blendshapes(self, neutral: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """(V, 3) vertices of a neutral face (V, 3) after (51,) blendshape weights."""
        moved = neutral.copy()
        for index in np.flatnonzero(weights):
            moved += np.float32(weights[index]) * self.expressions[index]
        return moved

    @cached_property
    def skin(self) -> int:
        """Number of skin vertices, which come first."""
        return self.parts["face"].stop

    @cached_property
    def skin_triangles(self) -> np.ndarray:
        """(T, 3) triangles of the skin."""
        return np.ascontiguousarray(self.triangles[(self.triangles < self.skin).all(1)])

    @cached_property
    def part_of_triangle(self) -> np.ndarray:
        """(T,) int8 index in `parts` for each triangle."""
        part = np.zeros(len(self.neutral), np.int8)
        for number, where in enumerate(self.parts.values()):
            part[where] = number
        return part[self.triangles].max(1)

    def part_number(self, name: str) -> int:
        """Index of a part in `parts`."""
        return list(self.parts).index(name)

    @cached_property
    def laplacian(self) -> csr_matrix:
        """Graph Laplacian of the skin."""
        return graph_laplacian(self.skin_triangles, self.skin)

    @cached_property
    def middle(self) -> np.ndarray:
        """(3,) mean of the skin vertices."""
        return self.neutral[: self.skin].mean(0)

    def pieces(self, name: str) -> list[np.ndarray]:
        """Vertices of each connected component of a part, such as single teeth, sorted by x."""
        where = self.parts[name]
        inside = ((self.triangles >= where.start) & (self.triangles < where.stop)).all(1)
        laplacian = graph_laplacian(self.triangles[inside] - where.start, where.stop - where.start)
        count, labels = connected_components(laplacian, directed=False)
        pieces = [np.flatnonzero(labels == number) + where.start for number in range(count)]
        return sorted(pieces, key=lambda piece: self.neutral[piece, 0].mean())


def model_files(folder: str | Path) -> list[Path]:
    """
    The files of the face model: `ict.npz`, or the OBJ files of a clone.

    Raises:
        BuildError: the folder holds neither.
    """
    folder = Path(folder)
    if folder.is_dir() and (folder / "ict.npz").is_file():
        return [folder / "ict.npz"]
    for root in (folder, folder / "FaceXModel"):
        if (root / NEUTRAL_OBJ).is_file():
            return sorted(root.glob("*.obj"))
    raise BuildError(f"{folder} holds neither ict.npz nor {NEUTRAL_OBJ}: {DOWNLOAD_HINT} as --ict")


@lru_cache(maxsize=1)
def read_face_model(folder: str | Path) -> FaceModel:
    """
    Read ICT-FaceKit's light model.

    Raises:
        BuildError: files or shapes are missing.
    """
    files = model_files(folder)
    vertices, triangles, identity, shapes = _read_npz(files[0]) if files[0].suffix == ".npz" else _read_obj(files)
    stems = {"L": "Left", "R": "Right"}
    expressions = np.zeros((len(BLENDSHAPES), *vertices.shape), np.float32)
    known = set()
    for name, shape in shapes.items():
        stem, _, side = name.partition("_")
        for arkit in (stem + stems.get(side, ""), stem):
            if arkit in BLENDSHAPES:
                expressions[BLENDSHAPES.index(arkit)] += shape
                known.add(arkit)
                break
    if absent := sorted(set(BLENDSHAPES) - known):
        raise BuildError(f"{folder} lacks the expression shapes {', '.join(absent)}: {DOWNLOAD_HINT} as --ict")
    kept = np.concatenate([np.arange(*span) for span in PARTS.values()])
    new = np.full(len(vertices), -1, np.int32)
    new[kept] = np.arange(len(kept))
    parts, start = {}, 0
    for name, (first, last) in PARTS.items():
        parts[name] = slice(start, start + last - first)
        start += last - first
    triangles = new[triangles]
    triangles = triangles[(triangles >= 0).all(1)]
    skin_first = np.argsort((triangles >= parts["face"].stop).any(1), kind="stable")
    return FaceModel(
        vertices[kept], np.ascontiguousarray(triangles[skin_first]), np.ascontiguousarray(identity[:, kept]),
        np.ascontiguousarray(expressions[:, kept]), parts, files,
    )  # fmt: skip


def _read_npz(path: Path) -> tuple:
    with np.load(path) as stored:
        shapes = dict(zip(stored["names"].tolist(), stored["E"].astype(np.float32)))
        return stored["v"], stored["tri"], stored["I"].astype(np.float32), shapes


def _read_obj(files: list[Path]) -> tuple:
    by_name = {path.stem: path for path in files}
    vertices, triangles = _read_mesh(by_name.pop(Path(NEUTRAL_OBJ).stem))
    moved = {name: _read_mesh(path, faces=False)[0] - vertices for name, path in by_name.items()}
    identity = [moved.pop(name) for name in sorted(moved) if name.startswith("identity")]
    if len(identity) < MODES:
        raise BuildError(
            f"{files[0].parent} holds {len(identity)} of {MODES} identity shapes: {DOWNLOAD_HINT} as --ict"
        )
    return vertices, triangles, np.stack(identity), moved


def _read_mesh(path: Path, faces: bool = True) -> tuple[np.ndarray, np.ndarray]:
    vertices, triangles = [], []
    with open(path) as lines:
        for line in lines:
            if line.startswith("v "):
                vertices.append(line.split()[1:4])
            elif faces and line.startswith("f "):
                corners = [int(corner.partition("/")[0]) - 1 for corner in line.split()[1:]]
                triangles += [(corners[0], corners[k], corners[k + 1]) for k in range(1, len(corners) - 1)]
    return np.array(vertices, np.float32), np.array(triangles, np.int32).reshape(-1, 3)
