"""The parts of a person as a session sees them: visible triangles, material, and vertices in an expression."""

from collections.abc import Callable

import numpy as np

from ..expressions.blendshapes import BLENDSHAPES
from .eyes import Eyeball, Lids, gaze_angles, turn
from .gltf import Mesh
from .mouth import is_mouth_part, light_inside, lining_of
from .people import Person, is_wig
from .rasterizer import vertex_normals


MOVING = 0.001  # metres in one of the blendshapes; such vertices may come into view
BACKFACING = -0.3  # vertices whose normals point further away from the camera are never visible
# Materials as in `rasterizer.shade`.
SKIN = np.array([0.40, 0.22, 0.14, 0.035, 14, 0.0, 1.0, 1.0, 1.0], np.float32)
EYEBALL = np.array([0.10, 0.10, 0.10, 0.7, 220, 0.6, 0.55, 0.68, 0.66], np.float32)
TEETH = np.array([0.20, 0.15, 0.15, 0.06, 40, 0.0, 0.72, 0.64, 0.65], np.float32)
HAIR = np.array([0.15, 0.15, 0.15, 0.02, 20, 0.0, 0.9, 0.9, 0.9], np.float32)
PLAIN = np.array([0.25, 0.25, 0.25, 0, 1, 0, 1, 1, 1], np.float32)


class Part:
    """
    A mesh of the person, reduced to the triangles that the session can show.

    Args:
        person: the person.
        index: index of the mesh in `Person.parts`.
        eyeballs: index → the spheres of the person's eyeballs.
        project: world coordinates → pixels (V, 2), nearness (V,), camera coordinates (V, 3).
        side: side of the picture in these pixels.
        gloss: how glossy the skin is, about 1; None for matt surfaces everywhere.
    """

    def __init__(
        self, person: Person, index: int, eyeballs: dict[int, Eyeball], project: Callable, side: int,
        gloss: float | None,
    ):  # fmt: skip
        mesh: Mesh = person.parts[index]
        name = mesh.name.lower()
        self.eyeball = eyeballs.get(index)
        self.centre = None if self.eyeball is None else project(self.eyeball.centre[None])[2]
        self.cut_out = is_wig(mesh)
        self.casts_shadow = self.eyeball is None and not is_mouth_part(mesh) and "gland" not in name
        self.material = PLAIN if gloss is None else _material(mesh, self.eyeball, gloss)
        screen, nearness, turned = project(mesh.positions)
        merged = _merged(mesh)
        normals = vertex_normals(turned, mesh.triangles, merged)
        corners = screen[mesh.triangles]
        near = ((corners.max(1) > -side / 4) & (corners.min(1) < side * 5 / 4)).all(1)
        facing = normals[mesh.triangles, 2].max(1) > BACKFACING
        if self.cut_out:  # hair is visible from both sides
            facing[:] = True
        moving = np.zeros(len(mesh.positions), bool)
        for displaced in mesh.morphs.values():
            moving |= np.abs(displaced).max(1) > MOVING
        facing |= moving[mesh.triangles].any(1)
        triangles = mesh.triangles[near & facing]
        used, compact = np.unique(triangles, return_inverse=True)
        if index == 0:
            used = np.union1d(used, person.landmarks)
            compact = np.searchsorted(used, triangles)
            self.landmarks = np.searchsorted(used, person.landmarks)
        self.triangles = np.ascontiguousarray(compact.reshape(-1, 3), dtype=np.int32)
        self.positions = np.ascontiguousarray(mesh.positions[used], dtype=np.float32)
        self.morphs = {name: moved[used] for name, moved in mesh.morphs.items()}
        self.lids = [Lids(self.positions, self.morphs, eyeball) for eyeball in eyeballs.values()] if index == 0 else []
        self.uv = np.ascontiguousarray(mesh.uv[used], dtype=np.float32)
        _, first, inverse = np.unique(merged[used], return_index=True, return_inverse=True)
        self.merged = first[inverse.reshape(-1)].astype(np.int64)
        self.neutral = np.ascontiguousarray(np.column_stack([screen, nearness])[used])
        self.texture = np.ascontiguousarray(mesh.texture[..., :3])
        self.alpha = np.ascontiguousarray(mesh.texture[..., 3]) if self.cut_out else np.zeros((1, 1), np.uint8)

        self.exposure = np.ones(len(used), np.float32)
        inside = lining_of(mesh)[used] if index == 0 else np.full(len(used), is_mouth_part(mesh))
        self.exposure[inside] = light_inside(person.mouth_front() - self.positions[inside, 2])

    def normals(self, turned: np.ndarray) -> np.ndarray:
        """(V, 3) unit normals in the camera's coordinates. An eyeball has those of a sphere: its iris is a dish, but
        highlights lie on the cornea."""
        if self.eyeball is None:
            return vertex_normals(turned, self.triangles, self.merged)
        outwards = turned - self.centre
        return outwards / np.linalg.norm(outwards, axis=1, keepdims=True)

    def posed(self, weights: np.ndarray) -> np.ndarray:
        """(V, 3) positions of the vertices for the weights (51,) of an expression."""
        if self.eyeball is not None:
            right, up = gaze_angles(weights, self.eyeball)
            centre = self.eyeball.centre
            return ((self.positions - centre) @ turn(right, -up).T + centre).astype(np.float32)
        positions = self.positions.copy()
        for index in np.flatnonzero(weights):
            if BLENDSHAPES[index] in self.morphs:
                positions += np.float32(weights[index]) * self.morphs[BLENDSHAPES[index]]
        for lids in self.lids:
            lids.slide(positions)
        return positions


def _material(mesh: Mesh, eyeball: Eyeball | None, gloss: float) -> np.ndarray:
    if eyeball is not None:
        return EYEBALL
    if is_wig(mesh):
        return HAIR
    if is_mouth_part(mesh):
        return TEETH
    skin = SKIN.copy()
    skin[3] *= gloss
    return skin


def _merged(mesh: Mesh) -> np.ndarray:
    """(V,) numbers, the same for vertices at the same position with different texture coordinates."""
    places = np.round((mesh.positions - mesh.positions.min(0)) * 1e5).astype(np.int64)
    _, first, inverse = np.unique(
        (places[:, 0] << 40) + (places[:, 1] << 20) + places[:, 2], return_index=True, return_inverse=True
    )
    return first[inverse.reshape(-1)].astype(np.int64)
