"""Render a portrait with a new expression, head turn and light, with its exact flow."""

from dataclasses import dataclass

import cv2
import numpy as np

from ..expressions.blendshapes import BLENDSHAPES
from .eye_rendering import close_lids, draw_eye, draw_lashes
from .fitting import smoothstep
from .landmarks import EYES, FACE_CORE, INNER_LIPS, five_landmarks
from .lighting import UNCHANGED, LightChange, harmonics
from .mesh import Raster, rasterize, stretch
from .mouth_rendering import draw_mouth
from .portrait import OVERSAMPLING, POSED_SMILE, Portrait
from .smile_prior import SMILE
from .warping import interpolate_membrane, pixel_grid, sample


MAX_RELAXATION = 0.6  # share of the photo's expression that a full new expression replaces
NECK_REACH = 0.12  # distance from the face above which the neck is still, relative to the frame's side
JAW_LIMIT, JAW_SLOWDOWN = 0.5, 0.35  # jawOpen beyond the limit is reduced, because the model's jaw drops too far
SHADOW_TINT = np.array([0.86, 1.05, 1.1], np.float32)  # shadows on skin are warm
SHADING_SHARE, SHADING_LIMITS = 0.7, (0.6, 1.3)
CAVITY_STEPS, CAVITY_STRENGTH = 6, 3.6
CREASE_REMOVAL = 0.8
MIN_PAINTED_SHARE = 0.06  # share of invented colour above which a pixel counts as uncovered
BEHIND_LIPS = 0.8  # cm behind the lips beyond which skin is the inside of a cheek
DETAIL_GAIN = 2.6
# Brows, eyes and the lower face.
AREAS = np.array([0 if name.startswith("brow") else 1 if name.startswith("eye") else 2 for name in BLENDSHAPES])


@dataclass(frozen=True)
class View:
    """
    A view of a portrait.

    Args:
        yaw, pitch: turn of the head in degrees, to the viewer's right and up.
        light: change of the light.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    light: LightChange = UNCHANGED

    @property
    def is_original(self) -> bool:
        """Whether this is the view of the photo."""
        return self == View()


@dataclass(frozen=True)
class Rendering:
    """
    A rendered picture with its ground truth.

    Args:
        image: (size, size, 3) uint8.
        flow: (size, size, 2) float32, x and y in pixels from here to the same point in the session's neutral picture.
        uncovered: (size, size) bool, pixels that the photo does not show.
        landmarks: (5, 2) float32 pixels.
    """

    image: np.ndarray
    flow: np.ndarray
    uncovered: np.ndarray
    landmarks: np.ndarray


class Session:
    """
    A portrait in one view, from which expressions are rendered.

    Args:
        portrait: the photo.
        view: head turn and light.
    """

    def __init__(self, portrait: Portrait, view: View = View()):
        self.portrait, self.view = portrait, view
        camera = portrait.fit.camera
        turned = bool(view.yaw or view.pitch)
        self.camera = camera.turned(view.yaw, view.pitch, portrait.pivot) if turned else camera
        # New expressions are placed in the same way, and their motion is the difference to these vertices.
        placed = portrait.place(portrait.vertices, self.camera)
        self.resting = close_lids(portrait, placed.copy(), portrait.fit.expression, self.camera)
        self.points = self._turn(placed)
        self.rotation = self.camera.orientation

    def _turn(self, placed: np.ndarray) -> np.ndarray:
        """(V, 3) vertices of the photo's expression in this view. Scalp and neck turn less."""
        portrait = self.portrait
        if self.camera is portrait.fit.camera:
            return portrait.points
        skin = portrait.model.skin
        share = portrait.head_mobility[:, None]
        placed[:skin] = portrait.points[:skin] + share * (placed[:skin] - portrait.points[:skin])
        return placed

    def render(self, weights: np.ndarray) -> Rendering:
        """
        Render an expression.

        Args:
            weights: (51,) in the order of `BLENDSHAPES`; zeros give the neutral face, also for a photo that is not
                neutral. Weights that the photo cannot show (`Portrait.renderable`) are ignored.
        """
        portrait = self.portrait
        weights = portrait.renderable(weights.astype(np.float32))
        if not weights.any() and not portrait.posed and self.view.is_original:
            return self.photo()
        return _ExpressionRenderer(self, self._combined_weights(weights)).finish()

    def photo(self) -> Rendering:
        """The unchanged photo as a rendering."""
        portrait = self.portrait
        side = portrait.size // OVERSAMPLING
        image = cv2.resize(portrait.picture, (side, side), interpolation=cv2.INTER_AREA)
        return Rendering(
            np.clip(image, 0, 255).round().astype(np.uint8), np.zeros((side, side, 2), np.float32),
            np.zeros((side, side), bool), five_landmarks(portrait.points2d) / OVERSAMPLING,
        )  # fmt: skip

    def _combined_weights(self, weights: np.ndarray) -> np.ndarray:
        """(51,) new weights plus the photo's, which are reduced in the areas of the new expression."""
        own = self.portrait.fit.expression
        weights = weights.copy()
        jaw = BLENDSHAPES.index("jawOpen")
        weights[jaw] -= JAW_SLOWDOWN * max(0.0, float(weights[jaw]) - JAW_LIMIT)
        if self.portrait.posed:
            return weights
        strongest = np.array([min(1.0, 1.2 * float(weights[area == AREAS].max())) for area in range(3)])
        return np.clip(own * (1 - MAX_RELAXATION * strongest[AREAS]) + weights, 0, 1.3)


class _ExpressionRenderer:
    """
    Render one expression: skin, mouth, eyes and lashes in turn.

    Args:
        session: portrait and view.
        total: (51,) blendshapes of the model.
    """

    def __init__(self, session: Session, total: np.ndarray):
        self.session, self.portrait, self.total = session, session.portrait, total
        portrait, model = session.portrait, session.portrait.model
        self.change = total - portrait.fit.expression
        self.vertices = model.apply_blendshapes(portrait.neutral_vertices, total)
        smile = float(self.change[SMILE].mean())
        points = portrait.place(self.vertices, session.camera, smile)
        points = close_lids(portrait, points, total, session.camera)
        moves = portrait.mobility[:, None]
        skin = slice(0, model.skin)
        points[skin] = session.points[skin] + moves * (points[skin] - session.resting[skin])
        self.points = points
        self.normals = portrait.face_normals(self.vertices, session.rotation)
        self.raster = self._draw(points)
        part = np.where(self.raster.triangle >= 0, model.part_of_triangle[np.maximum(self.raster.triangle, 0)], -1)
        lips = np.zeros(part.shape, np.uint8)
        cv2.fillPoly(lips, [np.round(points[portrait.nearest[INNER_LIPS], :2]).astype(np.int32)], 1)
        behind = points[portrait.nearest[INNER_LIPS], 2].min() - BEHIND_LIPS
        self.inside = (part > 0) | ((lips > 0) & ((part < 0) | (self.raster.depth < behind)))
        self.skin = (part == model.part_number("face")) & ~self.inside
        self.eye_openings = {side: self._eye_opening(side, part) for side in EYES}

    def _draw(self, points: np.ndarray) -> Raster:
        """Rasterize the deformed face without gums and teeth that pierce the skin away from the lips."""
        portrait, model = self.portrait, self.portrait.model
        raster = rasterize(points, model.triangles, portrait.size)
        lips = np.zeros((portrait.size,) * 2, np.uint8)
        cv2.fillPoly(lips, [np.round(points[portrait.nearest[INNER_LIPS], :2]).astype(np.int32)], 1)
        reach = round(0.2 * portrait.cm) * 2 + 1
        lips = cv2.dilate(lips, np.ones((reach, reach), np.uint8)) > 0
        pierced = (raster.triangle >= 0) & ~lips
        pierced[pierced] = model.part_of_triangle[raster.triangle[pierced]] > 0
        if pierced.any():
            skin_first = len(model.skin_triangles)
            skin = rasterize(points, model.triangles[:skin_first], portrait.size)
            for values, bare in (
                (raster.triangle, skin.triangle),
                (raster.weights, skin.weights),
                (raster.depth, skin.depth),
            ):
                values[pierced] = bare[pierced]
        return raster

    def _eye_opening(self, side: str, part: np.ndarray) -> np.ndarray:
        """(S, S) bool, the opening between the lids, where the model has no surface."""
        ring = self.portrait.nearest[EYES[side]]
        hull = np.zeros(part.shape, np.uint8)
        outline = np.vstack([self.points[ring, :2], self.session.points[ring, :2]])
        cv2.fillConvexPoly(hull, cv2.convexHull(np.round(outline).astype(np.int32)), 1)
        grown = max(3, round(0.3 * self.portrait.cm) | 1)
        return (part < 0) & (cv2.dilate(hull, np.ones((grown, grown), np.uint8)) > 0)

    def finish(self) -> Rendering:
        """Render the picture, its flow and its mask."""
        portrait, model, size = self.portrait, self.portrait.model, self.portrait.size
        skin_count = model.skin
        per_vertex = np.zeros((len(model.neutral), 12), np.float32)
        per_vertex[:, 0:2] = portrait.points[:, :2]
        per_vertex[:, 2:4] = self.session.points[:, :2]
        per_vertex[:skin_count, 4] = np.maximum(
            portrait.mobility, portrait.head_mobility * bool(self.session.view.yaw or self.session.view.pitch)
        )
        per_vertex[:, 5] = np.minimum(portrait.normals[:, 2], self.normals[:, 2])
        growth = stretch(portrait.points, self.points, model.triangles, len(model.neutral))[:skin_count]
        per_vertex[:skin_count, 6] = self._fill_weights(growth)
        per_vertex[:skin_count, 7:10] = portrait.colours
        per_vertex[:skin_count, 10] = self._shading()
        per_vertex[:skin_count, 11] = np.clip(1 - growth, 0, 0.5) * portrait.mobility
        field = self.raster.interpolate(model.triangles, per_vertex)
        mobile = field[..., 4]
        face = self.skin & (mobile > 0.02) & ((field[..., 5] > 0.22) | self._core())
        openings = np.any(list(self.eye_openings.values()), 0)

        grid = pixel_grid(size)
        distance = cv2.distanceTransform((~(face | self.inside | openings)).astype(np.uint8), cv2.DIST_L2, 5)
        chin = self.points[portrait.nearest[152], 1]
        below = np.arange(size)[:, None] > chin - 0.5 * portrait.cm
        still = (distance > 0.2 * size) | (below & (distance > NECK_REACH * size))
        known = np.dstack([field[..., 0:2] - grid, field[..., 2:4] - grid])
        flows = interpolate_membrane(known, face, still)
        to_photo, to_neutral = flows[..., :2], np.ascontiguousarray(flows[..., 2:])
        canvas = sample(portrait.picture, grid + to_photo)
        relaxed = -float(self.change[SMILE].mean()) / POSED_SMILE
        if portrait.posed and relaxed > 0:
            canvas += (
                CREASE_REMOVAL * min(relaxed, 1.0) * sample(portrait.crease_removal, grid + to_photo, cv2.INTER_LINEAR)
            )

        hidden = np.zeros((size, size), np.float32)
        filled = cv2.GaussianBlur(field[..., 6] * self.skin, (0, 0), 0.035 * portrait.cm)
        canvas = canvas * (1 - filled[..., None]) + (field[..., 7:10] + portrait.grain) * filled[..., None]
        np.maximum(hidden, smoothstep(filled, 0.05, 0.2), out=hidden)
        canvas = self._shade(canvas, field, to_photo, grid)
        draw_mouth(portrait, canvas, hidden, self.raster, self.inside, self.points, self.normals)
        ring_shift = self.session.points[:, :2] - portrait.points[:, :2]
        for side, opening in self.eye_openings.items():
            shift = ring_shift[portrait.nearest[EYES[side]]].mean(0)
            draw_eye(portrait, side, canvas, to_neutral, hidden, opening, self.change, shift)
        draw_lashes(portrait, canvas, hidden, self.points, self.total)
        return self._downsample(self._relight(canvas), to_neutral, hidden)

    def _core(self) -> np.ndarray:
        """(S, S) bool, the inner face, where triangles count at any angle: nose, lips and lids."""
        hull = np.zeros((self.portrait.size,) * 2, np.uint8)
        outline = cv2.convexHull(np.round(self.points[self.portrait.nearest[FACE_CORE], :2]).astype(np.int32))
        return cv2.fillConvexPoly(hull, outline, 1) > 0

    def _fill_weights(self, growth: np.ndarray) -> np.ndarray:
        """(skin,) opacity of mesh colours over the photo, for hidden or strongly stretched skin."""
        portrait = self.portrait
        skin = slice(0, portrait.model.skin)
        moved = np.linalg.norm(self.points[skin, :2] - self.session.points[skin, :2], axis=1) / portrait.cm
        fill = (1 - portrait.reliable) * smoothstep(growth, 1.3, 2.2)
        fill = fill + (1 - portrait.visible) * smoothstep(moved, 0.03, 0.14)
        fill = np.clip(fill, 0, 1) * smoothstep(portrait.mobility, 0.1, 0.4)
        fill = np.maximum(fill, portrait.lid_weight * smoothstep(growth, 1.4, 2.4))
        # At the rim of an open mouth, pixels of the photo mix lips and teeth.
        return np.maximum(fill, portrait.lip_rim * smoothstep(moved, 0.03, 0.14))

    def _shading(self) -> np.ndarray:
        """(skin,) brightness factor from the change of normals and cavities."""
        portrait, skin = self.portrait, slice(0, self.portrait.model.skin)
        resting = portrait.face_normals(portrait.vertices, self.session.rotation)
        now, before = (
            np.clip(harmonics(normals[skin]) @ portrait.light, 20, 400) for normals in (self.normals, resting)
        )
        turned = 1 + SHADING_SHARE * (np.clip(now / before, *SHADING_LIMITS) - 1)
        hollow = self._cavity_depth(self.vertices, self.normals) - self._cavity_depth(portrait.vertices, resting)
        turned = turned * np.exp(np.clip(-CAVITY_STRENGTH * hollow, -0.10, 0.05))
        return 1 + (turned - 1) * portrait.mobility

    def _cavity_depth(self, vertices: np.ndarray, normals: np.ndarray) -> np.ndarray:
        """(skin,) height of the smoothed surface above each vertex in cm, clipped to ±1/12."""
        model, rotation = self.portrait.model, self.session.rotation.astype(np.float32)
        skin = vertices[: model.skin].astype(np.float64)
        smooth, degree = skin, model.laplacian.diagonal()[:, None]
        for _ in range(CAVITY_STEPS):
            smooth = smooth - 0.5 * (model.laplacian @ smooth) / degree
        return np.clip((((smooth - skin) @ rotation.T) * normals[: model.skin]).sum(1), -1 / 12, 1 / 12)

    def _shade(self, canvas: np.ndarray, field: np.ndarray, to_photo: np.ndarray, grid: np.ndarray) -> np.ndarray:
        """Apply shading and wrinkles, and deepen the photo's fine lines in compressed skin."""
        portrait, model, cm = self.portrait, self.portrait.model, self.portrait.cm
        skin = self.skin.astype(np.float32)
        ratio = cv2.GaussianBlur(np.where(self.skin, field[..., 10], 1), (0, 0), 0.1 * cm)
        ratio = 1 + (ratio - 1) * cv2.GaussianBlur(skin, (0, 0), 0.13 * cm)
        places = np.zeros((len(model.neutral), 2), np.float32)
        places[: model.skin] = portrait.wrinkles.coordinates
        places = self.raster.interpolate(model.triangles, places, -1)
        map_ = portrait.wrinkles.log_ratio(self.change, portrait.light)
        wrinkles = cv2.remap(map_, places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderValue=0)
        pressed = cv2.GaussianBlur(field[..., 11] * skin, (0, 0), 0.2 * cm)
        lines = DETAIL_GAIN * pressed * sample(portrait.detail, grid + to_photo, cv2.INTER_LINEAR)
        wrinkles = (wrinkles + lines) * self.skin * smoothstep(field[..., 4], 0.1, 0.5)
        change = np.log(ratio) + cv2.GaussianBlur(wrinkles.astype(np.float32), (0, 0), 0.025 * cm)
        # Brightening is damped to keep the highlights.
        change = change * np.where(change < 0, 1, 0.6)
        tint = 1 + (SHADOW_TINT - 1) * portrait.colourfulness
        return canvas * np.exp(change[..., None] * np.where(change[..., None] < 0, tint, 1))

    def _relight(self, canvas: np.ndarray) -> np.ndarray:
        light = self.session.view.light
        if light == UNCHANGED:
            return canvas
        gains = np.ones(len(self.normals), np.float32)
        skin = self.portrait.model.skin
        gains[:skin] = 1 + self.portrait.head_mobility * (light.gain(self.normals[:skin]) - 1)
        gain = np.where(self.skin, self.raster.interpolate(self.portrait.model.triangles, gains), 1.0)
        inner = self.inside | np.any(list(self.eye_openings.values()), 0)
        gain[inner] = float(np.median(gain[self._core()]))
        gain = cv2.GaussianBlur(gain.astype(np.float32), (0, 0), 0.12 * self.portrait.cm)
        return canvas * gain[..., None] * np.array(light.tint, np.float32)

    def _downsample(self, canvas: np.ndarray, flow: np.ndarray, hidden: np.ndarray) -> Rendering:
        side = self.portrait.size // OVERSAMPLING

        def shrink(values):
            return cv2.resize(values, (side, side), interpolation=cv2.INTER_AREA)

        mean, corner = shrink(flow), flow[::OVERSAMPLING, ::OVERSAMPLING]
        # At the border of two surfaces, the mean flow belongs to neither.
        torn = np.abs(mean - corner).max(2, keepdims=True) > 1.0
        five = five_landmarks(self._landmarks()) / OVERSAMPLING
        return Rendering(
            np.clip(shrink(canvas), 0, 255).round().astype(np.uint8), np.where(torn, corner, mean) / OVERSAMPLING,
            shrink(cv2.dilate(hidden, np.ones((3, 3)))) > MIN_PAINTED_SHARE, five.astype(np.float32),
        )  # fmt: skip

    def _landmarks(self) -> np.ndarray:
        """(468, 2) landmarks in the working frame, pixels."""
        model, fitter = self.portrait.model, self.portrait.fitter
        padded = self.points[:, :2]
        return fitter.correspondence.pick(model, padded).astype(np.float32)
