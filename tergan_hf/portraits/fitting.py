"""Fit the face model to landmarks: pose, identity, expression, and a residual of the skin."""

from dataclasses import dataclass

import numpy as np

from ..expressions.blendshapes import BLENDSHAPES
from .camera import Camera
from .face_model import FaceModel
from .landmarks import BROWS, EYES, FACE_LANDMARKS, INNER_LIPS, OUTER_LIPS, OVAL


ROUNDS, POSE_ROUNDS = 8, 2
FACE_HEIGHT = 19.0  # cm from forehead to chin, for the initial scale
IDENTITY_STIFFNESS, KNOWN_IDENTITY_STIFFNESS = 3.6, 180.0  # pixels at a scale of 30 pixels per cm
EXPRESSION_STIFFNESS, POSED_STIFFNESS = 14.0, 6.0
MAX_IDENTITY = 4.0  # standard deviations
RESIDUAL_SMOOTHING = 0.12
RESIDUAL_REACH = (1.5, 5.0)  # cm from the nearest landmark over which the residual fades
# Landmarks hardly separate gaze, puffed cheeks and funnelled lips from identity, so these are not fitted.
FITTED_BLENDSHAPES = [
    index for index, name in enumerate(BLENDSHAPES)
    if not name.startswith("eyeLook") and name not in ("cheekPuff", "mouthFunnel")
]  # fmt: skip


@dataclass(frozen=True)
class LandmarkCorrespondence:
    """
    Positions of MediaPipe's landmarks on the skin of the model.

    Args:
        triangles: (478,) indices of triangles.
        weights: (478, 3) barycentric weights.
        distance: (478,) pixels from the landmark to the nearest point of the skin.
    """

    triangles: np.ndarray
    weights: np.ndarray
    distance: np.ndarray

    def pick(self, model: FaceModel, values: np.ndarray) -> np.ndarray:
        """Interpolate (…, V, C) vertex values at the landmarks: (…, 468, C)."""
        corners = model.triangles[self.triangles[:FACE_LANDMARKS]]
        return np.einsum("lk,...lkc->...lc", self.weights[:FACE_LANDMARKS], values[..., corners, :])

    def nearest(self, model: FaceModel) -> np.ndarray:
        """(468,) index of the vertex nearest to each landmark."""
        corners = model.triangles[self.triangles[:FACE_LANDMARKS]]
        return corners[np.arange(FACE_LANDMARKS), self.weights[:FACE_LANDMARKS].argmax(1)]


@dataclass(frozen=True)
class FaceFit:
    """
    Parameters of the face model for one photo.

    Args:
        camera: projection to pixels of the frame.
        identity: (K,) coefficients.
        expression: (51,) blendshape weights of the photo.
        residual: (skin, 2) pixel offsets of the skin's vertices after projection.
        landmark_error: mean distance of the landmarks before the residual, pixels.
        residual_error: mean distance of the landmarks after the residual, pixels.
    """

    camera: Camera
    identity: np.ndarray
    expression: np.ndarray
    residual: np.ndarray
    landmark_error: float
    residual_error: float


class Fitter:
    """
    Fit a face model to landmarks by damped Gauss-Newton steps.

    Args:
        model: the face model.
        correspondence: positions of the landmarks on its skin.
    """

    def __init__(self, model: FaceModel, correspondence: LandmarkCorrespondence):
        self.model, self.correspondence = model, correspondence
        self._neutral = correspondence.pick(model, model.neutral) - model.middle
        self._identity = correspondence.pick(model, model.identity)
        self._expressions = correspondence.pick(model, model.expressions[FITTED_BLENDSHAPES])
        weights = np.ones(FACE_LANDMARKS)
        weights[OUTER_LIPS + INNER_LIPS] = 2
        weights[EYES["Right"] + EYES["Left"]] = 2.5
        weights[BROWS["Right"] + BROWS["Left"]] = 1.5
        weights[OVAL] = 0.5
        weights[OVAL[:6] + OVAL[-6:]] = 0.15  # hair hides this part, and the landmarker guesses it
        weights[correspondence.distance[:FACE_LANDMARKS] > 8] *= 0.1
        self._weights = weights
        self._residual_map = self._make_residual_map()

    def fit(self, points: np.ndarray, identity: np.ndarray | None = None, posed: bool = False) -> FaceFit:
        """
        Fit the model to one photo.

        Args:
            points: (468 or more, 2) landmarks in pixels.
            identity: (K,) coefficients from another photo of the person; the fit stays close to them.
            posed: the photo shows an expression, so blendshapes are regularised less.
        """
        aim = points[:FACE_LANDMARKS].astype(float)
        oval = aim[OVAL]
        centre = (oval.max(0) + oval.min(0)) / 2
        camera = Camera(np.eye(3), (float(centre[0]), float(centre[1])), float(np.ptp(oval[:, 1])) / FACE_HEIGHT)
        start = np.zeros(len(self._identity)) if identity is None else identity.astype(float)
        shape, expression = start.copy(), np.zeros(len(FITTED_BLENDSHAPES))
        unit = camera.scale / 30.0
        stiffness = np.concatenate([
            np.full(6, 1e-4),
            np.full(len(shape), IDENTITY_STIFFNESS if identity is None else KNOWN_IDENTITY_STIFFNESS),
            np.full(len(expression), POSED_STIFFNESS if posed else EXPRESSION_STIFFNESS),
        ]) * unit  # fmt: skip
        root = np.sqrt(np.repeat(self._weights, 2))
        for round_ in range(ROUNDS):
            face = self._place(shape, expression)
            offset = (aim - camera.project(face)[:, :2]).ravel() * root
            pose = camera.pose_jacobian(face) * root[:, None]
            if round_ < POSE_ROUNDS:
                camera = camera.moved(np.linalg.lstsq(pose, offset, rcond=None)[0])
                continue
            linear = camera.differentiate(face, np.concatenate([self._identity, self._expressions]))
            system = np.hstack([pose, linear * root[:, None]])
            now = np.concatenate([np.zeros(6), shape - start, expression])
            lowest = np.concatenate([np.full(6, -np.inf), -MAX_IDENTITY - shape, -expression])
            highest = np.concatenate([np.full(6, np.inf), MAX_IDENTITY - shape, 1 - expression])
            hessian = system.T @ system + np.diag(stiffness**2)
            step = solve_bounded(hessian, system.T @ offset - stiffness**2 * now, lowest, highest)
            camera = camera.moved(step[:6])
            shape = shape + step[6 : 6 + len(shape)]
            expression = np.clip(expression + step[6 + len(shape) :], 0, 1)
        offset = aim - camera.project(self._place(shape, expression))[:, :2]
        residual = (self._residual_map @ offset).astype(np.float32)
        padded = np.zeros((len(self.model.neutral), 2), np.float32)
        padded[: len(residual)] = residual
        after = offset - self.correspondence.pick(self.model, padded)
        weights = np.zeros(len(BLENDSHAPES), np.float32)
        weights[FITTED_BLENDSHAPES] = expression
        return FaceFit(
            camera, shape.astype(np.float32), weights, residual,
            float(np.linalg.norm(offset, axis=1).mean()), float(np.linalg.norm(after, axis=1).mean()),
        )  # fmt: skip

    def _place(self, identity: np.ndarray, expression: np.ndarray) -> np.ndarray:
        return (
            self._neutral + np.tensordot(identity, self._identity, 1) + np.tensordot(expression, self._expressions, 1)
        )

    def _make_residual_map(self) -> np.ndarray:
        """(skin, 468) linear map from landmark residuals to vertices, by biharmonic splines in 3D (Carr et al. 2001).
        The jaw is open for it, so the upper lip does not follow the lower lip."""
        model = self.model
        opened = np.zeros(len(BLENDSHAPES), np.float32)
        opened[BLENDSHAPES.index("jawOpen")] = 0.5
        vertices = model.shape(np.zeros(len(model.identity), np.float32), opened)
        centres = self.correspondence.pick(model, vertices).astype(float)
        skin = vertices[: model.skin].astype(float)

        def spread(points):
            return np.sqrt(np.maximum(((points[:, None] - centres[None]) ** 2).sum(2), 0))

        count = len(centres)
        affine = np.hstack([np.ones((count, 1)), centres / 10])
        kernel = -spread(centres) + RESIDUAL_SMOOTHING * np.diag(1 / self._weights)
        system = np.block([[kernel, affine], [affine.T, np.zeros((4, 4))]])
        inverse = np.linalg.inv(system)[:, :count]
        distances = spread(skin)
        followed = np.hstack([-distances, np.ones((len(skin), 1)), skin / 10]) @ inverse
        return followed * (1 - smoothstep(distances.min(1), *RESIDUAL_REACH))[:, None]


def solve_bounded(hessian: np.ndarray, gradient: np.ndarray, lowest: np.ndarray, highest: np.ndarray) -> np.ndarray:
    """Solve `hessian @ x = gradient` with bounds: fix violators at their bound and solve again for the rest."""
    free, step = np.ones(len(gradient), bool), np.zeros(len(gradient))
    for _ in range(4):
        aim = gradient[free] - hessian[np.ix_(free, ~free)] @ step[~free]
        step[free] = np.linalg.solve(hessian[np.ix_(free, free)], aim)
        outside = free & ((step < lowest) | (step > highest))
        step = np.clip(step, lowest, highest)
        if not outside.any():
            break
        free &= ~outside
    return step


def smoothstep(x: np.ndarray | float, start: float, end: float) -> np.ndarray:
    """Cubic Hermite step of `x`: 0 up to `start`, 1 from `end` on, in the shape of `x`."""
    t = np.clip((x - start) / (end - start), 0, 1)
    return t * t * (3 - 2 * t)
