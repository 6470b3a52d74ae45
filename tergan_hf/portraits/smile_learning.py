"""Learn landmark correspondence, smile shape, smile wrinkles and teeth from photos of real smiles."""

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from scipy.spatial import cKDTree
from tqdm.auto import tqdm

from ..data.sets.photographs import read_source
from .correspondence import find_correspondence
from .face_model import FaceModel
from .fitting import FaceFit, Fitter, LandmarkCorrespondence
from .landmarks import BROWS, EYES, INNER_LIPS, NOSE_TIP, NOSTRILS, OUTER_LIPS, OVAL, Landmarker
from .mesh import rasterize, vertex_normals
from .mouth_materials import mouth_materials
from .portrait import Frame, cut_frame
from .smile_prior import SMILE, SmilePrior
from .teeth_donors import make_donor
from .warping import sample
from .wrinkles import PIXELS_PER_CM, SIDE, flat_coordinates


TEXTURE_PHOTOS = 24
MAX_DONORS = 60
LEARNING_SIZE, LEARNING_MARGIN = 400, 1.6
MIN_SMILE_GAIN = 0.15  # increase of mouthSmile; weaker pairs are ignored


@dataclass(frozen=True)
class SmilePair:
    """A neutral and a smiling photo of one person."""

    owner: str
    neutral: Path
    smile: Path


def learn_smile_prior(
    model: FaceModel, landmarker: Landmarker, pairs: list[SmilePair], portraits: list[Path]
) -> tuple[SmilePrior, LandmarkCorrespondence]:
    """
    Learn the smile prior and the landmark correspondence from photos.

    Args:
        pairs: photos of people in the set, without excluded people.
        portraits: neutral faces of such people. Their mean texture helps to find the landmarks on the model.
    """
    correspondence = find_correspondence(model, landmarker)
    fitter = Fitter(model, correspondence)
    texture = _mean_texture(model, fitter, landmarker, portraits[:: max(1, len(portraits) // TEXTURE_PHOTOS)])
    if texture is not None:
        correspondence = find_correspondence(model, landmarker, texture)
        fitter = Fitter(model, correspondence)
    shapes, amounts, ratios, donors = [], [], [], []
    for pair in tqdm(pairs, desc="Learning from smiles", unit="pair", dynamic_ncols=True):
        resting, smiling = (find_frame(landmarker, path) for path in (pair.neutral, pair.smile))
        if resting is None or smiling is None:
            continue
        rest = fitter.fit(resting.points)
        smile = fitter.fit(smiling.points, identity=rest.identity, posed=True)
        gained = float((smile.expression - rest.expression)[SMILE].mean())
        donor = make_donor(smiling.picture, smiling.points[INNER_LIPS], pair.owner)
        if donor is not None:
            donors.append(donor)
        if gained > MIN_SMILE_GAIN:
            shapes.append(_level(smile) - _level(rest))
            amounts.append(gained)
            ratios.append(_brightness_ratio(_flatten(fitter, rest, resting), _flatten(fitter, smile, smiling)))
    if not shapes:
        return replace(SmilePrior.empty(model), donors=tuple(donors)), correspondence
    share = np.array(amounts)
    shape = np.tensordot(share, np.array(shapes), 1) / (share**2).sum()
    mirrored = cKDTree(model.neutral[: model.skin]).query(
        model.neutral[: model.skin] * np.array([-1, 1, 1], np.float32)
    )[1]
    shape = (shape + shape[mirrored] * np.array([-1, 1], np.float32)) / 2
    wrinkles = np.nan_to_num(np.ma.median(np.ma.masked_invalid(np.array(ratios)), 0).filled(0))
    wrinkles = (wrinkles + wrinkles[:, ::-1]) / 2 * _wrinkle_mask(fitter)
    donors = sorted(donors, key=lambda donor: -donor.biting_edge)[:MAX_DONORS]
    mouth = mouth_materials(model)
    prior = SmilePrior(shape.astype(np.float32), wrinkles.astype(np.float32), tuple(donors), mouth)
    return prior, correspondence


def find_frame(
    landmarker: Landmarker, path: Path, size: int = LEARNING_SIZE, margin: float = LEARNING_MARGIN
) -> Frame | None:
    """
    The working frame of a photo, or None without a face.

    Raises:
        BuildError: the file is not a readable image. The message names it.
    """
    pixels = np.array(read_source(path))
    found = landmarker.find(pixels)
    return None if found is None else cut_frame(pixels, found[0], size, margin)


def _place(model: FaceModel, fit: FaceFit) -> tuple[np.ndarray, np.ndarray]:
    """Project the skin: (skin, 2) positions in pixels, and (skin,) z of the normals towards the camera."""
    vertices = model.shape(fit.identity, fit.expression) - model.middle
    places = fit.camera.project(vertices)[: model.skin, :2] + fit.residual
    normals = vertex_normals(vertices @ fit.camera.rotation.T.astype(np.float32), model.triangles)
    return places, normals[: model.skin, 2]


def _mean_texture(model: FaceModel, fitter: Fitter, landmarker: Landmarker, photos: list[Path]) -> np.ndarray | None:
    summed, total = np.zeros((model.skin, 3)), np.zeros((model.skin, 1))
    for path in photos:
        frame = find_frame(landmarker, path)
        if frame is None:
            continue
        places, facing = _place(model, fitter.fit(frame.points))
        weights = np.clip(facing - 0.2, 0, 1)[:, None]
        summed += sample(frame.picture, places[None], cv2.INTER_LINEAR)[0] * weights
        total += weights
    if not total.any():
        return None
    texture = summed / np.maximum(total, 1e-6)
    hidden = total[:, 0] < 0.05 * total.max()
    texture[hidden] = np.median(texture[~hidden], 0)
    return texture.astype(np.float32)


def _level(fit: FaceFit) -> np.ndarray:
    """(skin, 2) residual in cm, with the roll of the head removed."""
    roll = np.arctan2(fit.camera.rotation[1, 0], fit.camera.rotation[0, 0])
    turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    return fit.residual / fit.camera.scale @ turn.T


def _flatten(fitter: Fitter, fit: FaceFit, frame: Frame) -> tuple[np.ndarray, np.ndarray]:
    """(SIDE, SIDE) brightness in flat coordinates, and (SIDE, SIDE) bool mask of visible skin."""
    model = fitter.model
    places, facing = _place(model, fit)
    flat = flat_coordinates(model, int(fitter.correspondence.nearest(model)[NOSE_TIP]))
    raster = rasterize(np.column_stack([flat, model.neutral[: model.skin, 2]]), model.skin_triangles, SIDE)
    fields = raster.interpolate(model.skin_triangles, np.column_stack([places, facing]).astype(np.float32))
    grey = frame.picture @ np.array([0.299, 0.587, 0.114], np.float32)
    grey = cv2.GaussianBlur(grey, (0, 0), 0.07 * fit.camera.scale)
    return sample(grey, fields[..., :2], cv2.INTER_LINEAR), (fields[..., 2] > 0.3) & (raster.triangle >= 0)


def _brightness_ratio(rest: tuple[np.ndarray, np.ndarray], smile: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """(SIDE, SIDE) log of smiling / neutral brightness without the exposure. NaN marks skin that a photo hides."""
    ratio = np.clip(np.log((smile[0] + 8) / (rest[0] + 8)), -0.7, 0.5)
    shown = rest[1] & smile[1]
    return np.where(shown, ratio - np.median(ratio[shown]), np.nan).astype(np.float32)


def _wrinkle_mask(fitter: Fitter) -> np.ndarray:
    """(SIDE, SIDE) weights, 0 off the face and at brows, eyes, lips and nostrils, where photos align less exactly."""
    model = fitter.model
    nearest = fitter.correspondence.nearest(model)
    flat = flat_coordinates(model, int(nearest[NOSE_TIP]))[nearest]
    mask = np.zeros((SIDE, SIDE), np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.round(flat[OVAL]).astype(np.int32)), 1)
    mask = cv2.erode(mask, np.ones((21, 21), np.uint8))
    rings = [(ring, 0.17) for ring in EYES.values()] + [(ring, 0.22) for ring in BROWS.values()]
    for ring, grow in [*rings, (OUTER_LIPS, 0.12), (NOSTRILS, 0.12)]:
        hole = np.zeros((SIDE, SIDE), np.uint8)
        cv2.fillConvexPoly(hole, cv2.convexHull(np.round(flat[ring]).astype(np.int32)), 1)
        reach = round(grow * PIXELS_PER_CM) * 2 + 1
        mask &= 1 - cv2.dilate(hole, np.ones((reach, reach), np.uint8))
    return cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.15 * PIXELS_PER_CM)
