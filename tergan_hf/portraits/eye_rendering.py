"""Render the eyes of a new expression: turned eyeballs, closing lids and lashes."""

import cv2
import numpy as np

from ..expressions.blendshapes import BLENDSHAPES, GAZE_DEGREES
from .camera import Camera
from .eye_layers import EyeLayers
from .fitting import smoothstep
from .landmarks import EYE_CORNERS, EYES, LOWER_LIDS, UPPER_LIDS
from .portrait import Portrait
from .warping import distance_from_top


EYEBALL_RADIUS = 1.2  # cm from the middle of the eyeball to the iris
LID_SPREAD = 0.32  # cm, standard deviation of the lid margin's influence on the skin
LASH_COUNT = 30


def close_lids(portrait: Portrait, points: np.ndarray, weights: np.ndarray, camera: Camera) -> np.ndarray:
    """Move the skin of the upper lids in `points` (V, 3), in place, so that a full blink closes the eye."""
    model, nearest = portrait.model, portrait.nearest
    at = {name: BLENDSHAPES.index(name) for name in BLENDSHAPES}
    for side in EYES:
        blink = float(weights[at[f"eyeBlink{side}"]])
        if blink < 0.05:
            continue
        full = portrait.fit.expression.copy()
        full[at[f"eyeBlink{side}"]] = 1
        for name in ("eyeLookDown", "eyeSquint", "cheekSquint"):
            full[at[f"{name}{side}"]] = min(1.0, weights[at[f"{name}{side}"]])
        closed = portrait.place(model.apply_blendshapes(portrait.neutral_vertices, full), camera)
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
        closing = smoothstep(blink, 0.1, 0.95)
        points[: model.skin, :2] += (closing * amount[:, None] * (shares @ gap)).astype(np.float32)
    return points


def iris_offset(change: np.ndarray, side: str, cm: float) -> np.ndarray:
    """(2,) shift of the iris in pixels, to the right and down, for a (51,) change of blendshapes."""
    look = {way: float(change[BLENDSHAPES.index(f"eyeLook{way}{side}")]) for way in ("Out", "In", "Up", "Down")}
    out = -1 if side == "Right" else 1  # the subject's right eye looks out to the viewer's left
    angles = np.radians([out * (look["Out"] - look["In"]) * GAZE_DEGREES, (look["Down"] - look["Up"]) * GAZE_DEGREES])
    return (EYEBALL_RADIUS * cm * np.sin(angles)).astype(np.float32)


def draw_eye(
    portrait: Portrait, side: str, canvas: np.ndarray, flow: np.ndarray, hidden: np.ndarray, opening: np.ndarray,
    change: np.ndarray, shift: np.ndarray,
):  # fmt: skip
    """
    Draw an eyeball between the lids. Changes `canvas`, `flow` and `hidden` in place.

    Args:
        canvas: (S, S, 3) the picture. flow: (S, S, 2) flow to the session's neutral picture.
        hidden: (S, S) 0 to 1, what the neutral picture does not show.
        opening: (S, S) bool, the opening between the lids.
        change: (51,) blendshapes minus those of the photo.
        shift: (2,) motion of the head at this eye, pixels.
    """
    layers = portrait.eyes[side]
    offset = iris_offset(change, side, portrait.cm)
    reach = np.ceil(np.abs(shift)).astype(int) + 1
    height, width = layers.iris_alpha.shape
    left, top = max(layers.left - reach[0], 0), max(layers.top - reach[1], 0)
    right = min(layers.left + width + reach[0], portrait.size)
    bottom = min(layers.top + height + reach[1], portrait.size)
    box = (slice(top, bottom), slice(left, right))

    def moved(piece, by, interpolation=cv2.INTER_LINEAR, border=cv2.BORDER_REPLICATE):
        by = by + np.array([layers.left - left, layers.top - top], np.float32)
        matrix = np.array([[1, 0, by[0]], [0, 1, by[1]]], np.float32)
        return cv2.warpAffine(piece, matrix, (right - left, bottom - top), flags=interpolation, borderMode=border)

    alpha = moved(layers.iris_alpha, shift + offset, border=cv2.BORDER_CONSTANT)[..., None]
    ball = moved(layers.sclera, shift) * (1 - alpha) + moved(layers.iris, shift + offset, cv2.INTER_CUBIC) * alpha
    ball = ball + moved(layers.highlight, shift, border=cv2.BORDER_CONSTANT)
    inside = opening[box]
    depth = distance_from_top(inside) / portrait.cm
    ball = ball * (0.6 + 0.4 * smoothstep(depth, 0, 0.24))[..., None]
    shown = moved(layers.opening, shift, border=cv2.BORDER_CONSTANT)
    still = float(np.hypot(*offset)) < 0.02 * portrait.cm
    if still:  # keep the visible part of the photo's eye
        kept = cv2.GaussianBlur(shown, (0, 0), 0.04 * portrait.cm)[..., None]
        photo = moved(_patch(portrait, layers), shift, cv2.INTER_CUBIC)
        ball = ball * (1 - kept) + photo * kept
    soft = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 0.035 * portrait.cm)[..., None]
    canvas[box] = canvas[box] * (1 - soft) + ball * soft
    on_iris = alpha[..., 0] > 0.5
    flow[box][inside] = 0
    flow[box][inside & on_iris] = -offset
    iris_shown = moved(layers.opening, shift + offset, border=cv2.BORDER_CONSTANT) > 0.5
    old_iris = moved(layers.iris_alpha, shift, border=cv2.BORDER_CONSTANT) > 0.05
    sclera_shown = (shown > 0.5) & (~old_iris | still)
    unseen = inside & ~np.where(on_iris, iris_shown, sclera_shown)
    hidden[box][unseen] = 1.0


def _patch(portrait: Portrait, layers: EyeLayers) -> np.ndarray:
    height, width = layers.iris_alpha.shape
    return portrait.picture[layers.top : layers.top + height, layers.left : layers.left + width]


def draw_lashes(portrait: Portrait, canvas: np.ndarray, hidden: np.ndarray, points: np.ndarray, weights: np.ndarray):
    """Draw the lashes of closing lids, in place, and mark them in `hidden`."""
    random = np.random.default_rng(1)
    for side in EYES:
        index = BLENDSHAPES.index(f"eyeBlink{side}")
        closing = float(smoothstep(float(weights[index] - portrait.fit.expression[index]), 0.25, 0.75))
        if closing <= 0:
            continue
        outer, inner = EYE_CORNERS[side]
        margin = points[portrait.nearest[[outer, *UPPER_LIDS[side], inner]], :2]
        along = np.linspace(0, len(margin) - 1, 4 * LASH_COUNT)
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
        for number in range(10, 4 * LASH_COUNT - 8, 4):
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
