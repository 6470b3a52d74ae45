"""New people from 3D heads: shapes, movements and skins of several heads, mixed.

Heads that were modelled over one template share their texture coordinates, so vertices of two heads belong together
where their (u, v) agree; the order of vertices and triangles differs from file to file.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from .gltf import GltfError, Mesh, read_meshes


TEXTURE_SIDE = 1024
BELOW_THE_EYES = 0.30  # metres of neck and shoulders that are kept
UV_STEPS = 20_000  # texture coordinates that agree to one part in so many are the same


@dataclass
class Head:
    """
    One avatar's head: `face` (skin, over the shared template) and the other parts (eyes, teeth, a wig) by name.

    Args:
        eyes: (3,) middle of the eyeballs, in metres.
    """

    name: str
    face: Mesh
    parts: dict[str, Mesh]
    eyes: np.ndarray


@dataclass
class Person:
    """
    Somebody to render.

    Args:
        parts: their meshes, the face first.
        eyes: (3,) middle of the eyeballs, in metres.
        heads: names of the heads they are made of.
        landmarks: indices of the face's vertices at the nose tip and the left and right mouth corner (as the viewer
            sees them).
    """

    parts: list[Mesh]
    eyes: np.ndarray
    heads: list[str]
    landmarks: np.ndarray
    eyeballs: list[int] = field(default_factory=list)

    @property
    def face(self) -> Mesh:
        return self.parts[0]

    def eyeball_centres(self) -> np.ndarray:
        """(2, 3): the left and right eye as the viewer sees them."""
        centres = np.array([self.parts[index].positions.mean(0) for index in self.eyeballs])
        return centres[np.argsort(centres[:, 0])]


def read_head(path: str | Path, template: Mesh | None = None) -> Head:
    """
    Read one avatar, cut to its head.

    Args:
        template: the face whose vertex order the new face takes; default: its own.

    Raises:
        GltfError: no mesh with facial morph targets, no eyeballs, or another template's texture coordinates.
    """
    path = Path(path)
    meshes = read_meshes(path)
    faces = [mesh for mesh in meshes if "MouthOpen" in mesh.morphs and not mesh.name.lower().endswith("teethdown")]
    eyes = [mesh for mesh in meshes if mesh.name.lower().endswith("eye")]
    if not faces:
        raise GltfError(f"{path}: no mesh has facial morph targets (none is called MouthOpen)")
    lacking = [name for name in ("RlipCorner", "LlipCorner") if name not in max(faces, key=_size).morphs]
    if lacking:
        raise GltfError(f"{path}: the face has no morph target {' and '.join(lacking)}")
    if not eyes:
        raise GltfError(f"{path}: no mesh is called ..._eye")
    face = max(faces, key=_size)
    middle = np.mean([mesh.positions.mean(0) for mesh in eyes], axis=0)
    if template is not None:
        face = _in_order_of(face, template, path)
    face = _above(face, middle[1] - BELOW_THE_EYES)
    face.texture = _resized(face.texture)
    parts = {mesh.name: mesh for mesh in meshes if mesh.name != face.name}
    for mesh in parts.values():
        mesh.texture = _resized(mesh.texture)
    return Head(path.stem.removesuffix("_Casual"), face, parts, middle)


def blend_heads(heads: list[Head], weights: np.ndarray, with_wig: bool = True) -> Person:
    """
    A new person: weighted means of shape, movements and skin; eyes, teeth and hair of the head that counts most, moved
    to the new eyes.

    Args:
        heads: with the faces of one template.
        weights: (len(heads),), summing to 1; slightly negative ones exaggerate what tells the others apart.
    """
    main = heads[int(np.argmax(weights))]

    def mean(values):
        return sum(weight * value for weight, value in zip(weights, values)).astype(np.float32)

    shared = set.intersection(*(set(head.face.morphs) for head in heads))
    texture = np.clip(mean([head.face.texture for head in heads]), 0, 255).astype(np.uint8)
    face = Mesh(
        "face",
        mean([head.face.positions for head in heads]),
        main.face.uv,
        main.face.triangles,
        texture,
        {name: mean([head.face.morphs[name] for head in heads]) for name in shared},
    )
    eyes = mean([head.eyes for head in heads])
    parts = [face]
    for name, mesh in main.parts.items():
        if is_wig(mesh) and not with_wig:
            continue
        same = [head.parts[name] for head in heads if name in head.parts]
        comparable = len(same) == len(heads) and all(len(m.positions) == len(mesh.positions) for m in same)
        if comparable and not is_wig(mesh):
            positions = mean([other.positions for other in same])
        else:
            positions = mesh.positions + (eyes - main.eyes).astype(np.float32)
        parts.append(Mesh(mesh.name, positions, mesh.uv, mesh.triangles, mesh.texture, mesh.morphs))
    names = [head.name for head in heads]
    eyeballs = [index for index, mesh in enumerate(parts) if mesh.name.lower().endswith("eye")]
    return Person(parts, eyes, names, find_landmarks(face, eyes), eyeballs)


def is_wig(mesh: Mesh) -> bool:
    """Hair as a mesh of its own, with a cut-out texture."""
    return "wig" in mesh.name.lower()


def find_landmarks(face: Mesh, eyes: np.ndarray) -> np.ndarray:
    """Vertices of the nose tip, the foremost point below the eyes, and of the mouth corners, what `RlipCorner` and
    `LlipCorner` move furthest."""
    below, sideways = eyes[1] - face.positions[:, 1], face.positions[:, 0] - eyes[0]
    middle = (np.abs(sideways) < 0.02) & (below > 0.02) & (below < 0.07)
    nose = np.flatnonzero(middle)[face.positions[middle, 2].argmax()]
    corners = [int(np.linalg.norm(face.morphs[name], axis=1).argmax()) for name in ("RlipCorner", "LlipCorner")]
    corners.sort(key=lambda vertex: face.positions[vertex, 0])
    return np.array([nose, *corners])


def _in_order_of(face: Mesh, template: Mesh, path: Path) -> Mesh:
    own = {key: index for index, key in enumerate(_keys(face.uv))}
    try:
        order = np.array([own[key] for key in _keys(template.uv)])
    except KeyError:
        raise GltfError(f"{path}: its texture coordinates are not those of the first head's template") from None
    morphs = {name: moved[order] for name, moved in face.morphs.items()}
    return Mesh(face.name, face.positions[order], template.uv, template.triangles, face.texture, morphs)


def _size(mesh: Mesh) -> int:
    return len(mesh.positions)


def _keys(uv: np.ndarray) -> list[tuple[int, int]]:
    return [tuple(key) for key in np.round(uv * UV_STEPS).astype(int)]


def _above(mesh: Mesh, height: float) -> Mesh:
    """The mesh without the triangles below a height; its vertices keep their numbers."""
    keep = mesh.positions[mesh.triangles][:, :, 1].min(1) > height
    return Mesh(mesh.name, mesh.positions, mesh.uv, mesh.triangles[keep], mesh.texture, mesh.morphs)


def _resized(texture: np.ndarray) -> np.ndarray:
    if texture.shape[0] <= TEXTURE_SIDE:
        return texture
    size = (TEXTURE_SIDE * texture.shape[1] // texture.shape[0], TEXTURE_SIDE)
    return np.asarray(Image.fromarray(texture).resize(size, Image.Resampling.BOX))
