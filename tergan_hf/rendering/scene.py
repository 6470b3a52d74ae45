"""One sitting of a person before a camera, and photos of it: only the expression changes from photo to photo."""

from dataclasses import dataclass

import numpy as np

from .expressions import Recipe
from .gltf import Mesh
from .people import Person, is_wig
from .rasterizer import draw_mesh, vertex_normals


FRAME = 0.21  # metres the picture is wide, at the eyes' distance
CENTRE = np.array([0.0, -0.035, -0.06])  # of the picture and of the head's turning, from the eyes, in metres
DISTANCE = 0.9  # of the camera, in metres
SUPERSAMPLING = 2


@dataclass(frozen=True)
class Sitting:
    """
    What stays the same within a sitting.

    Args:
        yaw, pitch, roll: of the head, in radians. zoom: of the camera; shift: (x, y) shares of the picture.
        key: strength and light_angle: side of the main light, in radians; fill: of the second one. ambient: light from
            everywhere. warmth: of the light, -1 to 1, blue to red.
        background: (S, S, 3) in [0, 255].
    """

    yaw: float
    pitch: float
    roll: float
    zoom: float
    shift: tuple[float, float]
    key: float
    light_angle: float
    fill: float
    ambient: float
    warmth: float
    background: np.ndarray


@dataclass(frozen=True)
class Photo:
    """
    A rendered photo.

    Args:
        pixels: (S, S, 3) uint8.
        motion: (2, M, M) float32: where the surface that each position shows is in the neutral photo of the sitting,
            minus where it is here: (x, y) as shares of the picture's side. Zero where nothing moves.
        landmarks: (5, 2) pixels, in the order of `DetectedFace.landmarks`.
    """

    pixels: np.ndarray
    motion: np.ndarray
    landmarks: np.ndarray


def draw_sitting(random: np.random.Generator, size: int) -> Sitting:
    """Pose within about ±20°, soft light from somewhere in front, a plain, graded or blurred background."""
    return Sitting(
        yaw=float(np.clip(random.normal(0, 0.13), -0.35, 0.35)),
        pitch=float(np.clip(random.normal(0, 0.07), -0.25, 0.25)),
        roll=float(random.normal(0, 0.04)),
        zoom=float(random.uniform(0.88, 1.05)),
        shift=(float(random.normal(0, 0.015)), float(random.normal(0, 0.015))),
        key=float(random.uniform(0.4, 0.85)),
        light_angle=float(random.uniform(-1.1, 1.1)),
        fill=float(random.uniform(0.05, 0.3)),
        ambient=float(random.uniform(0.3, 0.6)),
        warmth=float(random.normal(0, 0.05)),
        background=draw_background(random, size),
    )


def draw_background(random: np.random.Generator, size: int) -> np.ndarray:
    """(size, size, 3) in [0, 255]: smooth colour noise over a plain tone; often nearly plain."""
    tone = random.uniform(40, 225) + random.normal(0, 18, 3)
    coarse = random.normal(0, 1, (4, 4, 3)) * random.choice([0.0, 8.0, 30.0, 60.0])
    steps = np.linspace(0, 3, size)
    low = np.minimum(steps.astype(int), 2)
    share = (steps - low)[:, None]
    rows = coarse[low] * (1 - share[:, :, None]) + coarse[low + 1] * share[:, :, None]
    columns = rows[:, low] * (1 - share) + rows[:, low + 1] * share
    return np.clip(tone + columns, 0, 255)


class Camera:
    """
    Takes the photos of one person in one sitting.

    Args:
        size: side of the photos in pixels. motion_size: side of the motion maps.
    """

    def __init__(self, person: Person, sitting: Sitting, size: int = 192, motion_size: int = 64):
        self.person, self.sitting, self.size, self.motion_size = person, sitting, size, motion_size
        self.side = size * SUPERSAMPLING
        self.rotation = _rotation(sitting)
        self.merged = [_merged(mesh) for mesh in person.parts]
        self.neutral = [self._project(mesh.positions)[0] for mesh in person.parts]

    def take(self, recipe: Recipe) -> Photo:
        """Render one expression."""
        side = self.side
        colour = np.repeat(np.repeat(self.sitting.background, SUPERSAMPLING, 0), SUPERSAMPLING, 1).astype(np.float32)
        depth = np.full((side, side), -np.inf, np.float32)
        rest = np.full((side, side, 2), np.nan, np.float32)
        lights, light_colours, ambient = self._light()
        landmarks = None
        for index, mesh in enumerate(self.person.parts):
            positions = self._posed(mesh, index, recipe)
            screen, near, turned = self._project(positions)
            normals = vertex_normals(turned, mesh.triangles, self.merged[index])
            # Eyes that look elsewhere would count as movement of the lids' neighbourhood; they count as still.
            at_rest = screen if index in self.person.eyeballs else self.neutral[index]
            draw_mesh(
                screen, near, at_rest, normals, mesh.uv, mesh.triangles, mesh.texture, is_wig(mesh), lights,
                light_colours, ambient, colour, depth, rest,
            )  # fmt: skip
            if index == 0:
                landmarks = screen[self.person.landmarks]
        size = self.size
        pixels = np.clip(colour, 0, 255).reshape(size, SUPERSAMPLING, size, SUPERSAMPLING, 3).mean((1, 3))
        eyes = self._project(self.person.eyeball_centres().astype(np.float32))[0]
        points = np.concatenate([eyes, landmarks]) / SUPERSAMPLING
        return Photo(np.uint8(np.rint(pixels)), self._motion(rest), points)

    def _motion(self, rest: np.ndarray) -> np.ndarray:
        at = ((np.arange(self.motion_size) + 0.5) * self.side / self.motion_size).astype(int)
        here = np.stack(np.meshgrid(at + 0.5, at + 0.5), axis=-1)
        moved = np.nan_to_num(rest[at][:, at] - here, nan=0.0) / self.side
        return moved.transpose(2, 0, 1).astype(np.float32)

    def _posed(self, mesh: Mesh, index: int, recipe: Recipe) -> np.ndarray:
        positions = mesh.positions
        if index in self.person.eyeballs:
            centre = positions.mean(0) - np.array([0, 0, 0.004], np.float32)
            x, y = np.deg2rad(recipe.gaze)
            return ((positions - centre) @ _turn(x, -y).T + centre).astype(np.float32)
        for name, activation in recipe.activations.items():
            if activation and name in mesh.morphs:
                positions = positions + np.float32(activation) * mesh.morphs[name]
        return positions

    def _project(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """World → supersampled pixels (V, 2), nearness (V,), camera coordinates (V, 3)."""
        sitting, side = self.sitting, self.side
        turned = ((positions - (self.person.eyes + CENTRE)) @ self.rotation.T).astype(np.float32)
        scale = side * sitting.zoom / FRAME * DISTANCE / (DISTANCE - turned[:, 2])
        x = side * (0.5 + sitting.shift[0]) + turned[:, 0] * scale
        y = side * (0.5 + sitting.shift[1]) - turned[:, 1] * scale
        return np.stack([x, y], axis=1).astype(np.float32), turned[:, 2], turned

    def _light(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        sitting = self.sitting
        angle = sitting.light_angle
        lights = np.array([[0.8 * np.sin(angle), 0.4, np.cos(angle)], [-np.sin(angle), 0.1, 0.6]], np.float32)
        lights /= np.linalg.norm(lights, axis=1, keepdims=True)
        tint = np.array([1 + sitting.warmth, 1, 1 - sitting.warmth], np.float32)
        colours = np.stack([sitting.key * tint, np.full(3, sitting.fill)]).astype(np.float32)
        return lights, colours, (sitting.ambient * tint).astype(np.float32)


def _merged(mesh: Mesh) -> np.ndarray:
    """(V,): vertices at one place get one number, whatever their texture coordinates."""
    _, first, inverse = np.unique(
        np.round(mesh.positions * 1e5).astype(np.int64), axis=0, return_index=True, return_inverse=True
    )
    return first[inverse.reshape(-1)].astype(np.int64)


def _turn(yaw: float, pitch: float) -> np.ndarray:
    cos_y, sin_y, cos_p, sin_p = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    around_y = np.array([[cos_y, 0, sin_y], [0, 1, 0], [-sin_y, 0, cos_y]])
    around_x = np.array([[1, 0, 0], [0, cos_p, -sin_p], [0, sin_p, cos_p]])
    return around_x @ around_y


def _rotation(sitting: Sitting) -> np.ndarray:
    cos, sin = np.cos(sitting.roll), np.sin(sitting.roll)
    return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) @ _turn(sitting.yaw, sitting.pitch)
