"""Teeth donors: inner mouths of real smiles, cut out for use in rendered mouths."""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from .fitting import smoothstep


DONOR_SIZE = (216, 120)  # width, height in pixels
MIN_TEETH_CONTRAST = 0.85  # of the lips' and the skin's brightness


@dataclass(frozen=True)
class TeethDonor:
    """
    The inner mouth of a real smile.

    Args:
        picture: (h, w, 3) uint8 of `DONOR_SIZE`, rotated so that the mouth is level.
        contour: (20, 2) inner lips in it, in the order of `INNER_LIPS`.
        tooth_colour: (3,) mean colour of the bright teeth.
        owner: identity of the person.
    """

    picture: np.ndarray
    contour: np.ndarray
    tooth_colour: np.ndarray
    owner: str

    @cached_property
    def aspect(self) -> float:
        """Height / width of the mouth opening."""
        return opening_aspect(self.contour)

    @cached_property
    def enamel(self) -> np.ndarray:
        """(h, w) float32, 0 to 1: mask of the upper teeth."""
        picture = self.picture.astype(np.float32)
        relative = picture / self.tooth_colour
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
        """Share of the mouth opening that is enamel. Gaps, shadows and glare lower it."""
        inside = np.zeros(self.enamel.shape, np.uint8)
        cv2.fillPoly(inside, [np.round(self.contour).astype(np.int32)], 1)
        return float((self.enamel * inside).sum() / max(int(inside.sum()), 1))

    def _lip_rows(self) -> tuple[np.ndarray, np.ndarray]:
        """y of the upper and the lower inner lip in each column, pixels."""
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
        owner: identity of the person.

    Returns:
        The donor, or None if no teeth are visible.
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
    if white.mean() < max(105, MIN_TEETH_CONTRAST * lips) or white[0] - white[1:].min() > 60:
        return None
    return TeethDonor(np.clip(cut, 0, 255).round().astype(np.uint8), placed, white.astype(np.float32), owner)
