"""Teeth, gums and tongue of the face model, and inner mouths of real smiles."""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from scipy.spatial import cKDTree

from .fitting import smoothstep
from .ict import FaceModel
from .mesh import vertex_normals


DONOR_SIZE = (216, 120)  # width, height in pixels
SOCKET, GUM, TONGUE = (0.42, 0.16, 0.15), (0.80, 0.49, 0.46), (0.80, 0.43, 0.42)  # relative to white
TOOTH = (1.0, 0.985, 0.94)
LOWER_TEETH_DARKER = 0.88
CANINES = (5, 10)
LEAST_TEETH_CONTRAST = 0.85  # of the lips' and the skin's brightness
TONGUE_RISE = 0.95  # cm out of the floor of the mouth


@dataclass(frozen=True)
class MouthMaterials:
    """
    Args:
        albedo: (V, 3) colours relative to white; only those inside the mouth count.
        lift: (V,) cm by which the tongue is raised out of the model's floor of the mouth.
        tongue: (V,) 0 to 1, how much a vertex belongs to the tongue.
        tip_distance: (V,) for teeth, 0 at the biting edge to 1 at the gum.
    """

    albedo: np.ndarray
    lift: np.ndarray
    tongue: np.ndarray
    tip_distance: np.ndarray


def mouth_materials(model: FaceModel) -> MouthMaterials:
    """Paint the model's mouth: it comes without colours, and with a bowl instead of a tongue."""
    vertices = model.neutral
    albedo = np.ones((len(vertices), 3), np.float32)
    lift, tongue, tip = (np.zeros(len(vertices), np.float32) for _ in range(3))
    if "gums" not in model.parts:
        return MouthMaterials(albedo, lift, tongue, tip)
    albedo[model.parts["socket"]] = SOCKET
    gums = model.parts["gums"]
    points = vertices[gums]
    teeth_at = vertices[model.parts["lower_teeth"]]
    from_teeth = cKDTree(teeth_at).query(points)[0]
    up = vertex_normals(vertices, model.triangles)[gums, 1]
    floor = (points[:, 1] < -2.2) & (up > 0.1) & (points[:, 2] < 10.2)
    share = floor * smoothstep(from_teeth, 0.35, 1.1)
    tongue[gums] = share
    groove = np.exp(-((points[:, 0] / 0.16) ** 2)) * share
    albedo[gums] = np.array(GUM, np.float32) * (1 - share[:, None]) + np.array(TONGUE, np.float32) * share[:, None]
    albedo[gums] *= (1 - 0.14 * groove)[:, None]
    lift[gums] = 0.15 * smoothstep(points[:, 1], -2.7, -2.1)
    lift[gums] += TONGUE_RISE * floor * smoothstep(from_teeth, 0.25, 1.5) * np.exp(-((points[:, 0] / 2.0) ** 2))
    lift[gums] -= 0.10 * groove
    random = np.random.default_rng(7)
    for part, sign in (("upper_teeth", 1), ("lower_teeth", -1)):
        for number, piece in enumerate(model.pieces(part)):
            heights = vertices[piece, 1] * sign
            reach = np.clip((heights - heights.min()) / 0.9, 0, 1)
            colour = (
                np.array(TOOTH, np.float32) * (1 - (0.05 if number in CANINES else 0)) * (1 + 0.02 * random.normal())
            )
            if sign < 0:
                colour = colour * LOWER_TEETH_DARKER
            to_gum = np.outer(reach**1.5, [-0.02, -0.05, -0.09])
            to_edge = np.outer(1 - smoothstep(reach, 0, 0.3), [-0.10, -0.07, -0.03])  # enamel lets light through there
            albedo[piece] = colour * (1 + to_gum + to_edge)
            tip[piece] = reach
    return MouthMaterials(albedo, lift, tongue, tip)


@dataclass(frozen=True)
class TeethDonor:
    """
    The inner mouth of a real smile.

    Args:
        picture: (h, w, 3) uint8, `DONOR_SIZE`, the mouth level.
        contour: (20, 2) inner lips in it, as `INNER_LIPS`.
        white: (3,) colour of its teeth.
        owner: whose they are.
    """

    picture: np.ndarray
    contour: np.ndarray
    white: np.ndarray
    owner: str

    @cached_property
    def aspect(self) -> float:
        """Height of the opening / its width."""
        return opening_aspect(self.contour)

    @cached_property
    def enamel(self) -> np.ndarray:
        """(h, w) float32, 0 to 1: how much a pixel looks like the upper teeth."""
        picture = self.picture.astype(np.float32)
        relative = picture / self.white
        bright = smoothstep(relative.min(2), 0.42, 0.62)
        grey = 1 - smoothstep(relative[..., 0] - relative[..., 1:].min(2), 0.16, 0.34)  # lips and gums are red
        inside = np.zeros(picture.shape[:2], np.uint8)
        cv2.fillPoly(inside, [np.round(self.contour).astype(np.int32)], 1)
        rows = np.arange(len(picture))[:, None]
        upper, lower = self._lip_rows()
        # The lower fifth belongs to lower teeth and the lower lip.
        upper_only = 1 - smoothstep((rows - upper) / np.maximum(lower - upper, 1), 0.72, 0.86)
        return cv2.GaussianBlur((bright * grey * inside * upper_only).astype(np.float32), (0, 0), 0.8)

    @cached_property
    def enamel_share(self) -> float:
        """Of the opening; little of it means gaps, shadows or glare."""
        inside = np.zeros(self.enamel.shape, np.uint8)
        cv2.fillPoly(inside, [np.round(self.contour).astype(np.int32)], 1)
        return float((self.enamel * inside).sum() / max(int(inside.sum()), 1))

    def _lip_rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Height of the upper and the lower inner lip in each column."""
        columns = np.arange(DONOR_SIZE[0])
        upper, lower = self.contour[:11], np.concatenate([self.contour[10:], self.contour[:1]])[::-1]
        return np.interp(columns, upper[:, 0], upper[:, 1]), np.interp(columns, lower[:, 0], lower[:, 1])

    @cached_property
    def biting_edge(self) -> float:
        """Pixels from the upper inner lip to the biting edge in the middle of the mouth."""
        middle = int(self.contour[5, 0])
        upper, lower = self._lip_rows()
        edges = []
        for column in range(middle - 14, middle + 15):
            rows = np.arange(int(upper[column]) + 2, int(lower[column]))
            bitten = rows[self.enamel[rows, column] > 0.5]
            if len(bitten):
                edges.append(bitten.max() - upper[column])
        return float(np.median(edges)) if edges else 0.0


def opening_aspect(contour: np.ndarray) -> float:
    """Height / width of an inner lip contour (20, 2)."""
    return float(np.linalg.norm(contour[5] - contour[15]) / max(float(np.linalg.norm(contour[0] - contour[10])), 1e-6))


def make_donor(picture: np.ndarray, contour: np.ndarray, owner: str) -> TeethDonor | None:
    """
    Cut the inner mouth out of a smiling photo.

    Args:
        picture: (S, S, 3) float32. contour: (20, 2) inner lips in it.

    Returns:
        None where no teeth show.
    """
    if opening_aspect(contour) < 0.13:
        return None
    centre = (contour.max(0) + contour.min(0)) / 2
    across = contour[10] - contour[0]
    width, height = DONOR_SIZE
    scale = 0.78 * width / float(np.linalg.norm(across))
    matrix = cv2.getRotationMatrix2D(
        tuple(map(float, centre)), float(np.degrees(np.arctan2(across[1], across[0]))), scale
    )
    matrix[:, 2] += [width / 2 - centre[0], height / 2 - centre[1]]
    cut = cv2.warpAffine(picture, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    placed = (contour @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    inside = np.zeros((height, width), np.uint8)
    cv2.fillPoly(inside, [np.round(placed).astype(np.int32)], 1)
    colours = cut[inside > 0]
    brightness = colours.mean(1)
    white = colours[brightness > np.percentile(brightness, 60)].mean(0)
    around = cv2.dilate(inside, np.ones((31, 31), np.uint8)) - cv2.dilate(inside, np.ones((15, 15), np.uint8))
    lips = float(np.median(cut[around > 0].mean(1)))
    if white.mean() < max(105, LEAST_TEETH_CONTRAST * lips) or white[0] - white[1:].min() > 60:
        return None
    return TeethDonor(np.clip(cut, 0, 255).round().astype(np.uint8), placed, white.astype(np.float32), owner)
