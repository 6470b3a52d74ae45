"""Eyeballs that turn with the gaze, and lids that slide over them."""

from dataclasses import dataclass

import numpy as np

from ..expressions.blendshapes import BLENDSHAPE_INDEX, GAZE_DEGREES, SIDES
from .gltf import Mesh


CLEARANCE = 0.0005  # metres between a moved lid and the eyeball
RIM_DEPTH = 0.0015  # metres inside the eyeball's surface at which the rim of a lid may lie at rest
FULL_LIFT = 0.002  # metres of motion after which a lid has its full clearance
REAL_RADIUS = 0.012  # metres, of a human eyeball
MIN_LID_MOTION = 0.0005  # metres, of the vertices that belong to the lids
REACH = 1.8  # radii of the eyeball, around its centre, in which vertices may belong to the lids
# How much of each blendshape a closed lid takes away.
YIELDS_TO_BLINK = {"eyeSquint": 1.0, "eyeWide": 1.0, "eyeLookUp": 1.0, "eyeLookDown": 1.0, "cheekSquint": 0.6}


@dataclass(frozen=True)
class Eyeball:
    """
    The sphere of an eyeball.

    Args:
        side: `Left` or `Right`, the subject's own.
        centre: (3,) metres. radius: metres.
    """

    side: str
    centre: np.ndarray
    radius: float


def fit_eyeball(mesh: Mesh, side: str) -> Eyeball:
    """Fit a sphere to the mesh of an eyeball by least squares."""
    points = mesh.positions.astype(float)
    middle = points.mean(0)
    points = points - middle
    system = np.column_stack([2 * points, np.ones(len(points))])
    solution = np.linalg.lstsq(system, (points**2).sum(1), rcond=None)[0]
    radius = float(np.sqrt(solution[3] + (solution[:3] ** 2).sum()))
    return Eyeball(side, (middle + solution[:3]).astype(np.float32), radius)


def turn(yaw: float, pitch: float) -> np.ndarray:
    """(3, 3) rotation by yaw and pitch, in radians."""
    cos_y, sin_y, cos_p, sin_p = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    around_y = np.array([[cos_y, 0, sin_y], [0, 1, 0], [-sin_y, 0, cos_y]])
    around_x = np.array([[1, 0, 0], [0, cos_p, -sin_p], [0, sin_p, cos_p]])
    return around_x @ around_y


def gaze_angles(weights: np.ndarray, eyeball: Eyeball) -> tuple[float, float]:
    """
    The rotation of an eyeball to the viewer's right and up, in radians, from the eyeLook weights (51,). The heads'
    eyeballs are larger than real ones; they turn less, so that the iris moves as far as that of a real eye.
    """
    look = {way: weights[BLENDSHAPE_INDEX[f"eyeLook{way}{eyeball.side}"]] for way in ("In", "Out", "Up", "Down")}
    outwards = 1 if eyeball.side == "Left" else -1
    gaze = np.array([outwards * (look["Out"] - look["In"]), look["Up"] - look["Down"]])
    travel = REAL_RADIUS / max(eyeball.radius, REAL_RADIUS) * np.sin(np.deg2rad(GAZE_DEGREES * gaze))
    right, up = np.arcsin(travel)
    return float(right), float(up)


def limit_lids(weights: np.ndarray) -> np.ndarray:
    """Weights (51,) with blinks of at most 1, in which the other motions of the lids yield to a blink."""
    limited = weights.copy()
    for side in SIDES:
        blink = BLENDSHAPE_INDEX[f"eyeBlink{side}"]
        limited[blink] = np.clip(limited[blink], 0, 1)
        for name, share in YIELDS_TO_BLINK.items():
            limited[BLENDSHAPE_INDEX[name + side]] *= 1 - share * limited[blink]
    return limited


class Lids:
    """
    The lids of one eye.

    Args:
        positions: (V, 3) vertices of the skin at rest.
        morphs: blendshape → (V, 3) displacements.
        eyeball: the eyeball behind the lids.
    """

    def __init__(self, positions: np.ndarray, morphs: dict[str, np.ndarray], eyeball: Eyeball):
        self.eyeball = eyeball
        moving = np.zeros(len(positions), bool)
        for name in ("eyeBlink", "eyeSquint", "eyeWide"):
            moving |= np.linalg.norm(morphs[name + eyeball.side], axis=1) > MIN_LID_MOTION
        near = np.linalg.norm(positions - eyeball.centre, axis=1) < REACH * eyeball.radius
        self.vertices = np.flatnonzero(near & moving)
        self.at_rest = positions[self.vertices]
        distance = np.linalg.norm(self.at_rest - eyeball.centre, axis=1)
        surface = eyeball.radius + CLEARANCE
        self.least_at_rest = np.minimum(distance, surface)
        self.least_moved = np.where(distance > eyeball.radius - RIM_DEPTH, surface, self.least_at_rest)

    def slide(self, positions: np.ndarray):
        """Move the lids' vertices of the skin (V, 3) out of the eyeball, in place."""
        moved = positions[self.vertices]
        lift = np.clip(np.linalg.norm(moved - self.at_rest, axis=1) / FULL_LIFT, 0, 1)
        least = self.least_at_rest + lift * (self.least_moved - self.least_at_rest)
        outwards = moved - self.eyeball.centre
        distance = np.linalg.norm(outwards, axis=1)
        factor = np.maximum(1, least / np.maximum(distance, 1e-6)).astype(np.float32)
        positions[self.vertices] = self.eyeball.centre + outwards * factor[:, None]
