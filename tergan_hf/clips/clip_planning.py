"""Plan driving clips of portraits."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ..data.building import BuildError, Plan, Shard
from ..data.dataset_card import SetDescription
from ..expressions.blendshapes import COLUMN_NAMES
from ..portraits.assets import donor_credit, list_files, prepare_assets
from ..portraits.people import PortraitPerson, find_people, named_people
from .clip_file import RATE, check_encoder
from .clip_rendering import FILE_COLUMN, FOLDER, ClipJob, features, render_clip
from .portrait_performer import PortraitLoader


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
    loaders = [PortraitLoader(one, assets, settings.size, settings.margin, settings.seed) for one in shown]
    jobs = [
        ClipJob(loader, number, settings.seconds, settings.size, settings.seed)
        for loader in loaders
        for number in range(settings.clips)
    ]
    order = f" The order of the column `blendshapes`: {', '.join(COLUMN_NAMES)}; gaze in units of 30°."
    return Plan(
        description=replace(description, attribution=description.attribution + donor_credit(assets) + order),
        features=features(),
        shards=[Shard(SPLIT, job, len(job.moments())) for job in jobs],
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
        file_column=FILE_COLUMN,
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
