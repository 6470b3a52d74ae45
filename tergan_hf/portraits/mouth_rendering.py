"""Render the inner mouth: the model's, lit and shaded, with teeth of a donor."""

import cv2
import numpy as np
from scipy.interpolate import RBFInterpolator

from .fitting import smoothstep
from .landmarks import INNER_LIPS
from .mesh import Raster
from .mouth_materials import SOCKET
from .portrait import Portrait
from .teeth_donors import TeethDonor, opening_aspect
from .warping import distance_from_top, sample


LIGHT = np.array([0.1, 0.45, 0.88], np.float32)
TEETH_FADE_IN = (0.07, 0.12)  # height / width of the mouth opening over which donor teeth fade in
DONOR_FADE_OUT = (0.06, 0.11)  # difference from the donor's aspect over which its whole mouth fades out
MAX_DONOR_ASPECT = 0.24
MAX_TEETH_STRETCH = 1.5  # relative to the donor's teeth
WARP_GRID = 4


def draw_mouth(
    portrait: Portrait, canvas: np.ndarray, hidden: np.ndarray, raster: Raster, inside: np.ndarray,
    points: np.ndarray, normals: np.ndarray,
):  # fmt: skip
    """
    Draw the inner mouth between the lips. Changes `canvas` and `hidden` in place.

    Args:
        canvas: (S, S, 3) the picture. hidden: (S, S) 0 to 1, what the photo does not show.
        raster: raster of the deformed face. inside: (S, S) bool, pixels of the inner mouth.
        points: (V, 3) projected vertices of the deformed face. normals: (V, 3).
    """
    rows, columns = np.nonzero(inside)
    if not len(rows):
        return
    low = np.maximum([columns.min() - 5, rows.min() - 5], 0)
    high = np.minimum([columns.max() + 6, rows.max() + 6], portrait.size)
    box = (slice(low[1], high[1]), slice(low[0], high[0]))
    part = Raster(raster.triangle[box], raster.weights[box], raster.depth[box])
    shape = inside[box]
    mouth = _render_model(portrait, part, shape, points, normals, low)
    lips = points[portrait.nearest[INNER_LIPS], :2].astype(float) - low
    mouth = _composite_donor(portrait, mouth, shape, lips, points, low)
    mouth = mouth.mean(2, keepdims=True) * (1 - portrait.colourfulness) + mouth * portrait.colourfulness
    mouth = cv2.GaussianBlur(mouth, (0, 0), 0.03 * portrait.cm)
    soft = cv2.GaussianBlur(shape.astype(np.float32), (0, 0), 0.035 * portrait.cm)
    canvas[box] = canvas[box] * (1 - soft[..., None]) + mouth * soft[..., None]
    hidden[box] = np.maximum(hidden[box], smoothstep(soft, 0.05, 0.3))


def _render_model(
    portrait: Portrait, part: Raster, shape: np.ndarray, points: np.ndarray, normals: np.ndarray, low: np.ndarray
) -> np.ndarray:
    """Render the model's teeth, gums and tongue."""
    model, cm, materials = portrait.model, portrait.cm, portrait.smile_prior.mouth
    kind = np.where(part.triangle >= 0, model.part_of_triangle[np.maximum(part.triangle, 0)], -1)
    teeth = (kind == model.part_number("upper_teeth")) | (kind == model.part_number("lower_teeth"))
    gums = kind == model.part_number("gums")
    fields = np.column_stack([materials.albedo, normals, points[:, 2], materials.tongue, materials.tip_distance])
    fields = part.interpolate(model.triangles, fields.astype(np.float32))
    colour, normal, depth, tongue = fields[..., :3], fields[..., 3:6], fields[..., 6], fields[..., 7]
    beyond = kind <= 0  # outside the model's mouth
    colour = np.where(beyond[..., None], np.array(SOCKET, np.float32), colour) * portrait.white_point
    depth = np.where(beyond, np.minimum(depth, points[portrait.nearest[13], 2] - 4), depth)
    normal = normal / np.maximum(np.linalg.norm(normal, axis=2, keepdims=True), 1e-6)
    lip = lip_colour(portrait)
    blended = 0.6 * colour + 0.4 * lip * np.array([1.02, 0.95, 0.95], np.float32)
    colour = np.where(gums[..., None], blended, colour)

    front = points[portrait.nearest[[0, 13, 14, 17]], 2].max()
    behind = np.clip(front - depth, 0, 20)
    facing = np.clip(normal[..., 2], 0, 1)
    lit = np.clip(normal @ LIGHT, 0, 1)
    # Narrow gaps between teeth are darker than their faces, and the arch turns away to the sides.
    shade = np.where(teeth, 0.50 + 0.52 * smoothstep(facing, 0.1, 0.85), 0.38 + 0.62 * lit)
    shade = shade * (0.14 + 0.86 * np.exp(-np.clip(behind - 2.2, 0, 20) / 3.2))
    from_top = distance_from_top(shape) / cm
    from_bottom = distance_from_top(shape[::-1])[::-1] / cm
    tall = cv2.blur((from_top + from_bottom) * shape, (9, 9)) / np.maximum(
        cv2.blur(shape.astype(np.float32), (9, 9)), 0.1
    )
    shade = shade * (0.62 + 0.38 * smoothstep(from_top, 0, 0.34)) * (0.84 + 0.16 * smoothstep(from_bottom, 0, 0.12))
    shade = shade * (0.45 + 0.55 * smoothstep(tall, 0.02, 0.36))
    middle = points[portrait.nearest[[13, 14]], 0].mean() - low[0]
    half = np.abs(points[portrait.nearest[[78, 308]], 0] - low[0] - middle).mean()
    resting = np.linalg.norm(portrait.points[portrait.nearest[78], :2] - portrait.points[portrait.nearest[308], :2])
    # Little light enters through pursed lips.
    shade = shade * (0.3 + 0.7 * smoothstep(float(2 * half / max(float(resting), 1.0)), 0.5, 0.85))
    shade = (
        shade
        * (1 - 0.42 * smoothstep(np.abs(np.arange(shape.shape[1]) + 0.5 - middle) / max(half, 1), 0.4, 1.0))[None]
    )
    shade = cv2.GaussianBlur(np.where(shape, shade, 0.35).astype(np.float32), (0, 0), 0.035 * cm)
    wet = np.clip(normal @ (np.array([0.1, 0.3, 1.0], np.float32) / 1.049), 0, 1) ** 50
    bumps = _tongue_grain(shape.shape, cm)
    gleam = wet * np.where(teeth, 42, 26 * (1 + 1.2 * bumps)) * (teeth | gums) * np.clip(shade, 0, 1) ** 1.5
    colour = colour * (1 + 0.07 * bumps * tongue)[..., None]
    warm = np.where(teeth[..., None], shade[..., None] ** np.array([0.94, 1.0, 1.04], np.float32), shade[..., None])
    return np.clip(colour * warm + gleam[..., None], 0, 250).astype(np.float32)


def _tongue_grain(shape: tuple[int, int], cm: float) -> np.ndarray:
    noise = np.random.default_rng(5).normal(0, 1, shape).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), max(0.05 * cm, 0.5))
    return np.clip(noise / max(float(noise.std()), 1e-6), -2, 2)


def lip_colour(portrait: Portrait) -> np.ndarray:
    """(3,) median colour of the lips."""
    at = portrait.points2d[[37, 267, 84, 314, 17, 0, 405, 181]]
    inward = 0.2 * portrait.cm * np.array([1, 1, -1, -1, -1, 1, -1, -1])
    columns = np.clip(at[:, 0].astype(int), 0, portrait.size - 1)
    rows = np.clip((at[:, 1] + inward).astype(int), 0, portrait.size - 1)
    return np.median(cv2.GaussianBlur(portrait.picture, (0, 0), 0.1 * portrait.cm)[rows, columns], 0)


def _composite_donor(
    portrait: Portrait, mouth: np.ndarray, shape: np.ndarray, lips: np.ndarray, points: np.ndarray, low: np.ndarray
) -> np.ndarray:
    """Composite a donor: its whole inner mouth if the openings are similar, else its upper teeth."""
    aspect = opening_aspect(lips)
    start, full = TEETH_FADE_IN
    if not (portrait.smile_prior.donors or portrait.own_teeth) or aspect <= start:
        return mouth
    donor = choose_donor(portrait, aspect)
    share = float(smoothstep(aspect, start, full))
    gain = np.clip(portrait.white_point * 0.97 / donor.tooth_colour, 0.55, 1.4)
    alike = 1 - float(smoothstep(float(abs(aspect - donor.aspect)), *DONOR_FADE_OUT))
    if alike < 1:
        mouth = _composite_upper_teeth(portrait, mouth, donor, gain, shape, lips, points, low)
    if alike > 0:
        places = _warp(lips, donor.contour, shape.shape)
        real = np.clip(sample(donor.picture, places).astype(np.float32) * gain, 0, 250)
        mouth = mouth * (1 - share * alike) + real * share * alike
    return mouth


def choose_donor(portrait: Portrait, aspect: float) -> TeethDonor:
    """Choose the donor most similar in shape and brightness, with a preference for the person's own teeth."""
    wanted = min(aspect, MAX_DONOR_ASPECT)

    def mismatch(donor: TeethDonor) -> float:
        brightness = abs(np.log(donor.tooth_colour.mean() / portrait.white_point.mean()))
        own = donor is portrait.own_teeth or donor.owner == portrait.owner
        poor = max(0.0, 0.6 - donor.enamel_share)
        return abs(donor.aspect - wanted) + 0.02 * float(brightness) + 0.25 * poor - 0.08 * own

    own = [portrait.own_teeth] if portrait.own_teeth else []
    return min([*own, *portrait.smile_prior.donors], key=mismatch)


def _warp(lips: np.ndarray, contour: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(h, w, 2) positions in the donor for each pixel, by a thin-plate spline between the inner lips."""
    height, width = shape
    rows, columns = np.mgrid[0:height:WARP_GRID, 0:width:WARP_GRID]
    unit = float(np.linalg.norm(lips[0] - lips[10]))
    grid = np.stack([columns + 0.5, rows + 0.5], 2).reshape(-1, 2) / unit
    spline = RBFInterpolator(lips / unit, contour.astype(float), smoothing=2e-3, kernel="thin_plate_spline")
    coarse = spline(grid).reshape(*rows.shape, 2).astype(np.float32)
    full = (rows.shape[1] * WARP_GRID, rows.shape[0] * WARP_GRID)
    matrix = np.array([[1 / WARP_GRID, 0, 0.5 / WARP_GRID - 0.5 / WARP_GRID], [0, 1 / WARP_GRID, 0]], np.float32)
    return cv2.warpAffine(
        coarse, matrix, full, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )[:height, :width]  # fmt: skip


def _composite_upper_teeth(
    portrait: Portrait, mouth: np.ndarray, donor: TeethDonor, gain: np.ndarray, shape: np.ndarray, lips: np.ndarray,
    points: np.ndarray, low: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Composite the donor's upper teeth with their biting edge at the model's."""
    model = portrait.model
    teeth = points[model.parts["upper_teeth"]]
    middle = float(lips[[5, 15], 0].mean())
    central = np.abs(teeth[:, 0] - low[0] - middle) < 0.5 * portrait.cm
    if not central.any() or donor.biting_edge < 4:
        return mouth
    edge = float(teeth[central, 1].max()) - low[1]
    scale = float(np.linalg.norm(donor.contour[0] - donor.contour[10])) / (6.0 * portrait.cm)
    rows, columns = np.mgrid[: shape.shape[0], : shape.shape[1]].astype(np.float32)
    arch_x, arch_y = donor.contour[5]
    # Lips that rise higher than the donor's uncover more of the teeth, so the teeth are stretched.
    uncovered = (edge - float(lips[5, 1])) * scale
    longer = float(np.clip(uncovered / donor.biting_edge, 1.0, MAX_TEETH_STRETCH))
    places = np.stack(
        [arch_x + (columns + 0.5 - middle) * scale, arch_y + donor.biting_edge + (rows + 0.5 - edge) * scale / longer],
        2,
    ).astype(np.float32)
    real = np.clip(sample(donor.picture, places).astype(np.float32) * gain, 0, 250)
    alpha = cv2.remap(
        donor.enamel, places[..., 0] - 0.5, places[..., 1] - 0.5, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
    )  # fmt: skip
    shadow = 0.62 + 0.38 * smoothstep(distance_from_top(shape) / portrait.cm, 0, 0.3)
    alpha = (alpha * shape)[..., None]
    return mouth * (1 - alpha) + real * shadow[..., None] * alpha
