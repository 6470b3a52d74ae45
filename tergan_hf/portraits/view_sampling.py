"""Random views of a portrait: small head turns and changes of light."""

import numpy as np

from .lighting import UNCHANGED, LightChange
from .rendering import View


MAX_YAW, MAX_PITCH = 12.0, 7.0  # degrees; larger turns distort hair and background visibly
MAX_STRENGTH, MAX_TINT = 0.35, 0.07
EXPOSURE = (0.8, 1.12)


def draw_views(random: np.random.Generator, count: int) -> list[View]:
    """Draw `count` views: the photo's own first, then turned, relit, or both."""
    return [View(), *(_draw_view(random) for _ in range(count - 1))][:count]


def _draw_view(random: np.random.Generator) -> View:
    turned, relit = ((True, True), (True, False), (False, True))[random.choice(3, p=[0.5, 0.25, 0.25])]
    yaw, pitch, light = 0.0, 0.0, UNCHANGED
    if turned:
        yaw, pitch = float(random.uniform(-MAX_YAW, MAX_YAW)), float(random.uniform(-MAX_PITCH, MAX_PITCH))
    if relit:
        angle = random.uniform(-0.25 * np.pi, 1.25 * np.pi)  # rarely from below
        exposure = random.uniform(*EXPOSURE)
        tint = exposure * (1 + random.uniform(-MAX_TINT, MAX_TINT, 3))
        red, green, blue = (float(value) for value in tint)
        light = LightChange(
            (float(np.cos(angle)), float(np.sin(angle))), float(random.uniform(0.1, MAX_STRENGTH)),
            (red, green, blue),
        )  # fmt: skip
    return View(yaw, pitch, light)
