"""A session of a person in front of a camera, and its photos. Only the expression changes between the photos."""

from dataclasses import dataclass

import numpy as np

from ..expressions.blendshapes import BLENDSHAPES
from ..model.face_alignment_tergan import fit_crop_transform, zoom_out
from .backgrounds import draw_background
from .eyes import fit_eyeball, limit_lids, turn
from .parts import Part
from .people import Person
from .rasterizer import develop, draw_depth, shade
from .uncovered import find_uncovered, nearest_around


FRAME = 0.21  # width of the picture at the distance of the eyes, in metres
# Centre of the picture and of the head's rotation, relative to the eyes, in metres.
CENTRE = np.array([0.0, -0.035, -0.06])
DISTANCE = 0.9  # of the camera, in metres
SUPERSAMPLING = 2
SHADOW_SIDE, SHADOW_WIDTH = 144, 0.36  # side of the shadow map in pixels and in metres
FLOW_MAP_REDUCTION = 2  # side of the photos / side of the flow maps


@dataclass(frozen=True)
class Session:
    """
    Everything that stays the same within a session.

    Args:
        yaw, pitch, roll: rotation of the head, in radians.
        zoom: zoom of the camera.
        shift: (x, y) shares of the picture.
        key: strength of the main light. All lights are in linear light.
        light_angle, light_height: direction of the main light, in radians.
        fill: strength of the second light.
        ambient: strength of the light from everywhere.
        warmth: colour of the light, -1 (blue) to 1 (red).
        gloss: how glossy the skin is, about 1.
        background: (S, S, 3) in [0, 255].
        plain: no shadows and highlights and only matt surfaces, as simple renderers draw.
    """

    yaw: float
    pitch: float
    roll: float
    zoom: float
    shift: tuple[float, float]
    key: float
    light_angle: float
    light_height: float
    fill: float
    ambient: float
    warmth: float
    gloss: float
    background: np.ndarray
    plain: bool = False


@dataclass(frozen=True)
class Photo:
    """
    A rendered photo.

    Args:
        pixels: (S, S, 3) uint8.
        flow: (2, S/2, S/2) float32: the position of the visible surface point in the neutral photo of the session
            minus its position here, (x, y) as shares of the photo's side. Zero without movement.
        uncovered: (S, S) bool: the neutral photo of the session does not show the visible surface point.
        landmarks: (5, 2) pixels, in the order of `DetectedFace.landmarks`.
    """

    pixels: np.ndarray
    flow: np.ndarray
    uncovered: np.ndarray
    landmarks: np.ndarray


def draw_session(random: np.random.Generator, size: int) -> Session:
    """Draw a session: pose within about ±20°, a main light from the front, a blurred background."""
    return Session(
        yaw=float(np.clip(random.normal(0, 0.13), -0.35, 0.35)),
        pitch=float(np.clip(random.normal(0, 0.07), -0.25, 0.25)),
        roll=float(random.normal(0, 0.04)),
        zoom=float(random.uniform(0.88, 1.05)),
        shift=(float(random.normal(0, 0.015)), float(random.normal(0, 0.015))),
        key=float(random.uniform(0.45, 1.0)),
        light_angle=float(random.uniform(-1.0, 1.0)),
        light_height=float(random.uniform(0.1, 0.8)),
        fill=float(random.uniform(0.05, 0.3)),
        ambient=float(random.uniform(0.25, 0.5)),
        warmth=float(random.normal(0, 0.07)),
        gloss=float(random.uniform(0.4, 1.6)),
        background=draw_background(random, size),
    )


def draw_plain_session(random: np.random.Generator, size: int) -> Session:
    """Draw a plain session: pose within about ±10°, a main light from the front, one background colour."""
    tone = random.uniform(30, 200) + random.normal(0, 12, 3)
    return Session(
        yaw=float(random.uniform(-0.16, 0.16)),
        pitch=float(random.uniform(-0.11, 0.11)),
        roll=float(random.normal(0, 0.02)),
        zoom=float(random.uniform(0.92, 1.1)),
        shift=(float(random.normal(0, 0.01)), float(random.normal(0, 0.01))),
        key=float(random.uniform(0.45, 0.85)),
        light_angle=float(random.uniform(-1.0, 1.0)),
        light_height=0.4,
        fill=0.2,
        ambient=float(random.uniform(0.35, 0.6)),
        warmth=float(random.normal(0, 0.05)),
        gloss=0.0,
        background=np.broadcast_to(tone.clip(0, 255), (size, size, 3)),
        plain=True,
    )


class Camera:
    """
    Take the photos of one person in one session.

    Args:
        person: the person.
        session: the session.
        size: side of the photos in pixels, an even number.
        margin: take aligned crops with this margin around the network's crop. The neutral face decides the crop of the
            whole session. Default: take whole photos.
        crop_transform: (2, 3), take the crops of another camera, by its `crop_transform`, whatever the margin.
    """

    def __init__(
        self, person: Person, session: Session, size: int = 256, margin: float | None = None,
        crop_transform: np.ndarray | None = None,
    ):  # fmt: skip
        self.person, self.session, self.size = person, session, size
        self.side = size * SUPERSAMPLING
        self.rotation = _rotation(session).astype(np.float32)
        self.crop_transform = np.array([[1.0, 0, 0], [0, 1, 0]], np.float32)
        if crop_transform is not None:
            self.crop_transform = crop_transform
        elif margin is not None:
            eyes, points = (
                self.project(positions)[0]
                for positions in (person.eyeball_centres(), person.face.positions[person.landmarks])
            )
            crop_transform = zoom_out(fit_crop_transform(np.concatenate([eyes, points])), margin)
            self.crop_transform = (crop_transform * self.side).astype(np.float32)
        eyeballs = {}
        for index in person.eyeballs:
            mesh = person.parts[index]
            side = "Left" if mesh.positions[:, 0].mean() > person.eyes[0] else "Right"
            eyeballs[index] = fit_eyeball(mesh, side)
        gloss = None if session.plain else session.gloss
        self.parts = [
            Part(person, index, eyeballs, self.project, self.side, gloss) for index in range(len(person.parts))
        ]
        self.background = (np.clip(session.background, 0, 255) / 255).astype(np.float32) ** 2
        self._set_light()
        self.depth, self.mesh, self.triangle, self.weight = _buffers(self.side)
        self.colour = np.zeros((self.side, self.side, 3), np.float32)
        self.rest = np.zeros((self.side, self.side, 3), np.float32)
        self.shadow_buffers = _buffers(SHADOW_SIDE)
        self._draw(np.zeros(len(BLENDSHAPES), np.float32))
        self.neutral_depth, self.neutral_covered = nearest_around(self.depth), self.mesh >= 0

    def take(self, vector: np.ndarray) -> Photo:
        """
        Render an expression.

        Args:
            vector: (53,) as from `expressions.blendshapes.to_vector`, or its first 51 values. The eyeLook weights hold
                the gaze.
        """
        drawn = self._draw(vector[: len(BLENDSHAPES)])
        shadow = self.shadow_buffers[0]
        self.rest.fill(np.nan)
        for number, (part, (_, turned)) in enumerate(zip(self.parts, drawn)):
            shade(
                number, part.triangles, turned, part.normals(turned), part.uv, part.texture, part.neutral,
                part.exposure, self.lights, self.light_colours, self.ambient,
                part.material, shadow, self.shadow_axes, self.shadow_origin, self.shadow_scale, self.mesh,
                self.triangle, self.weight, self.colour, self.rest, self.session.plain,
            )  # fmt: skip
        pixels = np.empty((self.size, self.size, 3), np.uint8)
        develop(self.colour, self.mesh, self.background, SUPERSAMPLING, pixels, not self.session.plain)
        eyes = self.project(self.person.eyeball_centres())[0]
        points = np.concatenate([eyes, drawn[0][0][self.parts[0].landmarks]]) / SUPERSAMPLING
        uncovered = find_uncovered(self.rest, self.mesh >= 0, self.neutral_depth, self.neutral_covered, SUPERSAMPLING)
        return Photo(pixels, self._flow_map(), uncovered, points)

    def _draw(self, weights: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Draw depth and shadows of an expression. Returns the vertices of each part in pixels and in the camera's
        coordinates."""
        limited = limit_lids(weights)
        self.depth.fill(-np.inf)
        self.mesh.fill(-1)
        shadow, *spare = self.shadow_buffers
        shadow.fill(-np.inf)
        drawn = []
        for number, part in enumerate(self.parts):
            # Lids yield to a blink, and the eye behind them still looks where it should.
            screen, near, turned = self.project(part.posed(limited if part.eyeball is None else weights))
            draw_depth(
                screen, near, part.triangles, part.uv, part.alpha, part.cut_out, number, self.depth, self.mesh,
                self.triangle, self.weight,
            )  # fmt: skip
            if part.casts_shadow and not self.session.plain:
                seen = turned @ self.shadow_axes.T
                flat = seen[:, :2] * np.array([1, -1], np.float32) * self.shadow_scale + self.shadow_origin
                draw_depth(
                    flat, np.ascontiguousarray(seen[:, 2]), part.triangles, part.uv, part.alpha, part.cut_out, 0,
                    shadow, *spare,
                )  # fmt: skip
            drawn.append((screen, turned))
        return drawn

    def _flow_map(self) -> np.ndarray:
        """`Photo.flow` from the positions at rest."""
        step = SUPERSAMPLING * FLOW_MAP_REDUCTION
        at = np.arange(step // 2, self.side, step)
        here = np.stack(np.meshgrid(at + 0.5, at + 0.5), axis=-1)
        moved = np.nan_to_num(self.rest[at][:, at, :2] - here, nan=0.0) / self.side
        return moved.transpose(2, 0, 1).astype(np.float32)

    def project(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """World coordinates → supersampled pixels (V, 2), nearness (V,), camera coordinates (V, 3)."""
        session, side = self.session, self.side
        turned = (positions - (self.person.eyes + CENTRE)).astype(np.float32) @ self.rotation.T
        scale = np.float32(side * session.zoom / FRAME * DISTANCE) / (np.float32(DISTANCE) - turned[:, 2])
        screen = turned[:, :2] * scale[:, None] * np.array([1, -1], np.float32)
        screen += np.array([side * (0.5 + session.shift[0]), side * (0.5 + session.shift[1])], np.float32)
        screen = screen @ self.crop_transform[:, :2].T + self.crop_transform[:, 2]
        return screen, np.ascontiguousarray(turned[:, 2]), turned

    def _set_light(self):
        session = self.session
        angle = session.light_angle
        lights = np.array(
            [[np.sin(angle), session.light_height, np.cos(angle)], [-np.sin(angle), 0.1, 0.6]], np.float32
        )
        self.lights = lights / np.linalg.norm(lights, axis=1, keepdims=True)
        tint = np.array([1 + session.warmth, 1, 1 - session.warmth])
        self.light_colours = np.stack([session.key * tint, np.full(3, session.fill)]).astype(np.float32)
        if session.plain:
            around = session.ambient * (1 + tint) / 2
            self.ambient = np.stack([0.5 * around, around]).astype(np.float32)
        else:
            # The room lends the face some of its colour.
            room = self.background.reshape(-1, 3).mean(0) + 0.2
            around = session.ambient * (0.7 + 0.3 * room / room.mean())
            self.ambient = np.stack([0.6 * around, 1.1 * around]).astype(np.float32)
        towards = self.lights[0]
        right = np.cross([0, 1, 0], towards)
        right /= np.linalg.norm(right)
        self.shadow_axes = np.stack([right, np.cross(towards, right), towards]).astype(np.float32)
        self.shadow_scale = np.float32(SHADOW_SIDE / SHADOW_WIDTH)
        self.shadow_origin = np.full(2, SHADOW_SIDE / 2, np.float32)


def _buffers(side: int) -> tuple[np.ndarray, ...]:
    """Depth, mesh, triangle and weight buffers of `draw_depth`."""
    return (
        np.empty((side, side), np.float32), np.empty((side, side), np.int16), np.empty((side, side), np.int32),
        np.empty((side, side, 2), np.float32),
    )  # fmt: skip


def _rotation(session: Session) -> np.ndarray:
    """(3, 3) rotation of the head."""
    cos, sin = np.cos(session.roll), np.sin(session.roll)
    return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) @ turn(session.yaw, session.pitch)
