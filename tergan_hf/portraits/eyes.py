"""Eyes of a portrait: the white without the iris, the whole iris, lids that close, and lashes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ..expressions.blendshapes import BLENDSHAPES, GAZE_DEGREES
from .fitting import smoothstep
from .landmarks import EYE_CORNERS, EYES, FACE_LANDMARKS, IRISES, LOWER_LIDS, UPPER_LIDS


if TYPE_CHECKING:
    from .portrait import Portrait

EYEBALL = 1.2  # cm from the middle of the eyeball to the iris
LID_SPREAD = 0.32  # cm over which a lid's margin carries the skin above it
LASHES = 30


@dataclass(frozen=True)
class EyePlate:
    """
    One eye of a photo, taken apart.

    Args:
        left, top: of the pieces in the frame, pixels.
        centre: x, y of the iris in the frame. radius: of it.
        white: (h, w, 3) the eyeball without an iris.
        iris: (h, w, 3) the whole iris, without the highlight. cover: (h, w) where it covers the white.
        highlight: (h, w, 3) what the reflected lamp adds; it stays when the eye turns.
        opening: (h, w) float32, 1 where the photo shows the eyeball, with a margin to the lids.
    """

    left: int
    top: int
    centre: np.ndarray
    radius: float
    white: np.ndarray
    iris: np.ndarray
    cover: np.ndarray
    highlight: np.ndarray
    opening: np.ndarray


def make_eye_plate(picture: np.ndarray, points: np.ndarray, side: str, cm: float) -> EyePlate:
    """Take an eye of a photo apart."""
    ring, (middle, edge) = points[EYES[side]], IRISES[side]
    rim = points[list(edge)]
    radius = float(np.linalg.norm(rim - rim.mean(0), axis=1).mean())
    centre = (points[middle] + rim.mean(0)) / 2
    pad = np.array([0.5, 0.75]) * cm
    low = np.maximum((ring.min(0) - pad).astype(int), 0)
    high = np.minimum((ring.max(0) + pad).astype(int) + 1, len(picture))
    patch = picture[low[1] : high[1], low[0] : high[0]]
    mask = np.zeros(patch.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(ring - low).astype(np.int32)], 1)
    shrink = max(3, round(0.2 * cm) | 1)
    inner = cv2.erode(mask, np.ones((shrink, shrink), np.uint8)) > 0
    rows, columns = np.mgrid[: patch.shape[0], : patch.shape[1]].astype(np.float32)
    distance = np.hypot(columns + low[0] + 0.5 - centre[0], rows + low[1] + 0.5 - centre[1])

    white_seen = inner & (distance > 1.15 * radius)
    white = _spread(patch, white_seen, cm)
    iris, highlight = _whole_iris(patch, inner, distance, radius, cm)
    return EyePlate(
        int(low[0]), int(low[1]), centre, radius, white, iris,
        (1 - smoothstep(distance, 0.92 * radius, 1.1 * radius)).astype(np.float32), highlight,
        inner.astype(np.float32),
    )  # fmt: skip


def _spread(patch: np.ndarray, seen: np.ndarray, cm: float) -> np.ndarray:
    """The white of the eye, continued from where it is seen."""
    if seen.sum() < 12:
        return np.full_like(patch, 190)
    weights = seen.astype(np.float32)
    total, summed = np.zeros_like(weights), np.zeros_like(patch)
    for sigma in (0.1 * cm, 0.27 * cm, 0.67 * cm):
        summed += cv2.GaussianBlur(patch * weights[..., None], (0, 0), sigma) / sigma**2
        total += cv2.GaussianBlur(weights, (0, 0), sigma) / sigma**2
    soft = (cv2.GaussianBlur(weights, (0, 0), 0.05 * cm) * weights)[..., None]
    return summed / np.maximum(total, 1e-6)[..., None] * (1 - soft) + patch * soft


def _whole_iris(
    patch: np.ndarray, inner: np.ndarray, distance: np.ndarray, radius: float, cm: float
) -> tuple[np.ndarray, np.ndarray]:
    """The iris with what the lids hide filled in by its mean colour at that radius, and its highlight apart."""
    seen = inner & (distance < 1.25 * radius)
    rings = max(int(1.3 * radius) + 2, 3)
    ring = np.minimum(distance.astype(int), rings - 1)
    profile = np.zeros((rings, 3), np.float32)
    for number in range(rings):
        here = seen & (ring == number)
        profile[number] = np.median(patch[here], 0) if here.sum() > 3 else (profile[number - 1] if number else 25)
    profile = cv2.GaussianBlur(profile[:, None], (1, 0), 0.05 * cm, sigmaY=0.05 * cm)[:, 0]
    at = np.clip(distance - 0.5, 0, rings - 1)
    full = np.stack([np.interp(at, np.arange(rings), profile[:, k]) for k in range(3)], 2).astype(np.float32)
    brighter = (patch - full).max(2)
    lamp = (seen & (distance < 0.85 * radius)).astype(np.float32) * smoothstep(brighter, 25, 60)
    lamp = cv2.GaussianBlur(cv2.dilate(lamp.astype(np.float32), np.ones((3, 3))), (0, 0), 0.03 * cm)[..., None]
    keep = (cv2.GaussianBlur(seen.astype(np.float32), (0, 0), 0.07 * cm) * seen)[..., None] * (1 - lamp)
    return full * (1 - keep) + patch * keep, np.maximum(patch - full, 0) * lamp


def white_colour(portrait: Portrait) -> np.ndarray:
    """(3,) what white looks like in this photo's light, for teeth: from its own teeth, else from eyes and skin."""
    picture, points = portrait.picture, portrait.points2d
    if portrait.own_teeth is not None:
        return np.clip(portrait.own_teeth.white * 1.05, 90, 240)
    samples = []
    for plate in portrait.eyes.values():
        rows, columns = np.nonzero((plate.opening > 0) & (plate.cover < 0.02))
        if len(rows) > 8:
            samples.append(np.percentile(picture[rows + plate.top, columns + plate.left], 80, axis=0))
    colour = np.mean(samples, 0) if samples else np.array([215.0, 205.0, 200.0])
    at = np.clip(points[:FACE_LANDMARKS].astype(int), 0, portrait.size - 1)
    skin = float(np.percentile(picture[at[:, 1], at[:, 0]].mean(1), 80))
    colour = 0.85 * colour + 0.15 * colour.mean()
    bright = np.clip(max(1.4 * skin, 1.12 * colour.mean()), 165, 226)
    return np.clip(colour * bright / colour.mean(), 0, 250).astype(np.float32)


def close_lids(portrait: Portrait, points: np.ndarray, weights: np.ndarray, camera) -> np.ndarray:
    """Move the skin of each upper lid, (V, 3) points in place, so that it meets the lower one when a blink is full."""
    model, nearest = portrait.model, portrait.nearest
    at = {name: BLENDSHAPES.index(name) for name in BLENDSHAPES}
    for side in EYES:
        blink = float(weights[at[f"eyeBlink{side}"]])
        if blink < 0.05:
            continue
        full = portrait.fit.own.copy()
        full[at[f"eyeBlink{side}"]] = 1
        for name in ("eyeLookDown", "eyeSquint", "cheekSquint"):
            full[at[f"{name}{side}"]] = min(1.0, weights[at[f"{name}{side}"]])
        closed = portrait.place(model.move(portrait.person, full), camera)
        gap = closed[nearest[LOWER_LIDS[side]], :2] - closed[nearest[UPPER_LIDS[side]], :2]
        gap[:, 0] *= 0.3
        gap[:, 1] += 0.05 * portrait.cm
        skin = model.neutral[: model.skin]
        distances = ((skin[:, None] - skin[nearest[UPPER_LIDS[side]]][None]) ** 2).sum(2)
        carried = np.exp(-distances / (2 * LID_SPREAD**2))
        amount = np.clip(carried.max(1), 0, 1)
        below = np.linalg.norm(skin[:, None] - skin[nearest[LOWER_LIDS[side]]][None], axis=2).min(1)
        amount[below < np.sqrt(distances.min(1))] = 0
        shares = carried / np.maximum(carried.sum(1, keepdims=True), 1e-9)
        closing = smoothstep(np.float64(blink), 0.1, 0.95)
        points[: model.skin, :2] += (closing * amount[:, None] * (shares @ gap)).astype(np.float32)
    return points


def gaze_offset(change: np.ndarray, side: str, cm: float) -> np.ndarray:
    """(2,) pixels by which the iris moves for a (51,) change of blendshapes: to the right and down."""
    look = {way: float(change[BLENDSHAPES.index(f"eyeLook{way}{side}")]) for way in ("Out", "In", "Up", "Down")}
    out = -1 if side == "Right" else 1  # the subject's right eye looks out to the viewer's left
    angles = np.radians([out * (look["Out"] - look["In"]) * GAZE_DEGREES, (look["Down"] - look["Up"]) * GAZE_DEGREES])
    return (EYEBALL * cm * np.sin(angles)).astype(np.float32)


def draw_eye(
    portrait: Portrait, side: str, canvas: np.ndarray, flow: np.ndarray, hidden: np.ndarray, opening: np.ndarray,
    change: np.ndarray, shift: np.ndarray,
):  # fmt: skip
    """
    Draw an eyeball into the opening between the lids, in place.

    Args:
        canvas: (S, S, 3). flow: (S, S, 2) to the session's neutral picture. hidden: (S, S) what that does not show.
        opening: (S, S) bool, between the lids now.
        change: (51,) of the blendshapes since the photo. shift: (2,) pixels by which the head has moved here.
    """
    plate = portrait.eyes[side]
    offset = gaze_offset(change, side, portrait.cm)
    reach = np.ceil(np.abs(shift)).astype(int) + 1
    height, width = plate.cover.shape
    left, top = max(plate.left - reach[0], 0), max(plate.top - reach[1], 0)
    right = min(plate.left + width + reach[0], portrait.size)
    bottom = min(plate.top + height + reach[1], portrait.size)
    box = (slice(top, bottom), slice(left, right))

    def moved(piece, by, interpolation=cv2.INTER_LINEAR, border=cv2.BORDER_REPLICATE):
        by = by + np.float32([plate.left - left, plate.top - top])
        matrix = np.float32([[1, 0, by[0]], [0, 1, by[1]]])
        return cv2.warpAffine(piece, matrix, (right - left, bottom - top), flags=interpolation, borderMode=border)

    cover = moved(plate.cover, shift + offset, border=cv2.BORDER_CONSTANT)[..., None]
    ball = moved(plate.white, shift) * (1 - cover) + moved(plate.iris, shift + offset, cv2.INTER_CUBIC) * cover
    ball = ball + moved(plate.highlight, shift, border=cv2.BORDER_CONSTANT)
    inside = opening[box]
    depth = run_from_top(inside) / portrait.cm
    ball = ball * (0.6 + 0.4 * smoothstep(depth, 0, 0.24))[..., None]
    shown = moved(plate.opening, shift, border=cv2.BORDER_CONSTANT)
    still = float(np.hypot(*offset)) < 0.02 * portrait.cm
    if still:  # the photo's own eye, as far as it is seen
        kept = cv2.GaussianBlur(shown, (0, 0), 0.04 * portrait.cm)[..., None]
        photo = moved(_patch(portrait, plate), shift, cv2.INTER_CUBIC)
        ball = ball * (1 - kept) + photo * kept
    soft = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 0.035 * portrait.cm)[..., None]
    canvas[box] = canvas[box] * (1 - soft) + ball * soft
    on_iris = cover[..., 0] > 0.5
    flow[box][inside] = 0
    flow[box][inside & on_iris] = -offset
    iris_shown = moved(plate.opening, shift + offset, border=cv2.BORDER_CONSTANT) > 0.5
    old_cover = moved(plate.cover, shift, border=cv2.BORDER_CONSTANT) > 0.05
    white_shown = (shown > 0.5) & (~old_cover | still)
    unseen = inside & ~np.where(on_iris, iris_shown, white_shown)
    hidden[box][unseen] = 1.0


def _patch(portrait: Portrait, plate: EyePlate) -> np.ndarray:
    height, width = plate.cover.shape
    return portrait.picture[plate.top : plate.top + height, plate.left : plate.left + width]


def run_from_top(mask: np.ndarray) -> np.ndarray:
    """(h, w) float32: how many pixels of the mask lie without a break from here to its upper edge."""
    run = np.zeros(mask.shape, np.float32)
    count = np.zeros(mask.shape[1], np.float32)
    for row in range(len(mask)):
        count = (count + 1) * mask[row]
        run[row] = count
    return run


def draw_lashes(portrait: Portrait, canvas: np.ndarray, hidden: np.ndarray, points: np.ndarray, weights: np.ndarray):
    """Draw the line of lashes of lids that close, in place, and mark it as hidden."""
    random = np.random.default_rng(1)
    for side in EYES:
        index = BLENDSHAPES.index(f"eyeBlink{side}")
        closing = float(smoothstep(np.float64(weights[index] - portrait.fit.own[index]), 0.25, 0.75))
        if closing <= 0:
            continue
        outer, inner = EYE_CORNERS[side]
        margin = points[portrait.nearest[[outer, *UPPER_LIDS[side], inner]], :2]
        along = np.linspace(0, len(margin) - 1, 4 * LASHES)
        curve = np.stack([np.interp(along, np.arange(len(margin)), margin[:, k]) for k in (0, 1)], 1)
        for k in (0, 1):
            curve[:, k] = cv2.GaussianBlur(
                np.pad(curve[:, k], 12, "reflect", reflect_type="odd")[:, None], (1, 25), 5
            )[12:-12, 0]
        low = np.clip(curve.min(0).astype(int) - 4, 0, portrait.size - 2)
        high = np.clip(curve.max(0).astype(int) + 4, 1, portrait.size)
        near = canvas[low[1] : high[1] + 1, low[0] : high[0] + 1].reshape(-1, 3)
        lash_colour = np.percentile(near, 3, axis=0) * 0.5
        layer = np.zeros((portrait.size, portrait.size), np.uint8)
        thick = max(1, round(0.06 * portrait.cm))

        def line(path, strength, thickness, layer=layer):
            cv2.polylines(layer, [np.round(path * 16).astype(np.int32)], False, strength, thickness, cv2.LINE_AA, 4)

        line(curve[6:-3], 175, thick)
        middle, width = curve.mean(0), max(float(np.ptp(curve[:, 0])), 1.0)
        for number in range(10, 4 * LASHES - 8, 4):
            sideways = (curve[number, 0] - middle[0]) / width
            outward = (sideways < 0) == (side == "Right")
            length = portrait.cm * random.uniform(0.14, 0.3) * (1.1 if outward else 0.75)
            root = curve[number] + random.normal(0, 0.02 * portrait.cm, 2)
            bend, tip = (root + length * np.array([sideways * a, b]) for a, b in ((0.5, 0.5), (1.4, 0.8)))
            line(np.stack([root, bend, tip]), int(random.uniform(90, 150)), 1)
        alpha = (
            cv2.GaussianBlur(layer.astype(np.float32) / 255, (0, 0), 0.032 * portrait.cm)[..., None] * closing * 0.85
        )
        canvas[:] = canvas * (1 - alpha) + lash_colour * alpha
        np.maximum(hidden, smoothstep(alpha[..., 0], 0.03, 0.15), out=hidden)
