"""The inside of the mouth: brighter textures, and the light that reaches it through the lips.

The textures of the heads are painted almost black behind the front teeth.
"""

import numpy as np
from PIL import Image, ImageDraw

from .gltf import Mesh


TISSUE = np.array([0.46, 0.19, 0.18], np.float32)  # sRGB colour of gums and cheeks from inside
BRIGHTENING = 0.62  # exponent on the grey levels
DARK = 0.4  # share of white below which the tissue's colour takes over
# Areas of the template's texture that hold the skin's lining of the mouth: low and high (u, v).
LINING = (((0.0, 0.018), (0.09, 0.1)), ((0.87, 0.38), (1.0, 0.46)))
REACH = 0.024  # metres behind the front teeth at which the light has fallen to 1/e
DEEPEST = 0.12  # share of the light in the throat


def is_mouth_part(mesh: Mesh) -> bool:
    """Whether a mesh has teeth, gums or the tongue."""
    return "teeth" in mesh.name.lower()


def lining_of(face: Mesh) -> np.ndarray:
    """(V,) bool: the vertices of the skin that line the mouth."""
    inside = [((face.uv >= low) & (face.uv <= high)).all(1) for low, high in LINING]
    return np.any(inside, axis=0)


def brighten_mouth(texture: np.ndarray, parts: list[Mesh], with_lining: bool) -> np.ndarray:
    """
    Brighten the parts of a head's texture that show the inside of the mouth.

    Args:
        texture: (H, W, 4) uint8, shared by the meshes.
        parts: the meshes with teeth, gums and tongue.
        with_lining: the texture holds the skin's lining of the mouth too.
    """
    height, width = texture.shape[:2]
    area = Image.new("1", (width, height))
    pen = ImageDraw.Draw(area)
    for mesh in parts:
        corners = mesh.uv[mesh.triangles] * np.array([width, height], np.float32)
        for triangle in corners.reshape(-1, 6).tolist():
            pen.polygon(triangle, fill=1, outline=1)
    for low, high in LINING if with_lining else ():
        pen.rectangle((low[0] * width, low[1] * height, high[0] * width, high[1] * height), fill=1)
    rows, columns = np.nonzero(np.asarray(area))
    levels = texture[rows, columns, :3].astype(np.float32) / 255
    brightness = levels.max(1, keepdims=True)
    bright = levels * np.maximum(brightness, 1 / 255) ** (BRIGHTENING - 1)
    share = np.clip(brightness / DARK, 0, 1)
    mixed = share * bright + (1 - share) * np.maximum(bright, TISSUE)
    result = texture.copy()
    result[rows, columns, :3] = np.clip(mixed * 255, 0, 255)
    return result


def light_inside(depth: np.ndarray) -> np.ndarray:
    """The share of the light that arrives at some depth, in metres, behind the front teeth."""
    return (DEEPEST + (0.95 - DEEPEST) * np.exp(-np.maximum(depth, 0) / REACH)).astype(np.float32)
