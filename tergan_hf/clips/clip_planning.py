"""Plan driving clips of portraits and heads."""

from dataclasses import asdict, replace
from pathlib import Path

from ..data.building import BuildError, Plan, Shard
from ..data.dataset_card import UNKNOWN_LICENCE, SetDescription
from ..data.packages import optional_packages
from ..expressions.blendshapes import COLUMN_ORDER
from .choosing import Choice, choose_performers
from .clip_file import RATE, check_encoder
from .clip_rendering import FILE_COLUMN, FOLDER, ClipJob, features, render_clip
from .clip_settings import ClipSettings
from .performer import PerformerGroup


SPLIT = "test"


def plan_clips(
    sources: list[Path], ict: Path | None, landmarker: Path, settings: ClipSettings, description: SetDescription
) -> Plan:
    """
    Plan the set, and learn the smile prior from the people who are not shown unless it is cached.

    Args:
        sources: folders of portraits and of heads.
        ict: folder of the face model, for portraits. landmarker: MediaPipe's file, for portraits.
        description: of clips in general. Licence and credits come from the performers.

    Raises:
        BuildError: as `choose_performers`, or the face model or the landmarker is missing.
        GltfError: a file is not a head.
        MissingPackageError: a package is not installed that this kind of performer needs.
    """
    check_encoder()
    groups = prepare_performers(choose_performers(sources, settings), ict, landmarker, settings)
    loaders = [loader for group in groups for loader in group.loaders]
    jobs = [
        ClipJob(loader, number, settings.seconds, settings.size, settings.seed)
        for loader in loaders
        for number in range(settings.clips)
    ]
    return Plan(
        description=describe(description, groups),
        features=features(),
        shards=[Shard(SPLIT, job, len(job.moments())) for job in jobs],
        make_rows=render_clip,
        settings={key: value for key, value in asdict(settings).items() if value is not None},
        source=[line for group in groups for line in group.source],
        notes=[
            f"The clips are MP4 files of {RATE} frames per second in `{FOLDER}/`. Each row is the truth of one frame.",
            *(note for group in groups for note in group.notes),
            "The same versions of PyAV and x264 give the same bytes. Others may compress the same frames differently.",
        ],
        expected=[loader.file_name for loader in loaders],
        licence_file=next((group.licence_file for group in groups if group.licence_file), None),
        file_column=FILE_COLUMN,
    )


def prepare_performers(
    choice: Choice, ict: Path | None, landmarker: Path, settings: ClipSettings
) -> list[PerformerGroup]:
    """
    Prepare the chosen performers: first portraits, then heads. Packages are imported only for kinds that perform.

    Raises:
        BuildError, GltfError, MissingPackageError: as `plan_clips`.
    """
    groups = []
    if choice.people:
        if ict is None:
            raise BuildError("--ict is missing: portraits need the folder of ICT-FaceKit's face model")
        with optional_packages("clips of portraits need", "portraits"):
            from .portrait_group import prepare_portraits
        groups.append(prepare_portraits(choice.people, choice.teaching, ict, landmarker, settings))
    if choice.heads:
        with optional_packages("clips of heads need", "render,video"):
            from .head_group import prepare_heads
        groups.append(prepare_heads(choice.heads, choice.folders, settings))
    return groups


def describe(description: SetDescription, groups: list[PerformerGroup]) -> SetDescription:
    """The description of a set with the licences and credits of its performers."""
    kinds = [group.description for group in groups]
    unknown = next((kind for kind in kinds if kind.licence_id == UNKNOWN_LICENCE), None)
    return replace(
        description,
        home=kinds[0].home,
        licence=" ".join(kind.licence for kind in kinds),
        licence_id=(unknown or kinds[0]).licence_id,
        attribution=" ".join([*(kind.attribution for kind in kinds), COLUMN_ORDER]),
        citation="\n".join(kind.citation for kind in kinds),
    )
