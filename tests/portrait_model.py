"""A synthetic face model of some hundred vertices and photos of it, so that tests need no download."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.spatial import Delaunay

from tergan_hf.expressions.blendshapes import BLENDSHAPES
from tergan_hf.portraits import assets
from tergan_hf.portraits.camera import Camera
from tergan_hf.portraits.face_model import FaceModel
from tergan_hf.portraits.fitting import Fitter, LandmarkCorrespondence
from tergan_hf.portraits.landmarks import EYES, FACE_LANDMARKS, INNER_LIPS, IRISES, LOWER_LIDS, UPPER_LIDS
from tergan_hf.portraits.mesh import rasterize
from tergan_hf.portraits.smile_prior import SmilePrior


# (468, 2) cm about the nose tip: MediaPipe's landmarks on an average face.
FACE_POINTS = np.loadtxt(Path(__file__).with_name("face_points.txt"), dtype=np.float32)
PHOTO_SIDE, PHOTO_SCALE = 480, 19.0
LOWER_LIP = INNER_LIPS[11:]


def make_face_model() -> FaceModel:
    """Triangulate the landmarks on an ellipsoid, with a rim around them and a mouth behind the lips."""
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    rim = np.concatenate([
        np.stack([np.sin(angles) * 7.6 * grow, np.cos(angles) * 9.2 * grow], 1) for grow in (1.0, 1.2)
    ]).astype(np.float32)  # fmt: skip
    flat = np.concatenate([FACE_POINTS, rim])
    skin = np.column_stack([flat, _height(flat)]).astype(np.float32)
    triangles = Delaunay(flat).simplices.astype(np.int32)
    middle = flat[triangles].mean(1)
    holes = [FACE_POINTS[EYES[side]] for side in EYES] + [FACE_POINTS[INNER_LIPS]]
    triangles = triangles[~np.any([_inside(middle, hole) for hole in holes], 0)]
    parts, vertices, corners = {"face": slice(0, len(skin))}, [skin], [triangles]
    top = FACE_POINTS[13, 1]
    for name, low, high, depth in (
        ("socket", top - 4, top + 1.5, 6.0), ("gums", top - 2.5, top - 2.0, 7.0),
        ("upper_teeth", top - 0.6, top + 0.5, 8.2), ("lower_teeth", top - 1.4, top - 0.6, 8.0),
    ):  # fmt: skip
        start = sum(map(len, vertices))
        wide = 2.2
        vertices.append(
            np.array([[-wide, low, depth], [wide, low, depth], [wide, high, depth], [-wide, high, depth]], np.float32)
        )
        corners.append(np.array([[0, 1, 2], [0, 2, 3]], np.int32) + start)
        parts[name] = slice(start, start + 4)
    neutral = np.concatenate(vertices)
    faces = np.ascontiguousarray(_facing_forward(neutral, np.concatenate(corners)))
    identity = np.zeros((2, *neutral.shape), np.float32)
    identity[0, :, 0], identity[1, :, 1] = 0.03 * neutral[:, 0], 0.03 * neutral[:, 1]
    return FaceModel(neutral, faces, identity, _expressions(neutral, parts), parts)


def _height(flat: np.ndarray) -> np.ndarray:
    return 11 * np.sqrt(np.maximum(1 - (flat[:, 0] / 12) ** 2 - (flat[:, 1] / 15) ** 2, 0))


def _inside(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """(N,) bool, whether a polygon contains the points, by crossings to the right."""
    x, y = points.T
    found = np.zeros(len(points), bool)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, 0)):
        crosses = (y0 > y) != (y1 > y)
        found ^= crosses & (x < (x1 - x0) * (y - y0) / np.where(y1 == y0, 1e-9, y1 - y0) + x0)
    return found


def _facing_forward(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    normal = np.cross(
        vertices[triangles[:, 1]] - vertices[triangles[:, 0]], vertices[triangles[:, 2]] - vertices[triangles[:, 0]]
    )
    return np.where(normal[:, 2:] < 0, triangles[:, ::-1], triangles)


def _expressions(neutral: np.ndarray, parts: dict[str, slice]) -> np.ndarray:
    shapes = np.zeros((len(BLENDSHAPES), *neutral.shape), np.float32)
    skin = neutral[parts["face"]]

    def bump(number, radius):
        return np.exp(-(((skin[:, :2] - FACE_POINTS[number]) ** 2).sum(1)) / (2 * radius**2))

    jaw = shapes[BLENDSHAPES.index("jawOpen")]
    below = np.clip((FACE_POINTS[14, 1] + 0.05 - skin[:, 1]) / 1.5, 0, 1)
    below[LOWER_LIP] = 1
    below[INNER_LIPS[:11]] = 0
    jaw[parts["face"], 1] = -2.5 * below * np.exp(-((skin[:, 0] / 6) ** 4))
    jaw[parts["lower_teeth"], 1] = -2.5
    for side, corner in (("Left", 291), ("Right", 61)):
        smile = shapes[BLENDSHAPES.index(f"mouthSmile{side}")]
        smile[parts["face"], 1] = 1.0 * bump(corner, 1.2)
        blink = shapes[BLENDSHAPES.index(f"eyeBlink{side}")]
        for upper, lower in zip(UPPER_LIDS[side], LOWER_LIDS[side]):
            blink[upper, 1] = FACE_POINTS[lower, 1] - FACE_POINTS[upper, 1]
    return shapes


def make_correspondence(model: FaceModel) -> LandmarkCorrespondence:
    """Each landmark is a vertex. Landmarks of the irises are unused."""
    triangles, weights = np.zeros(478, np.int64), np.zeros((478, 3), np.float32)
    for number in range(FACE_LANDMARKS):
        rows, corners = np.nonzero(model.triangles == number)
        triangles[number], weights[number, corners[0]] = rows[0], 1
    return LandmarkCorrespondence(triangles, weights, np.zeros(478, np.float32))


def make_photo(model: FaceModel) -> tuple[np.ndarray, np.ndarray]:
    """A patterned photo of the model, (480, 480, 3) uint8, and its 478 landmarks."""
    camera = Camera(np.eye(3), (PHOTO_SIDE / 2, PHOTO_SIDE / 2), PHOTO_SCALE)
    points = camera.project(model.neutral - model.middle)
    raster = rasterize(points, model.triangles, PHOTO_SIDE)
    shade = raster.interpolate(model.triangles, model.neutral)
    rows, columns = np.mgrid[:PHOTO_SIDE, :PHOTO_SIDE].astype(np.float32)
    pattern = 25 * np.sin(columns / 5) * np.cos(rows / 6)
    skin = np.stack([200 + pattern, 150 + pattern, 125 + pattern], 2) * (0.8 + 0.02 * shade[..., 2:3])
    photo = np.where(raster.triangle[..., None] >= 0, skin, 90.0)
    landmarks = np.concatenate([points[:FACE_LANDMARKS, :2], np.zeros((10, 2), np.float32)])
    for side, (centre, edge) in IRISES.items():
        at = landmarks[EYES[side]].mean(0)
        radius = 0.55 * PHOTO_SCALE
        landmarks[centre] = at
        landmarks[list(edge)] = at + radius * np.array([[1, 0], [0, 1], [-1, 0], [0, -1]], np.float32)
        away = np.hypot(columns + 0.5 - at[0], rows + 0.5 - at[1])
        opening = (raster.triangle < 0) & (away < 3 * radius)
        photo[opening] = 225
        photo[opening & (away < radius)] = (70, 50, 40)
    return np.clip(photo, 0, 255).astype(np.uint8), landmarks.astype(np.float32)


class KnownLandmarks:
    """A substitute for MediaPipe that knows the landmarks of `make_photo`, and finds no face in a black photo."""

    def __init__(self, model: FaceModel):
        self.points = make_photo(model)[1]

    def find(self, pixels):
        return (self.points, {}) if pixels.any() else None


def use_portrait_model(monkeypatch: pytest.MonkeyPatch, folder: Path, fitter: Fitter):
    """Write `source/` with photos of the people a, b and c, and let commands use the synthetic model for them. `ict/`
    and `landmarker` stand for its files."""
    (folder / "source").mkdir()
    for name in ("a", "b", "c"):
        Image.fromarray(make_photo(fitter.model)[0]).save(folder / "source" / f"{name}.png")
    (folder / "ict").mkdir()
    (folder / "ict" / "ict.npz").write_bytes(b"")
    (folder / "landmarker").write_bytes(b"")
    prior = SmilePrior.empty(fitter.model)
    monkeypatch.setattr(assets, "cached_smile_prior", lambda *_: folder / "smile_prior.npz")
    monkeypatch.setattr(assets, "load_smile_prior", lambda *_: (prior, fitter.correspondence))
    monkeypatch.setattr(assets, "read_face_model", lambda _: fitter.model)
    monkeypatch.setattr(assets, "load_assets", lambda _: (fitter, prior, KnownLandmarks(fitter.model)))
