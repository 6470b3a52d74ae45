"""Find MediaPipe's landmarks on the face model by running the landmarker on a drawing of it."""

import cv2
import numpy as np

from ..data.building import BuildError
from ..expressions.blendshapes import BLENDSHAPES
from .camera import Camera
from .face_model import FaceModel
from .fitting import LandmarkCorrespondence
from .landmarks import INNER_LIPS, IRISES, OUTER_LIPS, Landmarker
from .mesh import Raster, rasterize, vertex_normals


SIDE = 1024
PIXELS_PER_CM = SIDE / 30
SKIN, INSIDE, GUMS, TEETH, BACKGROUND = (205, 160, 135), (70, 20, 20), (150, 70, 70), (220, 210, 195), 150
EYE_RADIUS, IRIS_RADIUS, PUPIL_RADIUS = 1.25, 0.6, 0.25


def find_correspondence(
    model: FaceModel, landmarker: Landmarker, skin: np.ndarray | None = None
) -> LandmarkCorrespondence:
    """
    Find the landmarks on the model. Lip landmarks come from a drawing with parted lips, the rest from closed lips.

    Args:
        skin: (skin, 3) colours of the skin's vertices. They help to find brows and lips.

    Raises:
        BuildError: the landmarker finds no face in the drawing.
    """
    parts = []
    for jaw in (0.0, 0.35):
        picture, raster = draw_face(model, jaw, skin)
        found = landmarker.find(picture)
        if found is None:
            raise BuildError(
                "the landmarker finds no face in a drawing of the face model: are these files ICT-FaceKit?"
            )
        parts.append(_look_up(model, found[0], raster))
    closed, parted = parts
    for column, other in zip(closed, parted):
        column[OUTER_LIPS + INNER_LIPS] = other[OUTER_LIPS + INNER_LIPS]
    triangles, corners, distances = closed
    weights = np.column_stack([1 - corners.sum(1), corners]).astype(np.float32)
    return LandmarkCorrespondence(triangles, weights, distances)


def draw_face(model: FaceModel, jaw: float, skin: np.ndarray | None) -> tuple[np.ndarray, Raster]:
    """Draw the model from the front: a (SIDE, SIDE, 3) uint8 picture and its raster."""
    weights = np.zeros(len(BLENDSHAPES), np.float32)
    weights[BLENDSHAPES.index("jawOpen")] = jaw
    vertices = model.shape(np.zeros(len(model.identity), np.float32), weights)
    vertices = vertices - np.array([0, vertices[: model.skin, 1].mean(), 0], np.float32)
    camera = Camera(np.eye(3), (SIDE / 2, SIDE / 2), PIXELS_PER_CM)
    raster = rasterize(camera.project(vertices), model.triangles, SIDE)
    colours = np.zeros((len(vertices), 3), np.float32)
    for part, colour in (("face", SKIN), ("socket", INSIDE), ("gums", GUMS), ("upper_teeth", TEETH),
                         ("lower_teeth", TEETH)):  # fmt: skip
        colours[model.parts[part]] = colour
    if skin is not None:
        colours[: model.skin] = skin
    normals = raster.interpolate(model.triangles, vertex_normals(vertices, model.triangles))
    light = np.array([0.3, 0.5, 1.0], np.float32) / np.float32(1.1576)
    strength = (0.55, 0.5) if skin is None else (0.75, 0.3)
    shade = strength[0] + strength[1] * np.clip(normals @ light, 0, 1)
    picture = np.clip(raster.interpolate(model.triangles, colours) * shade[..., None], 0, 255)
    covered = raster.triangle >= 0
    picture = np.where(covered[..., None], picture, _paint_eyes(vertices, camera, model))
    return cv2.GaussianBlur(picture.astype(np.uint8), (0, 0), 0.8), raster


def _paint_eyes(vertices: np.ndarray, camera: Camera, model: FaceModel) -> np.ndarray:
    """The background with eyeballs behind the eye openings."""
    canvas = np.full((SIDE, SIDE, 3), BACKGROUND, np.uint8)
    for centre in _eye_openings(model, vertices):
        at = camera.project(np.array([[*centre, 9.0]], np.float32))[0]
        for radius, colour in (
            (EYE_RADIUS, (225, 220, 215)),
            (IRIS_RADIUS, (95, 75, 60)),
            (PUPIL_RADIUS, (20, 15, 15)),
        ):
            cv2.circle(canvas, (round(float(at[0])), round(float(at[1]))), round(radius * PIXELS_PER_CM), colour, -1)
    return canvas.astype(np.float32)


def _eye_openings(model: FaceModel, vertices: np.ndarray) -> list[np.ndarray]:
    """Centre of each eye opening, from the vertices that a blink moves most."""
    centres = []
    for side in ("Right", "Left"):
        moved = np.linalg.norm(model.expressions[BLENDSHAPES.index(f"eyeBlink{side}"), : model.skin], axis=1)
        lids = vertices[: model.skin][moved > 0.6 * moved.max()]
        centre = lids.mean(0)[:2]
        centres.append(np.array([(lids[:, 0].min() + lids[:, 0].max()) / 2, centre[1] - 0.35], np.float32))
    return centres


def _look_up(model: FaceModel, points: np.ndarray, raster: Raster) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The skin pixel nearest to each landmark: triangle, weights of two corners, distance in pixels."""
    part = np.where(raster.triangle >= 0, model.part_of_triangle[np.maximum(raster.triangle, 0)], -1)
    rows, columns = np.nonzero(part == model.part_number("face"))
    triangles = np.zeros(len(points), np.int64)
    weights, distances = np.zeros((len(points), 2), np.float32), np.zeros(len(points), np.float32)
    for number, (x, y) in enumerate(points):
        distance = (columns + 0.5 - x) ** 2 + (rows + 0.5 - y) ** 2
        at = int(distance.argmin())
        triangles[number] = raster.triangle[rows[at], columns[at]]
        weights[number] = raster.weights[rows[at], columns[at]]
        distances[number] = np.sqrt(distance[at])
    distances[[IRISES["Right"][0], IRISES["Left"][0]]] = 0
    return triangles, weights, distances
