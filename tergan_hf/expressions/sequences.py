"""Expression sequences: speech with blinks and gaze shifts, and the onset, apex and offset of an expression."""

import numpy as np

from ..model.blendshapes_tergan import MAX_WEIGHT
from .blendshapes import BLENDSHAPES, Expression, expand_sides, to_vector
from .sampling import MIN_INTENSITY, OTHER, draw_basic
from .visemes import VISEMES


SYLLABLES_PER_SECOND = 4.5
BLINKS_PER_SECOND = 0.35
BLINK_SECONDS = 0.25
GAZE_SHIFTS_PER_SECOND = 0.7
_BLINK = [BLENDSHAPES.index(f"eyeBlink{side}") for side in ("Left", "Right")]


def draw_sequence(
    random: np.random.Generator, frames: int, rate: float = 25.0, label: str | None = None
) -> list[Expression]:
    """
    Draw a sequence of speech, blinks and gaze shifts in which a basic expression appears and fades.

    Args:
        frames: number of frames.
        rate: frames per second.
        label: the basic expression; None draws it.

    Returns:
        An `Expression` for each frame. The label is the basic expression where its intensity exceeds 0.2, else
        `other`.
    """
    seconds = np.arange(frames) / rate
    weights = _speech(random, seconds)
    emotion = draw_basic(random, label)
    apex = _onset_apex_offset(random, seconds)
    weights = weights * (1 - 0.5 * apex[:, None]) + apex[:, None] * to_vector(emotion)[None, : len(BLENDSHAPES)]
    blink = _blinks(random, seconds)
    weights[:, _BLINK] = np.maximum(weights[:, _BLINK], blink[:, None])
    gaze = _gaze_shifts(random, seconds)
    labelled = apex * emotion.intensity > 0.2
    eyes = [name.startswith("eyeLook") for name in BLENDSHAPES]  # the field `gaze` holds them
    return [
        Expression(
            emotion.label if labelled[at] else OTHER,
            float(apex[at] * emotion.intensity),
            {name: float(min(weight, MAX_WEIGHT))
             for name, weight, looks in zip(BLENDSHAPES, weights[at], eyes) if weight > 1e-4 and not looks},
            (float(gaze[at, 0]), float(gaze[at, 1])),
        )
        for at in range(frames)
    ]  # fmt: skip


def draw_onset(
    random: np.random.Generator, label: str, frames: int, weakest: float = MIN_INTENSITY
) -> list[Expression]:
    """
    Draw the onset of a basic expression: from neutral to the apex, as in recordings of posed expressions. The apex is
    drawn by `sampling.draw_basic`, from an intensity of `weakest` on.
    """
    apex = draw_basic(random, label, weakest)
    shares = smoothstep(np.linspace(0, 1, frames) * random.uniform(1.0, 1.4))
    x, y = apex.gaze
    return [
        Expression(label if share > 0 else "neutral", float(share * apex.intensity),
                   {name: weight * float(share) for name, weight in apex.blendshapes.items()},
                   (x * float(share), y * float(share)))
        for share in shares
    ]  # fmt: skip


def _speech(random: np.random.Generator, seconds: np.ndarray) -> np.ndarray:
    """(frames, 51) weights of visemes that blend into each other."""
    weights = np.zeros((len(seconds), len(BLENDSHAPES)), np.float32)
    names, at, total = list(VISEMES), 0.0, np.zeros(len(seconds), np.float32)
    loudness = random.uniform(0.6, 1.1)
    while at < seconds[-1] + 0.3 if len(seconds) else False:
        width = random.uniform(0.7, 1.4) / (2 * SYLLABLES_PER_SECOND)
        name = "sil" if random.random() < 0.08 else names[random.integers(1, len(names))]
        shape = to_vector(Expression(OTHER, 1.0, expand_sides(VISEMES[name])))[: len(BLENDSHAPES)]
        bump = np.exp(-0.5 * ((seconds - at) / (0.6 * width)) ** 2).astype(np.float32)
        weights += bump[:, None] * shape * (loudness * random.uniform(0.7, 1.2))
        total += bump
        at += width * (3 if name == "sil" else 1)
    return weights / np.maximum(total, 1e-3)[:, None]


def _onset_apex_offset(random: np.random.Generator, seconds: np.ndarray) -> np.ndarray:
    length = float(seconds[-1]) if len(seconds) else 0.0
    start, onset, hold = random.uniform(0, 0.5) * length, random.uniform(0.3, 0.8), random.uniform(0.3, 2.0)
    rise = smoothstep((seconds - start) / onset)
    return (rise * (1 - smoothstep((seconds - start - onset - hold) / (1.5 * onset)))).astype(np.float32)


def _blinks(random: np.random.Generator, seconds: np.ndarray) -> np.ndarray:
    length = float(seconds[-1]) if len(seconds) else 0.0
    # The first blink comes early, so that every sequence of two seconds or more has one.
    closed, at = np.zeros(len(seconds), np.float32), random.uniform(0, min(2.0, length))
    while len(seconds) and at < seconds[-1]:
        phase = (seconds - at) / BLINK_SECONDS
        # A lid closes about twice as fast as it opens.
        closed = np.maximum(closed, np.clip(np.minimum(phase / 0.3, (1 - phase) / 0.6), 0, 1))
        at += BLINK_SECONDS + random.exponential(1 / BLINKS_PER_SECOND)
    return closed


def _gaze_shifts(random: np.random.Generator, seconds: np.ndarray) -> np.ndarray:
    gaze, at, now = np.zeros((len(seconds), 2), np.float32), 0.0, np.zeros(2)
    while len(seconds) and at <= seconds[-1]:
        gaze[seconds >= at] = now
        at += random.exponential(1 / GAZE_SHIFTS_PER_SECOND)
        now = np.array([random.normal(0, 9), random.normal(0, 5)]).clip((-30, -20), (30, 20))
    return gaze


def smoothstep(x: np.ndarray) -> np.ndarray:
    """Rise smoothly from 0 at 0 to 1 at 1, and stay there."""
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)
