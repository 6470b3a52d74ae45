"""Random variations of a blended person: small asymmetries of the shape, tone and age of the skin."""

from dataclasses import replace

import numpy as np
from PIL import Image, ImageFilter

from .people import Person, find_landmarks


BUMPS = 12
REACH = (0.02, 0.05)  # metres
BLUR = 10  # texture pixels; finer detail shows the age


def vary_person(person: Person, random: np.random.Generator) -> Person:
    """
    Vary the shape and the skin of a person.

    A smooth random field moves the shape by a few millimetres; face, eyes, teeth and hair share it. Fine detail of the
    skin becomes stronger or softer, as with age. Tone, redness and blotches are random.
    """
    centres = person.eyes + random.uniform([-0.08, -0.12, -0.05], [0.08, 0.06, 0.02], (BUMPS, 3))
    reach = random.uniform(*REACH, BUMPS)
    push = random.normal(0, [0.0015, 0.0015, 0.0012], (BUMPS, 3))

    def moved(points: np.ndarray) -> np.ndarray:
        distance = ((points[:, None] - centres) ** 2).sum(2)
        return (points + np.exp(-distance / (2 * reach**2)) @ push).astype(np.float32)

    parts = [replace(mesh, positions=moved(mesh.positions)) for mesh in person.parts]
    parts[0] = replace(parts[0], texture=_skin(parts[0].texture, random))
    eyes = moved(person.eyes[None])[0]
    return replace(
        person, parts=parts, eyes=eyes, landmarks=find_landmarks(parts[0], eyes, tuple(person.landmarks[1:]))
    )


def _skin(texture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A random variation of a skin texture."""
    colours = Image.fromarray(np.ascontiguousarray(texture[..., :3]))
    smooth = np.asarray(colours.filter(ImageFilter.BoxBlur(BLUR)), np.float32)
    detail = np.asarray(colours, np.float32) - smooth
    side = texture.shape[:2]
    tone = random.uniform(0.88, 1.1) * np.exp(random.normal(0, 0.02, 3))
    redness = _blotches(random, side, 24) * random.uniform(0, 0.05)
    shading = np.stack([1 + 0.4 * redness, 1 - redness, 1 - redness], axis=-1)
    skin = (smooth * shading + random.uniform(0.6, 1.7) * detail) * tone.astype(np.float32)
    return np.concatenate([np.clip(skin, 0, 255).astype(np.uint8), texture[..., 3:]], axis=-1)


def _blotches(random: np.random.Generator, side: tuple[int, int], count: int) -> np.ndarray:
    """Smooth noise, about -1 to 1."""
    coarse = Image.fromarray(random.normal(0, 0.5, (count, count)).astype(np.float32))
    return np.asarray(coarse.resize(side[::-1], Image.Resampling.BICUBIC))
