"""Analysis of one photo: fit of the face model, visibility, skin colours, light, eyes and occluders."""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from scipy.sparse import diags
from scipy.sparse.linalg import splu

from ..expressions.blendshapes import BLENDSHAPES
from ..model.face_alignment_tergan import fit_crop_transform, zoom_out
from .camera import Camera
from .eye_layers import EyeLayers, separate_eye_layers
from .fitting import FaceFit, Fitter, smoothstep
from .landmarks import CHEEKS, EYES, FACE_LANDMARKS, INNER_LIPS, NOSTRILS, OUTER_LIPS, UPPER_LIDS, five_landmarks
from .lighting import estimate_light
from .mesh import rasterize, vertex_normals
from .occluders import find_occluders, has_spectacles
from .smile_prior import SMILE, SmilePrior
from .teeth_donors import TeethDonor, make_donor
from .warping import sample
from .wrinkles import WrinkleMaps


OVERSAMPLING = 2  # side of the working frame / side of the rendered picture
POSED_SMILE = 0.3  # mouthSmile above which a photo is not neutral
OPEN_LIPS_GAP = 0.28  # cm between the lips above which a photo is not neutral
UPPER_TEETH_RISE, LOWER_TEETH_RISE = -0.20, 0.14  # cm, correction of the height of ICT's teeth
MAX_LANDMARK_ERROR, MAX_RESIDUAL_ERROR = 0.4, 0.08  # cm, before and after the residual
EARS_BEHIND = 1.0  # cm from the landmarks at the sides of the face back to the ears
BROW_BLENDSHAPES = np.array([name.startswith("brow") for name in BLENDSHAPES])
DEPTH_TOLERANCE = 0.12  # cm, of the visibility test


@dataclass(frozen=True)
class Frame:
    """
    An upright crop around a face, in which a portrait is rendered.

    Args:
        picture: (S, S, 3) float32, 0 to 255. points: (478, 2) landmarks in it, pixels.
        transform: (2, 3) from photo to frame.
    """

    picture: np.ndarray
    points: np.ndarray
    transform: np.ndarray


def cut_frame(pixels: np.ndarray, points: np.ndarray, size: int, margin: float) -> Frame:
    """
    Cut the working frame around a face.

    Args:
        pixels: (H, W, 3) uint8. points: (478, 2) landmarks in pixels.
        size: side of the rendered pictures in pixels. margin: side / side of the aligned face.
    """
    side = size * OVERSAMPLING
    transform = (zoom_out(fit_crop_transform(five_landmarks(points)), margin) * side).astype(np.float32)
    scale = float(np.sqrt(abs(np.linalg.det(transform[:, :2]))))
    if scale < 0.8:  # low-pass filter against aliasing
        pixels = cv2.GaussianBlur(pixels, (0, 0), 0.4 / scale)
    about = transform.copy()
    about[:, 2] += about[:, :2] @ np.array([0.5, 0.5], np.float32) - 0.5  # OpenCV's pixel centres are integers
    picture = cv2.warpAffine(pixels, about, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    moved = points @ transform[:, :2].T + transform[:, 2]
    return Frame(picture.astype(np.float32), moved.astype(np.float32), transform)


class Portrait:
    """
    The properties of a photo that all new expressions share.

    Args:
        fitter: fitter of the face model. frame: the photo.
        smile_prior: smile shape, wrinkles and teeth of real smiles.
        seed: seed of the person's wrinkles.
        owner: identity of the person, whose own teeth are preferred.
    """

    def __init__(self, fitter: Fitter, frame: Frame, smile_prior: SmilePrior, seed: int = 0, owner: str = ""):
        self.model, self.fitter, self.smile_prior, self.owner = fitter.model, fitter, smile_prior, owner
        self.picture, self.points2d = frame.picture, frame.points
        self.size = len(frame.picture)
        fit = fitter.fit(frame.points)
        smile = fit.expression[SMILE].mean()
        self.posed = bool(smile > POSED_SMILE or self._lips_apart(fit.camera.scale) > OPEN_LIPS_GAP)
        if self.posed:
            fit = fitter.fit(frame.points, posed=True)
        self.fit: FaceFit = fit
        self.cm = fit.camera.scale
        self.nearest = fitter.correspondence.nearest(self.model)
        self.own_teeth: TeethDonor | None = None
        if self._lips_apart(self.cm) > OPEN_LIPS_GAP:
            self.own_teeth = make_donor(self.picture, self.points2d[INNER_LIPS], owner)
        self.neutral_vertices = self.model.shape(fit.identity, np.zeros_like(fit.expression))
        self.vertices = self.model.apply_blendshapes(self.neutral_vertices, fit.expression)
        self.points = self.place(self.vertices, fit.camera)
        self.normals = self.face_normals(self.vertices, fit.camera.rotation)
        self.raster = rasterize(self.points, self.model.triangles, self.size)
        self._measure_visibility()
        self.spectacles = has_spectacles(self.picture, self.points2d, self.cm)
        self.occluders = find_occluders(self.picture, self.points2d, self.cm, self.spectacles)
        self.mobility = self._find_mobility()
        self.colours = self._vertex_colours()
        sure = (self.reliable > 0.8) & (self.normals[: self.model.skin, 2] > 0.3)
        self.light = estimate_light(
            self.picture, self.points[: self.model.skin][sure], self.normals[: self.model.skin][sure], 0.2 * self.cm
        )
        self.eyes: dict[str, EyeLayers] = {
            side: separate_eye_layers(self.picture, self.points2d, side, self.cm) for side in EYES
        }
        self.white_point = self._estimate_white_point()
        self.wrinkles = WrinkleMaps(self.model, self.nearest, seed, smile_prior.smile_wrinkles)

    def _estimate_white_point(self) -> np.ndarray:
        """(3,) colour of white in this photo's light, for teeth: from the photo's teeth, else from eyes and skin."""
        picture, points = self.picture, self.points2d
        if self.own_teeth is not None:
            return np.clip(self.own_teeth.tooth_colour * 1.05, 90, 240)
        samples = []
        for layers in self.eyes.values():
            rows, columns = np.nonzero((layers.opening > 0) & (layers.iris_alpha < 0.02))
            if len(rows) > 8:
                samples.append(np.percentile(picture[rows + layers.top, columns + layers.left], 80, axis=0))
        colour = np.mean(samples, 0) if samples else np.array([215.0, 205.0, 200.0])
        at = np.clip(points[:FACE_LANDMARKS].astype(int), 0, self.size - 1)
        skin = float(np.percentile(picture[at[:, 1], at[:, 0]].mean(1), 80))
        colour = 0.85 * colour + 0.15 * colour.mean()
        bright = np.clip(max(1.4 * skin, 1.12 * colour.mean()), 165, 226)
        return np.clip(colour * bright / colour.mean(), 0, 250).astype(np.float32)

    def renderable(self, weights: np.ndarray) -> np.ndarray:
        """Set to 0 the blendshapes (51,) that cannot be rendered: brows behind the frame of spectacles."""
        return weights * ~BROW_BLENDSHAPES if self.spectacles else weights

    def _lips_apart(self, cm: float) -> float:
        return float(np.linalg.norm(self.points2d[13] - self.points2d[14])) / cm

    def place(self, vertices: np.ndarray, camera: Camera, smile: float = 0.0) -> np.ndarray:
        """
        Project vertices with the residual and the learned smile shape. Teeth follow the residual of the lips.

        Args:
            vertices: (V, 3) vertices of the face model.
            smile: change of mouthSmile.

        Returns:
            (V, 3): x, y in pixels and depth in cm.
        """
        model, fit = self.model, self.fit
        vertices = vertices.copy()
        vertices[model.parts["upper_teeth"], 1] += UPPER_TEETH_RISE
        vertices[model.parts["lower_teeth"], 1] += LOWER_TEETH_RISE
        vertices[:, 1] += self.smile_prior.mouth.lift
        points = camera.project(vertices - model.middle)
        residual = fit.residual
        points[: model.skin, :2] += residual + self.smile_prior.smile_shape * (fit.camera.scale * max(smile, 0.0))
        upper, lower = (
            residual[self.nearest[ring]].mean(0) for ring in ([164, 0, 37, 267, 393, 167], [17, 18, 200, 84, 314, 199])
        )
        both = (upper + lower) / 2
        for part, shift in (("upper_teeth", upper), ("lower_teeth", lower), ("gums", both), ("socket", both)):
            points[model.parts[part], :2] += shift
        return points

    def face_normals(self, vertices: np.ndarray, rotation: np.ndarray) -> np.ndarray:
        """(V, 3) normals in the camera's axes."""
        return vertex_normals(vertices @ rotation.T.astype(np.float32), self.model.triangles)

    def _measure_visibility(self):
        """Measure the openings, the visible skin, and the skin with a reliable colour."""
        model, cm, size = self.model, self.cm, self.size
        self.openings, self.mouth = np.zeros((size, size), np.uint8), np.zeros((size, size), np.uint8)
        for ring in EYES.values():
            cv2.fillPoly(self.openings, [np.round(self.points2d[ring]).astype(np.int32)], 255)
        cv2.fillPoly(self.mouth, [np.round(self.points2d[INNER_LIPS]).astype(np.int32)], 255)
        skin = self.points[: model.skin]
        facing = self.normals[: model.skin, 2]
        at = tuple(np.clip(skin[:, k].astype(int), 0, size - 1) for k in (1, 0))
        self.visible = ((skin[:, 2] > self.raster.depth[at] - DEPTH_TOLERANCE) & (facing > 0.12)).astype(np.float32)
        near = max(3, round(0.12 * cm) | 1)
        edges = cv2.dilate(cv2.bitwise_or(self.openings, self.mouth), np.ones((near, near), np.uint8))
        away = cv2.distanceTransform(255 - edges, cv2.DIST_L2, 5)[at]
        from_mouth = cv2.distanceTransform(255 - cv2.dilate(self.mouth, np.ones((3, 3))), cv2.DIST_L2, 5)[at]
        apart = float(smoothstep(float(self._lips_apart(cm)), 0.05, 0.2))
        self.lip_rim = (apart * (1 - smoothstep(from_mouth, 0.04 * cm, 0.14 * cm))).astype(np.float32)
        self.reliable = self.visible * smoothstep(away, 0.03 * cm, 0.17 * cm) * smoothstep(facing, 0.1, 0.35)
        # A blink stretches the few pixels between lashes and crease over the whole lid, so they are not reliable.
        lids = np.min([
            np.linalg.norm(model.neutral[: model.skin, None] - model.neutral[self.nearest[upper]][None], axis=2).min(1)
            for upper in UPPER_LIDS.values()
        ], axis=0)  # fmt: skip
        self.lid_weight = 1 - smoothstep(lids, 0.5, 1.1)
        from_eye = cv2.distanceTransform(255 - cv2.dilate(self.openings, np.ones((3, 3))), cv2.DIST_L2, 5)[at]
        self.reliable = self.reliable * np.where(self.lid_weight > 0.3, smoothstep(from_eye, 0.16 * cm, 0.4 * cm), 1)
        self.reliable = self.reliable.astype(np.float32)

    def _find_mobility(self) -> np.ndarray:
        """(skin,) share of the model's motion for each vertex: 1 in the face, 0 at ears, scalp and neck and under hair
        or spectacles."""
        model = self.model
        x, y, z = model.neutral[: model.skin].T
        at = model.neutral[self.nearest]
        width, depth = np.abs(at[[234, 454], 0]).mean(), at[[234, 454], 2].mean()
        top = 1 - smoothstep(y, at[10, 1] - 0.5, at[10, 1] + 2.5)
        side = 1 - smoothstep(np.abs(x), width - 1.2, width + 0.3)
        low = smoothstep(y, at[152, 1] - 2.5, at[152, 1] - 0.5)
        front = smoothstep(z, depth - 2.5, depth + 0.5)
        jaw = 1 - smoothstep(y, at[[58, 288], 1].mean() - 0.5, at[[132, 361], 1].mean() + 1.0)
        crown = 1 - smoothstep(y, at[10, 1], at[10, 1] + 3.5)
        # The head turns about its ears. They stay in place, and so does the outline of the head.
        self.head_mobility = (low * crown * (1 - smoothstep(np.abs(x), width - 0.5, width + 0.8))).astype(np.float32)
        self.pivot = np.array([0, at[[234, 454], 1].mean(), depth - EARS_BEHIND], np.float32) - model.middle
        mobility = top * low * np.maximum(side, jaw) * np.maximum(front, jaw * front)
        covered = sample(self.occluders, self.points[None, : model.skin, :2], cv2.INTER_LINEAR)[0]
        return (mobility * (1 - np.clip(1.6 * covered, 0, 1))).astype(np.float32)

    def _vertex_colours(self) -> np.ndarray:
        """(skin, 3) colours, diffused over the mesh where the photo is not reliable."""
        model = self.model
        blurred = cv2.GaussianBlur(self.picture, (0, 0), 0.07 * self.cm)
        colours = sample(blurred, self.points[None, : model.skin, :2], cv2.INTER_LINEAR)[0]
        weights = self.reliable.astype(float) * 50 + 1e-4
        solve = splu((model.laplacian + diags(weights)).tocsc()).solve
        mean = np.average(colours, axis=0, weights=weights)
        aim = weights[:, None] * np.where(self.reliable[:, None] > 0, colours, mean)
        diffused = np.stack([solve(np.ascontiguousarray(aim[:, k])) for k in range(3)], 1)
        # The crease alone would make the lid too dark.
        skin = np.mean([colours[self.nearest[number]] for number in (9, 117, 346, 193, 417)], 0) * 0.93
        share = 0.6 * self.lid_weight[:, None] * (1 - self.reliable[:, None])
        return (diffused * (1 - share) + skin * share).astype(np.float32)

    @cached_property
    def colourfulness(self) -> float:
        """0 for a grey photo, 1 for a colour photo."""
        columns, rows = np.clip(self.points2d[[9, 117, 346, 50, 280]].T.astype(int), 0, self.size - 1)
        skin = np.median(cv2.GaussianBlur(self.picture, (0, 0), 0.2 * self.cm)[rows, columns], 0)
        return float(smoothstep(np.ptp(skin) / max(float(skin.max()), 1.0), 0.02, 0.10))

    @cached_property
    def grain(self) -> np.ndarray:
        """(S, S, 3) tiled fine texture of the cheek, for skin that the photo does not show."""
        half = max(8, int(1.0 * self.cm))
        x, y = np.clip(self.points2d[50].astype(int), half, self.size - half)
        patch = self.picture[y - half : y + half, x - half : x + half]
        patch = np.clip(patch - cv2.GaussianBlur(patch, (0, 0), 0.13 * self.cm), -12, 12)
        tile = np.hstack([patch, patch[:, ::-1]])
        tile = np.vstack([tile, tile[::-1]])
        repeats = -(-self.size // len(tile))
        return np.tile(tile, (repeats, repeats, 1))[: self.size, : self.size]

    @cached_property
    def detail(self) -> np.ndarray:
        """(S, S) float32 fine dark lines of the skin as a change of log brightness, at most 0."""
        grey = np.log(self.picture @ np.array([0.299, 0.587, 0.114], np.float32) + 8)
        lines = cv2.GaussianBlur(grey, (0, 0), 0.035 * self.cm) - cv2.GaussianBlur(grey, (0, 0), 0.22 * self.cm)
        return np.clip(lines, -0.12, 0)

    @cached_property
    def crease_removal(self) -> np.ndarray:
        """(S, S, 3) offset that removes the creases of a smile beside nose and mouth from the picture."""
        grey = np.log(self.picture @ np.array([0.299, 0.587, 0.114], np.float32) + 8)
        lines = cv2.GaussianBlur(grey, (0, 0), 0.04 * self.cm) - cv2.GaussianBlur(grey, (0, 0), 0.55 * self.cm)
        cheeks, excluded = (np.zeros(grey.shape, np.uint8) for _ in range(2))
        cv2.fillConvexPoly(cheeks, cv2.convexHull(np.round(self.points2d[CHEEKS]).astype(np.int32)), 1)
        for ring, grow in ((OUTER_LIPS, 0.16), (NOSTRILS, 0.25)):
            hull = np.zeros(grey.shape, np.uint8)
            cv2.fillConvexPoly(hull, cv2.convexHull(np.round(self.points2d[ring]).astype(np.int32)), 1)
            reach = round(grow * self.cm) * 2 + 1
            excluded |= cv2.dilate(hull, np.ones((reach, reach), np.uint8))
        allowed = (cheeks & (1 - excluded)).astype(np.float32)
        crease = smoothstep(-lines, 0.03, 0.16).astype(np.float32) * allowed
        # Replace creases by the skin on both sides. Pores and stubble stay.
        clear = np.maximum(allowed - crease, 0)
        around = cv2.GaussianBlur(self.picture * clear[..., None], (0, 0), 0.4 * self.cm)
        around = around / np.maximum(cv2.GaussianBlur(clear, (0, 0), 0.4 * self.cm), 1e-3)[..., None]
        pores = self.picture - cv2.GaussianBlur(self.picture, (0, 0), 0.06 * self.cm)
        soft = cv2.GaussianBlur(crease, (0, 0), 0.06 * self.cm) * cv2.GaussianBlur(allowed, (0, 0), 0.08 * self.cm)
        return (around + pores - self.picture) * (soft * (1 - self.occluders))[..., None]


def has_plausible_fit(portrait: Portrait) -> bool:
    """Whether the model fits the landmarks. It does not fit a face that is half hidden or far turned."""
    fit, cm = portrait.fit, portrait.cm
    return fit.residual_error < MAX_RESIDUAL_ERROR * cm and fit.landmark_error < MAX_LANDMARK_ERROR * cm
