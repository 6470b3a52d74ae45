"""Blend new people from the shapes, morph targets and skins of several 3D heads.

Heads over one template share their texture coordinates, but the order of vertices and triangles differs between files.
Vertices of two heads correspond if their (u, v) agree.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from .blendshape_table import combine_morph_targets, required_morph_targets
from .gltf import GltfError, Mesh, list_meshes, read_meshes
from .library import head_name
from .mouth import brighten_mouth, is_mouth_part


TEXTURE_SIDE = 1024
CORNER_MORPHS = ("RlipCorner", "LlipCorner")  # they move the mouth corners furthest
BELOW_THE_EYES = 0.30  # metres of neck and shoulders to keep
UV_STEPS = 20_000  # texture coordinates are equal if they agree to one part in this number


@dataclass
class Head:
    """
    The head of one avatar.

    Args:
        name: name of the head.
        face: the mesh of the skin, over the shared template. Its morphs and those of the teeth are ARKit blendshapes.
        parts: name → other meshes: eyes, teeth, a wig.
        eyes: (3,) midpoint between the eyeballs, in metres.
        corners: vertices of the face at the subject's right and left mouth corner.
    """

    name: str
    face: Mesh
    parts: dict[str, Mesh]
    eyes: np.ndarray
    corners: tuple[int, int]


@dataclass
class Person:
    """
    A person to render.

    Args:
        parts: the meshes, the face first.
        eyes: (3,) midpoint between the eyeballs, in metres.
        heads: names of the heads that the person is blended from.
        landmarks: vertices of the face at the nose tip and the left and right mouth corner (as the viewer sees them).
        eyeballs: indices of the eyeballs in `parts`.
    """

    parts: list[Mesh]
    eyes: np.ndarray
    heads: list[str]
    landmarks: np.ndarray
    eyeballs: list[int] = field(default_factory=list)

    @property
    def face(self) -> Mesh:
        """The mesh of the skin."""
        return self.parts[0]

    def without_wig(self) -> "Person":
        """The same person without hair that is a mesh of its own."""
        kept = [mesh for mesh in self.parts if not is_wig(mesh)]
        eyeballs = [index for index, mesh in enumerate(kept) if _is_eyeball(mesh.name)]
        return Person(kept, self.eyes, self.heads, self.landmarks, eyeballs)

    def mouth_front(self) -> float:
        """The foremost z of teeth and tongue in metres, or of the mouth corners without any."""
        parts = [mesh for mesh in self.parts if is_mouth_part(mesh)]
        corners = self.face.positions[self.landmarks[1:], 2].max()
        return float(max((mesh.positions[:, 2].max() for mesh in parts), default=corners))

    def eyeball_centres(self) -> np.ndarray:
        """(2, 3) metres: the left and right eye as the viewer sees them."""
        centres = np.array([self.parts[index].positions.mean(0) for index in self.eyeballs])
        return centres[np.argsort(centres[:, 0])]


def read_head(path: str | Path, template: Mesh | None = None) -> Head:
    """
    Read the head of one avatar.

    Args:
        path: a `.glb` file.
        template: a face whose order of vertices to use. Default: keep the file's order.

    Raises:
        GltfError: a mesh with facial morph targets or the eyeballs are missing, or the texture coordinates are not the
            template's.
    """
    path = Path(path)
    check_head(path)
    meshes = read_meshes(path)
    face = max((mesh for mesh in meshes if _may_be_face(mesh.name, mesh.morphs)), key=_size)
    middle = np.mean([mesh.positions.mean(0) for mesh in meshes if _is_eyeball(mesh.name)], axis=0)
    if template is not None:
        face = _in_order_of(face, template, path)
    face = _above(face, middle[1] - BELOW_THE_EYES)
    parts = {mesh.name: mesh for mesh in meshes if mesh.name != face.name}
    mouth_parts = [mesh for mesh in parts.values() if is_mouth_part(mesh)]
    ready: dict[int, np.ndarray] = {}
    for mesh in [face, *parts.values()]:
        key = id(mesh.texture)  # meshes share textures
        if key not in ready:
            sharing = [part for part in mouth_parts if id(part.texture) == key]
            texture = _resized(mesh.texture)
            ready[key] = brighten_mouth(texture, sharing, mesh is face) if sharing else texture
    right, left = (int(np.linalg.norm(face.morphs[name], axis=1).argmax()) for name in CORNER_MORPHS)
    for mesh in [face, *parts.values()]:
        mesh.texture = ready[id(mesh.texture)]
        mesh.morphs = combine_morph_targets(mesh.morphs, mesh.positions[:, 0] - middle[0], mesh is face)
    return Head(head_name(path), face, parts, middle, (right, left))


def check_head(path: str | Path):
    """
    Check that `read_head` can use a file, without decoding it.

    Raises:
        GltfError: as `read_head`. The message names the file.
    """
    meshes = list_meshes(path)
    faces = [morphs for name, morphs in meshes if _may_be_face(name, morphs)]
    if not faces:
        raise GltfError(
            f"{path}: no mesh has facial morph targets such as MouthOpen: expected a head with 65 of them, like the "
            "VALID avatars"
        )
    most: list[str] = max(faces, key=len)
    lacking = sorted((required_morph_targets() | set(CORNER_MORPHS)).difference(most))
    if lacking:
        raise GltfError(f"{path}: the face has no morph target {', '.join(lacking)}")
    if not any(_is_eyeball(name) for name, _ in meshes):
        raise GltfError(f"{path}: no mesh is called ..._eye")


def _may_be_face(name: str, morphs) -> bool:
    return "MouthOpen" in morphs and not name.lower().endswith("teethdown")


def _is_eyeball(name: str) -> bool:
    return name.lower().endswith("eye")


def blend_heads(
    heads: list[Head],
    weights: np.ndarray,
    with_wig: bool = True,
    skin: tuple[list[Head], np.ndarray] | None = None,
) -> Person:
    """
    Blend a new person: weighted means of shape, morph targets and skin. Eyes and teeth come from the head with the
    largest weight for the skin, hair from the one with the largest weight for the shape, moved to the new eyes.

    Args:
        heads: heads whose faces have the same template.
        weights: (len(heads),), summing to 1. Slightly negative ones exaggerate differences.
        with_wig: keep hair that is a mesh of its own.
        skin: heads and weights for the skin. Default: those for the shape.
    """
    skins, shares = skin or (heads, weights)
    main, worn = heads[int(np.argmax(weights))], skins[int(np.argmax(shares))]

    def mean(values, weights=weights):
        return sum(np.float32(weight) * value for weight, value in zip(weights, values))

    texture = np.clip(mean([head.face.texture for head in skins], shares), 0, 255).astype(np.uint8)
    face = Mesh(
        "face",
        mean([head.face.positions for head in heads]),
        main.face.uv,
        main.face.triangles,
        texture,
        {name: mean([head.face.morphs[name] for head in heads]) for name in main.face.morphs},
    )
    eyes = mean([head.eyes for head in heads])
    parts = [face]
    for name, mesh in main.parts.items():
        if is_wig(mesh) and not with_wig:
            continue
        same = [head.parts[name].positions for head in heads if name in head.parts]
        if len(same) == len(heads) and not is_wig(mesh):
            mesh = worn.parts.get(name, mesh)
            # The order of these vertices differs between heads, so the part is moved and scaled as a whole.
            low, high = mean([points.min(0) for points in same]), mean([points.max(0) for points in same])
            own_low, own_high = mesh.positions.min(0), mesh.positions.max(0)
            positions = low + (mesh.positions - own_low) * (high - low) / (own_high - own_low)
        else:
            positions = mesh.positions + (eyes - main.eyes)
        parts.append(Mesh(mesh.name, positions.astype(np.float32), mesh.uv, mesh.triangles, mesh.texture, mesh.morphs))
    names = list(dict.fromkeys(head.name for head in [*heads, *skins]))
    eyeballs = [index for index, mesh in enumerate(parts) if _is_eyeball(mesh.name)]
    return Person(parts, eyes, names, find_landmarks(face, eyes, main.corners), eyeballs)


def is_wig(mesh: Mesh) -> bool:
    """Whether a mesh is hair with a cut-out texture."""
    return "wig" in mesh.name.lower()


def find_landmarks(face: Mesh, eyes: np.ndarray, corners: tuple[int, ...]) -> np.ndarray:
    """The vertices of the nose tip, which is the foremost point below the eyes, and of the mouth corners."""
    below, sideways = eyes[1] - face.positions[:, 1], face.positions[:, 0] - eyes[0]
    middle = (np.abs(sideways) < 0.02) & (below > 0.02) & (below < 0.07)
    nose = np.flatnonzero(middle)[face.positions[middle, 2].argmax()]
    return np.array([nose, *corners])


def _in_order_of(face: Mesh, template: Mesh, path: Path) -> Mesh:
    """The face with the template's order of vertices."""
    own, wanted = _keys(face.uv), _keys(template.uv)
    by_key = np.argsort(own, kind="stable")
    order = by_key[np.minimum(np.searchsorted(own[by_key], wanted, side="right"), len(own)) - 1]
    if not np.array_equal(own[order], wanted):
        raise GltfError(f"{path}: its texture coordinates differ from the first head's; use heads of one template")
    morphs = {name: moved[order] for name, moved in face.morphs.items()}
    return Mesh(face.name, face.positions[order], template.uv, template.triangles, face.texture, morphs)


def _size(mesh: Mesh) -> int:
    return len(mesh.positions)


def _keys(uv: np.ndarray) -> np.ndarray:
    """(V,) integers, equal for equal texture coordinates."""
    steps = np.round(uv * UV_STEPS).astype(np.int64)
    return (steps[:, 0] << 32) + steps[:, 1]


def _above(mesh: Mesh, height: float) -> Mesh:
    """The mesh without the triangles below a height. Vertices keep their numbers."""
    keep = mesh.positions[mesh.triangles][:, :, 1].min(1) > height
    return Mesh(mesh.name, mesh.positions, mesh.uv, mesh.triangles[keep], mesh.texture, mesh.morphs)


def _resized(texture: np.ndarray) -> np.ndarray:
    """The texture with at most `TEXTURE_SIDE` rows."""
    if texture.shape[0] <= TEXTURE_SIDE:
        return texture
    size = (TEXTURE_SIDE * texture.shape[1] // texture.shape[0], TEXTURE_SIDE)
    if texture[..., 3].min() < 255:
        return np.asarray(Image.fromarray(texture).resize(size, Image.Resampling.BOX))
    opaque = Image.fromarray(np.ascontiguousarray(texture[..., :3])).resize(size, Image.Resampling.BOX)
    return np.asarray(opaque.convert("RGBA"))
