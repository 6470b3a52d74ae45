"""Performances for driving clips: speech with a basic expression, and a range of motion."""

from dataclasses import dataclass, replace

import numpy as np

from .blendshapes import NEUTRAL, Expression, expand_sides
from .facs_combinations import ACTIONS
from .sampling import OTHER
from .sequences import draw_sequence, smoothstep


ACTING, RANGE_OF_MOTION = "acting", "range of motion"
CALM_SECONDS, EASE_SECONDS = 0.2, 0.4  # a clip begins with a neutral face
ACTION_SECONDS, ONSET_SHARE = 0.5, 0.4  # of a range of motion, and the share of each rise and fall
MAX_YAW, MAX_PITCH = 4.0, 2.5  # degrees, of a talking head
SLOWEST_NOD, FASTEST_NOD = 0.15, 0.5  # per second

# Each group of muscles in turn: blendshapes, or a gaze in degrees to the viewer's right and up.
MOTIONS: dict[str, dict[str, float] | tuple[float, float]] = {
    "brows up": ACTIONS["brows up"],
    "inner brows up": ACTIONS["inner brows up"],
    "frown": ACTIONS["frown"],
    "eyes wide": ACTIONS["eyes wide"],
    "blink": ACTIONS["blink"],
    "wink left": ACTIONS["wink left"],
    "wink right": ACTIONS["wink right"],
    "gaze right": (25.0, 0.0),
    "gaze left": (-25.0, 0.0),
    "gaze up": (0.0, 18.0),
    "gaze down": (0.0, -18.0),
    "jaw open": ACTIONS["jaw open"],
    "smile": {"mouthSmile": 0.9, "cheekSquint": 0.3},
    "corners down": {"mouthFrown": 0.9},
    "pucker": ACTIONS["pucker"],
    "sneer": {"noseSneer": 0.9, "mouthUpperUp": 0.4},
}


@dataclass(frozen=True)
class Moment:
    """
    The face at one moment of a performance.

    Args:
        expression: of the face.
        yaw, pitch: turn of the head in degrees, to the viewer's right and up.
    """

    expression: Expression
    yaw: float = 0.0
    pitch: float = 0.0


def draw_acting(random: np.random.Generator, frames: int, rate: float, label: str) -> list[Moment]:
    """
    Draw a person who talks, blinks, looks around, moves the head slightly and acts a basic expression.

    The first frames are neutral, and the performance grows from there.

    Args:
        frames: number of frames. rate: frames per second.
        label: the basic expression.
    """
    seconds = np.arange(frames) / rate
    shares = smoothstep((seconds - CALM_SECONDS) / EASE_SECONDS)
    turns = shares[:, None] * _draw_turns(random, seconds)
    return [
        Moment(_weaken(expression, float(share)), float(yaw), float(pitch))
        for expression, share, (yaw, pitch) in zip(draw_sequence(random, frames, rate, label), shares, turns)
    ]


def range_of_motion(rate: float) -> list[Moment]:
    """Perform each of `MOTIONS` in turn, from neutral to full and back, with a still head.

    Args:
        rate: frames per second.
    """
    moments = [Moment(NEUTRAL)] * round(CALM_SECONDS * rate)
    frames = round(ACTION_SECONDS * rate)
    at = (np.arange(frames) + 0.5) / frames
    shares = smoothstep(np.minimum(at, 1 - at) / ONSET_SHARE)
    for motion in MOTIONS.values():
        full = (
            Expression(OTHER, 1.0, {}, motion)
            if isinstance(motion, tuple)
            else Expression(OTHER, 1.0, expand_sides(motion))
        )
        moments += [Moment(_weaken(full, float(share))) for share in shares]
    return [*moments, Moment(NEUTRAL)]


def _weaken(expression: Expression, share: float) -> Expression:
    """Scale an expression by a share of 0 to 1."""
    if share == 0:
        return NEUTRAL
    right, up = expression.gaze
    return replace(
        expression,
        intensity=expression.intensity * share,
        blendshapes={name: weight * share for name, weight in expression.blendshapes.items()},
        gaze=(right * share, up * share),
    )


def _draw_turns(random: np.random.Generator, seconds: np.ndarray) -> np.ndarray:
    """(frames, 2) yaw and pitch in degrees: a slow and a faster swing of each."""
    turns = np.zeros((len(seconds), 2))
    for axis, limit in enumerate((MAX_YAW, MAX_PITCH)):
        for share, rate in ((0.7, SLOWEST_NOD), (0.3, FASTEST_NOD)):
            phase = 2 * np.pi * (rate * random.uniform(0.8, 1.2) * seconds + random.random())
            turns[:, axis] += limit * share * random.uniform(0.5, 1.0) * np.sin(phase)
    return turns
