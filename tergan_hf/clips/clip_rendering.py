"""Render one clip of any performer, with a row of truth for each frame."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from datasets import Features, List, Value

from ..data.seeds import name_seed
from ..expressions.blendshapes import to_vector
from ..expressions.facs_combinations import BASIC_EXPRESSIONS
from ..expressions.performances import ACTING, RANGE_OF_MOTION, Moment, draw_acting, range_of_motion
from .clip_file import RATE, write_clip
from .performer import Performer, PerformerLoader


FOLDER = "clips"
FILE_COLUMN = "clip"


@dataclass(frozen=True)
class ClipJob:
    """
    One clip to render.

    Args:
        performer: who performs.
        number: of the performer's clip, from 0. The first clip is a range of motion.
        seconds: length of a clip in which the performer acts.
        size: side of the frames in pixels.
        seed: of the set.
    """

    performer: PerformerLoader
    number: int
    seconds: float
    size: int
    seed: int

    @property
    def name(self) -> str:
        """Path of the clip in the set."""
        return f"{FOLDER}/{self.performer.identity}_{self.number}.mp4"

    @property
    def performance(self) -> str:
        """The kind of performance."""
        return ACTING if self.number else RANGE_OF_MOTION

    def moments(self) -> list[Moment]:
        """The performance, frame by frame. It depends on the performer's name. Basic expressions take turns."""
        if self.performance == RANGE_OF_MOTION:
            return range_of_motion(RATE)
        own = name_seed(self.seed, self.performer.identity)
        label = BASIC_EXPRESSIONS[(own + self.number) % len(BASIC_EXPRESSIONS)]
        random = np.random.default_rng((self.seed, 2, own, self.number))
        return draw_acting(random, round(self.seconds * RATE), RATE, label)


def features() -> Features:
    """Columns of the table, one row for each frame."""
    return Features({
        FILE_COLUMN: Value("string"), "frame": Value("int32"), "seconds": Value("float64"),
        "identity": Value("string"), "file_name": Value("string"), "performance": Value("string"),
        "expression": Value("string"), "intensity": Value("float32"), "yaw": Value("float32"),
        "pitch": Value("float32"), "blendshapes": List(Value("float32")),
    })  # fmt: skip


def render_clip(job: ClipJob, folder: Path) -> list[dict]:
    """
    Render one clip into the set's folder.

    Returns:
        a row for each frame; none if the performer cannot be loaded.
    """
    performer = _load(job.performer)
    if performer is None:
        return []
    moments = job.moments()
    vectors = [performer.possible(to_vector(moment.expression)) for moment in moments]
    write_clip(folder / job.name, _render_frames(performer, moments, vectors), job.size)
    return [
        {
            FILE_COLUMN: job.name, "frame": number, "seconds": number / RATE, "identity": job.performer.identity,
            "file_name": job.performer.file_name, "performance": job.performance,
            "expression": moment.expression.label, "intensity": moment.expression.intensity, "yaw": moment.yaw,
            "pitch": moment.pitch, "blendshapes": vector.tolist(),
        }
        for number, (moment, vector) in enumerate(zip(moments, vectors))
    ]  # fmt: skip


def _render_frames(performer: Performer, moments: list[Moment], vectors: list[np.ndarray]) -> Iterator[np.ndarray]:
    for moment, vector in zip(moments, vectors):
        yield performer.render(vector, moment.yaw, moment.pitch)


@lru_cache(maxsize=1)
def _load(loader: PerformerLoader) -> Performer | None:
    """Load a performer. Clips of the same performer follow each other, so the last one is kept."""
    return loader.load()
