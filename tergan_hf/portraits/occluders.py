"""Detect hair and spectacles over the face, which do not move with the skin."""

import cv2
import numpy as np

from .landmarks import BROWS, EYE_CORNERS, EYES, OVAL


DARK_HAIR = 0.6  # brightness limit of hair, relative to the skin
BRIDGE_CONTRAST = 0.10  # contrast above which a line across the bridge of the nose is a frame
FRAME_CONTRAST = 0.09
TEMPLES = {"Right": 127, "Left": 356}
SKIN_POINTS = [9, 151, 117, 346, 50, 280, 36, 266]


def find_occluders(picture: np.ndarray, points: np.ndarray, cm: float, spectacles: bool) -> np.ndarray:
    """
    Find hair and the frame of spectacles over the face.

    Args:
        picture: (S, S, 3) float32, upright. points: (478, 2) landmarks in it. cm: pixels per cm.
        spectacles: whether the person wears any (`has_spectacles`).

    Returns:
        (S, S) float32 mask, 0 to 1, with soft edges.
    """
    grey = picture @ np.array([0.299, 0.587, 0.114], np.float32)
    columns, rows = np.clip(points[SKIN_POINTS].T.astype(int), 0, len(grey) - 1)
    skin = float(np.median(cv2.GaussianBlur(grey, (0, 0), 0.2 * cm)[rows, columns]))
    found = _hair(grey, points, cm, skin)
    if spectacles:
        found |= _frames(grey, points, cm, skin) | _lenses(grey.shape, points, cm)
    reach = round(0.12 * cm) * 2 + 1  # thin strands at the edge are too bright for `DARK_HAIR`
    grown = cv2.dilate(found.astype(np.uint8), np.ones((reach, reach), np.uint8))
    return cv2.GaussianBlur(grown.astype(np.float32), (0, 0), 0.12 * cm)


def _lenses(shape: tuple[int, int], points: np.ndarray, cm: float) -> np.ndarray:
    """Mask of all places of a frame: around the eyes, over the brows, across the nose and to the ears."""
    band, excluded = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    for side in EYES:
        eye, brow = points[EYES[side]], points[BROWS[side]]
        centre, width = eye.mean(0), float(np.ptp(eye[:, 0]))
        middle = tuple(map(int, centre + [0, 0.3 * cm]))
        cv2.ellipse(band, middle, (int(1.2 * width), int(0.95 * width)), 0, 0, 360, 1, -1)
        inner = tuple(map(int, centre))
        cv2.ellipse(excluded, inner, (int(0.55 * width), int(0.32 * width)), 0, 0, 360, 1, -1)
        cv2.fillConvexPoly(
            band, cv2.convexHull(np.round(np.vstack([brow, brow - [0, 0.4 * cm], eye])).astype(np.int32)), 1
        )
    right, left = (points[EYES[side]].mean(0) for side in EYES)
    cv2.line(band, tuple(map(int, right)), tuple(map(int, left)), 1, max(1, int(1.1 * cm)))
    arms = np.zeros(shape, np.uint8)
    for side, temple in TEMPLES.items():
        outer, end = points[EYE_CORNERS[side][0]], points[temple]
        hinge = outer + 0.35 * (end - outer) - [0, 0.4 * cm]
        cv2.line(arms, tuple(map(int, hinge)), tuple(map(int, end)), 1, max(1, int(1.3 * cm)))
    return (band > 0) & (excluded == 0) | (arms > 0)


def has_spectacles(picture: np.ndarray, points: np.ndarray, cm: float) -> bool:
    """Whether a line crosses the bridge of the nose, where bare skin is smooth."""
    return bridge_contrast(picture, points, cm) > BRIDGE_CONTRAST


def bridge_contrast(picture: np.ndarray, points: np.ndarray, cm: float) -> float:
    """Contrast of the strongest horizontal line on the bridge of the nose, relative to the brightness there."""
    grey = picture @ np.array([0.299, 0.587, 0.114], np.float32)
    inner = points[[133, 362]]
    middle = inner.mean(0)
    half = int(0.28 * np.ptp(inner[:, 0]))
    top, bottom = int(middle[1] - 1.4 * cm), int(middle[1] + 1.1 * cm)
    patch = grey[max(top, 0) : bottom, max(int(middle[0]) - half, 0) : int(middle[0]) + half + 1]
    if patch.size == 0:
        return 0.0
    # A frame spans the bridge and survives the median. A wrinkle or a lash does not.
    profile = np.median(patch, 1).astype(np.float32)[:, None]
    line = cv2.GaussianBlur(profile, (1, 0), 0.05 * cm, sigmaY=0.05 * cm)
    around = cv2.GaussianBlur(profile, (1, 0), 0.3 * cm, sigmaY=0.3 * cm)
    return float(np.abs(line - around).max() / max(float(np.median(profile)), 1.0))


def _hair(grey: np.ndarray, points: np.ndarray, cm: float, skin: float) -> np.ndarray:
    """Mask of dark strands over the forehead and the temples."""
    face, brows = np.zeros(grey.shape, np.uint8), np.zeros(grey.shape, np.uint8)
    cv2.fillConvexPoly(face, cv2.convexHull(np.round(points[OVAL]).astype(np.int32)), 1)
    for side in BROWS:
        cv2.fillConvexPoly(brows, cv2.convexHull(np.round(points[BROWS[side]]).astype(np.int32)), 1)
    reach = int(0.5 * cm) * 2 + 1
    brows = cv2.dilate(brows, np.ones((reach, reach), np.uint8))
    level = points[BROWS["Right"] + BROWS["Left"], 1].min()
    above = np.arange(len(grey))[:, None] < level
    hair = (grey < DARK_HAIR * skin) & (face > 0) & (brows == 0) & above
    # Hair reaches in from the outline. A separate dark patch is a mole, a shadow or the edge of a brow.
    _, pieces = cv2.connectedComponents(hair.astype(np.uint8))
    inset = round(0.4 * cm) * 2 + 1
    rim = (face > 0) & (cv2.erode(face, np.ones((inset, inset), np.uint8)) == 0)
    return hair & np.isin(pieces, np.unique(pieces[hair & rim]))


def _frames(grey: np.ndarray, points: np.ndarray, cm: float, skin: float) -> np.ndarray:
    """Mask of lines around the eyes that are darker or brighter than the skin, without lids and brows."""
    smooth = cv2.GaussianBlur(grey, (0, 0), 0.06 * cm)
    contrast = np.abs(smooth - cv2.GaussianBlur(grey, (0, 0), 0.4 * cm)) / max(skin, 1.0)
    band = np.zeros(grey.shape, np.uint8)
    excluded = np.zeros(grey.shape, np.uint8)
    for side in EYES:
        eye = points[EYES[side]]
        centre, width = eye.mean(0), float(np.ptp(eye[:, 0]))
        lens = np.zeros(grey.shape, np.uint8)
        middle = tuple(map(int, centre + [0, 0.25 * cm]))
        cv2.ellipse(lens, middle, (int(1.15 * width), int(0.95 * width)), 0, 0, 360, 1, -1)
        lens[: max(int(points[BROWS[side], 1].mean()), 0)] = 0  # brows are lines too
        band |= lens
        cv2.fillPoly(excluded, [np.round(eye).astype(np.int32)], 1)
        cv2.fillConvexPoly(excluded, cv2.convexHull(np.round(points[BROWS[side]]).astype(np.int32)), 1)
    reach = int(0.22 * cm) * 2 + 1
    excluded = cv2.dilate(excluded, np.ones((reach, reach), np.uint8))
    return (contrast > FRAME_CONTRAST) & (band > 0) & (excluded == 0)
