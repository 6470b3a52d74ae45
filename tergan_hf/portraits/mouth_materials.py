"""Colours of the face model's teeth, gums and tongue, and the shape of its tongue."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from .face_model import FaceModel
from .fitting import smoothstep
from .mesh import vertex_normals


SOCKET, GUM, TONGUE = (0.42, 0.16, 0.15), (0.80, 0.49, 0.46), (0.80, 0.43, 0.42)  # relative to white
TOOTH = (1.0, 0.985, 0.94)
LOWER_TEETH_DARKER = 0.88
CANINES = (5, 10)  # positions in a row of teeth
TONGUE_RISE = 0.95  # cm out of the floor of the mouth


@dataclass(frozen=True)
class MouthMaterials:
    """
    Colours and shape of the inner mouth.

    Args:
        albedo: (V, 3) colours relative to white, meaningful inside the mouth.
        lift: (V,) cm by which the tongue rises from the model's floor of the mouth.
        tongue: (V,) 0 to 1, membership of the tongue.
        tip_distance: (V,) of teeth, 0 at the biting edge to 1 at the gum.
    """

    albedo: np.ndarray
    lift: np.ndarray
    tongue: np.ndarray
    tip_distance: np.ndarray


def mouth_materials(model: FaceModel) -> MouthMaterials:
    """Materials for the model's mouth, which has no colours and no tongue of its own."""
    vertices = model.neutral
    albedo = np.ones((len(vertices), 3), np.float32)
    lift, tongue, tip = (np.zeros(len(vertices), np.float32) for _ in range(3))
    if "gums" not in model.parts:
        return MouthMaterials(albedo, lift, tongue, tip)
    albedo[model.parts["socket"]] = SOCKET
    gums = model.parts["gums"]
    points = vertices[gums]
    teeth_at = vertices[model.parts["lower_teeth"]]
    from_teeth = cKDTree(teeth_at).query(points)[0]
    up = vertex_normals(vertices, model.triangles)[gums, 1]
    floor = (points[:, 1] < -2.2) & (up > 0.1) & (points[:, 2] < 10.2)
    share = floor * smoothstep(from_teeth, 0.35, 1.1)
    tongue[gums] = share
    groove = np.exp(-((points[:, 0] / 0.16) ** 2)) * share
    albedo[gums] = np.array(GUM, np.float32) * (1 - share[:, None]) + np.array(TONGUE, np.float32) * share[:, None]
    albedo[gums] *= (1 - 0.14 * groove)[:, None]
    lift[gums] = 0.15 * smoothstep(points[:, 1], -2.7, -2.1)
    lift[gums] += TONGUE_RISE * floor * smoothstep(from_teeth, 0.25, 1.5) * np.exp(-((points[:, 0] / 2.0) ** 2))
    lift[gums] -= 0.10 * groove
    random = np.random.default_rng(7)
    for part, sign in (("upper_teeth", 1), ("lower_teeth", -1)):
        for number, piece in enumerate(model.pieces(part)):
            heights = vertices[piece, 1] * sign
            reach = np.clip((heights - heights.min()) / 0.9, 0, 1)
            colour = (
                np.array(TOOTH, np.float32) * (1 - (0.05 if number in CANINES else 0)) * (1 + 0.02 * random.normal())
            )
            if sign < 0:
                colour = colour * LOWER_TEETH_DARKER
            to_gum = np.outer(reach**1.5, [-0.02, -0.05, -0.09])
            to_edge = np.outer(1 - smoothstep(reach, 0, 0.3), [-0.10, -0.07, -0.03])  # enamel is translucent there
            albedo[piece] = colour * (1 + to_gum + to_edge)
            tip[piece] = reach
    return MouthMaterials(albedo, lift, tongue, tip)
