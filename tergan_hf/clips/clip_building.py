"""Plan and render driving clips of portraits, with a row of truth for each frame."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from datasets import Features, List, Value

from ..data.building import BuildError, Plan, Shard
from ..data.dataset_card import SetDescription
from ..expressions.blendshapes import COLUMN_NAMES, to_vector
from ..expressions.facs_combinations import BASIC_EXPRESSIONS
from ..expressions.performances import ACTING, RANGE_OF_MOTION, Moment, draw_acting, range_of_motion
from ..portraits.assets import PortraitAssets, donor_credit, fit_portrait, list_files, person_seed, prepare_assets
from ..portraits.people import PortraitPerson, find_people, named_people
from .clip_file import RATE, check_encoder, write_clip
from .performer import Performer
from .portrait_performer import PortraitPerformer


FOLDER = "clips"
SPLIT = "test"
MAX_SECONDS = 60.0


@dataclass(frozen=True)
class ClipSettings:
    """
    Settings of the set.

    Args:
        people: number of people of each source; None for all.
        only: people to show; () for all. The smile statistics leave out all of them.
        exclude: people who are not shown unless `only` names them, and whom the smile statistics leave out.
        clips: clips per person. The first is a range of motion.
        seconds: length of the other clips.
        size: side of the frames in pixels. margin: side / side of the aligned face.
        seed: seed of all random choices.
    """

    people: int | None = None
    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    clips: int = 2
    seconds: float = 4.0
    size: int = 480
    margin: float = 2.0
    seed: int = 0

    def __post_init__(self):
        if self.clips < 1:
            raise BuildError(f"--clips must be at least 1, not {self.clips}")
        if self.people is not None and self.people < 1:
            raise BuildError(f"--people must be at least 1, not {self.people}")
        if not 1 / RATE <= self.seconds <= MAX_SECONDS:
            raise BuildError(f"--seconds must be from {1 / RATE} to {MAX_SECONDS:g}, not {self.seconds:g}")
        if self.size % 8 or not 64 <= self.size <= 1024 or not 1 <= self.margin <= 3:
            raise BuildError(
                f"--size {self.size} --margin {self.margin}: the size must be a multiple of 8 from 64 to 1024, the "
                f"margin from 1 to 3"
            )


@dataclass(frozen=True)
class ClipJob:
    """One clip to render: the person, the clip's number from 0, and what all clips share."""

    person: PortraitPerson
    number: int
    settings: ClipSettings
    assets: PortraitAssets

    @property
    def seed(self) -> int:
        """The person's seed."""
        return person_seed(self.settings.seed, self.person.identity)

    @property
    def name(self) -> str:
        """Path of the clip in the set."""
        return f"{FOLDER}/{self.person.identity}_{self.number}.mp4"

    @property
    def performance(self) -> str:
        """The kind of performance."""
        return ACTING if self.number else RANGE_OF_MOTION

    def moments(self) -> list[Moment]:
        """The performance, frame by frame. The basic expressions take turns."""
        if self.performance == RANGE_OF_MOTION:
            return range_of_motion(RATE)
        label = BASIC_EXPRESSIONS[(self.seed + self.number) % len(BASIC_EXPRESSIONS)]
        random = np.random.default_rng((self.settings.seed, 2, self.seed, self.number))
        return draw_acting(random, round(self.settings.seconds * RATE), RATE, label)


def plan_clips(
    sources: list[Path], ict: Path, landmarker: Path, settings: ClipSettings, description: SetDescription
) -> Plan:
    """
    Plan the set, and learn the smile prior from the people who are not shown unless it is cached.

    Raises:
        BuildError: a source, the face model, the landmarker or a named person is missing, or nobody is left.
    """
    check_encoder()
    shown, teaching = choose_people([find_people(source) for source in sources], settings)
    assets = prepare_assets(teaching, ict, landmarker)
    shards = [
        Shard(SPLIT, job, len(job.moments()))
        for person in shown
        for job in (ClipJob(person, number, settings, assets) for number in range(settings.clips))
    ]
    order = f" The order of the column `blendshapes`: {', '.join(COLUMN_NAMES)}; gaze in units of 30°."
    return Plan(
        description=replace(description, attribution=description.attribution + donor_credit(assets) + order),
        features=features(),
        shards=shards,
        make_rows=render_clip,
        settings={key: value for key, value in asdict(settings).items() if value is not None},
        source=list_files([*teaching, *shown], ict, landmarker),
        notes=[
            f"The clips are MP4 files of {RATE} frames per second in `{FOLDER}/`. Each row is the truth of one frame.",
            "The smile statistics and teeth come from people who are not in the clips.",
            "Brows do not move behind spectacles, and their values are 0.",
            "The same versions of PyAV and x264 give the same bytes. Others may compress the same frames differently.",
        ],
        expected=[one.file_name for one in shown],
        file_column="clip",
    )


def choose_people(
    sources: list[list[PortraitPerson]], settings: ClipSettings
) -> tuple[list[PortraitPerson], list[PortraitPerson]]:
    """
    Choose the people to show, and the people from whom smiles may be learnt. Nobody is in both lists.

    Args:
        sources: the people of each source.

    Raises:
        BuildError: a name is unknown, or one of the lists is empty.
    """
    everybody = [one for people in sources for one in people]
    only = set(named_people(everybody, settings.only, "--only"))
    excluded = set(named_people(everybody, settings.exclude, "--exclude")) - only
    shown = []
    for people in sources:
        offered = [one for one in people if one not in excluded and (one in only or not settings.only)]
        shown += offered[: settings.people]
    teaching = [one for one in everybody if one not in excluded | only | set(shown)]
    if not shown:
        raise BuildError("--exclude leaves nobody to show")
    if not teaching:
        raise BuildError(
            "everybody would be shown, and nobody is left to learn smiles from: name the people to show with --only, "
            "or set --people"
        )
    return shown, teaching


def features() -> Features:
    """Columns of the table, one row for each frame."""
    return Features({
        "clip": Value("string"), "frame": Value("int32"), "seconds": Value("float64"), "identity": Value("string"),
        "file_name": Value("string"), "performance": Value("string"), "expression": Value("string"),
        "intensity": Value("float32"), "yaw": Value("float32"), "pitch": Value("float32"),
        "blendshapes": List(Value("float32")),
    })  # fmt: skip


def render_clip(job: ClipJob, folder: Path) -> list[dict]:
    """
    Render one clip into the set's folder.

    Returns:
        a row for each frame; none without a face or without a plausible fit.
    """
    cv2.setNumThreads(1)
    performer = load_performer(job.person, job.settings, job.assets)
    if performer is None:
        return []
    moments = job.moments()
    vectors = [performer.possible(to_vector(moment.expression)) for moment in moments]
    write_clip(folder / job.name, render_frames(performer, moments, vectors), job.settings.size)
    return [
        {
            "clip": job.name, "frame": number, "seconds": number / RATE, "identity": job.person.identity,
            "file_name": job.person.file_name, "performance": job.performance,
            "expression": moment.expression.label, "intensity": moment.expression.intensity, "yaw": moment.yaw,
            "pitch": moment.pitch, "blendshapes": vector.tolist(),
        }
        for number, (moment, vector) in enumerate(zip(moments, vectors))
    ]  # fmt: skip


def render_frames(performer: Performer, moments: list[Moment], vectors: list[np.ndarray]) -> Iterator[np.ndarray]:
    """Render the frames of a performance one by one."""
    for moment, vector in zip(moments, vectors):
        yield performer.render(vector, moment.yaw, moment.pitch)


@lru_cache(maxsize=1)
def load_performer(person: PortraitPerson, settings: ClipSettings, assets: PortraitAssets) -> Performer | None:
    """Fit the face model to a person's photo. None without a face or without a plausible fit."""
    portrait = fit_portrait(person, assets, settings.size, settings.margin, settings.seed)
    return None if portrait is None else PortraitPerformer(portrait)
