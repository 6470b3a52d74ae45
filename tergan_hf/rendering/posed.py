"""Draw and render the set `posed`: people, and the onset of each basic expression in a session of its own."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from datasets import Array2D, Features, Image, List, Value

from ..data.building import BuildError, Plan, Shard, list_source, require_seed
from ..data.dataset_card import SetDescription
from ..data.image_cells import image_cell
from ..data.padded_crops import PADDED_CROP_MARGIN
from ..expressions.blendshapes import to_vector
from ..expressions.facs_combinations import BASIC_EXPRESSIONS
from ..expressions.sequences import draw_onset
from .avatars import JPEG_QUALITY, PICTURES, draw_person, read_heads
from .library import description_of, head_files, missing_heads
from .people import check_head
from .scene import Camera, draw_session


@dataclass(frozen=True)
class PosedSettings:
    """
    Settings of the set.

    Args:
        people: number of people, in turn from each group of heads.
        groups: number of groups of heads. A person is a head, or a blend of heads, of one group.
        frames: number of last frames of each sequence to keep.
        sequence_frames: number of frames from neutral to the apex.
        weakest: least intensity of an apex. Weaker ones can hardly be told apart.
        size: side of the pictures in pixels, a multiple of 4. margin: side / side of the aligned face.
        seed: seed of all random choices.
    """

    people: int = 80
    groups: int = 8
    frames: int = 3
    sequence_frames: int = 20
    weakest: float = 0.75
    size: int = 128
    margin: float = PADDED_CROP_MARGIN
    seed: int = 0

    def __post_init__(self):
        require_seed(self.seed)
        if min(self.people, self.groups, self.frames) < 1 or self.frames >= self.sequence_frames:
            raise BuildError(
                "--people, --groups and --frames must be at least 1, and --sequence-frames more than --frames, whose "
                "first frame is neutral"
            )
        if self.people < self.groups:
            raise BuildError(
                f"--people {self.people} leaves some of {self.groups} groups empty: choose --groups lower"
            )
        if not 0 < self.weakest <= 1:
            raise BuildError(f"--weakest {self.weakest}: it must be above 0, and at most 1, the full expression")
        PICTURES.check(self.size, self.margin)


def plan_posed(source: str | Path, settings: PosedSettings, description: SetDescription) -> Plan:
    """
    Plan the set. Each group of heads is a shard.

    Raises:
        BuildError: as `head_files`, or there are more groups than heads.
        GltfError: a file is not a head.
    """
    files = head_files(source)
    if len(files) < settings.groups:
        raise BuildError(f"{source} has {len(files)} heads, too few for --groups {settings.groups}")
    for path in files.values():
        check_head(path)
    paths = list(files.values())
    shards = []
    for group in range(settings.groups):
        people = range(group, settings.people, settings.groups)
        rows = len(people) * len(BASIC_EXPRESSIONS) * settings.frames
        shards.append(Shard("train", (tuple(paths[group :: settings.groups]), people, settings), rows))
    licence = Path(source) / "LICENSE"
    return Plan(
        description=description_of(files, description),
        features=features(),
        shards=shards,
        make_rows=render_group,
        settings=asdict(settings),
        source=[line for path in paths for line in list_source(path.parent, [path])],
        missing=missing_heads(files),
        notes=["Split it by the column `head_group`: groups share no person and no head."],
        licence_file=licence if licence.is_file() else None,
    )


def features() -> Features:
    """The columns of the set."""
    return Features({
        "image": Image(), "identity": Value("string"), "expression": Value("string"), "frame": Value("int32"),
        "intensity": Value("float32"), "heads": Value("string"), "head_group": Value("string"),
        "blendshapes": List(Value("float32")), "landmarks": Array2D((5, 2), "float32"),
    })  # fmt: skip


def render_group(job: tuple[tuple[Path, ...], range, PosedSettings]) -> list[dict]:
    """Render all rows of the people of one group of heads."""
    files, people, settings = job
    heads = read_heads(files)
    rows = []
    for turn, number in enumerate(people):
        random = np.random.default_rng((settings.seed, number))
        whole = draw_person(turn, heads, random)
        for expression in BASIC_EXPRESSIONS:
            # Light, background, pose and hair differ between the sequences of a person.
            person = whole if random.random() < 0.8 else whole.without_wig()
            camera = Camera(person, draw_session(random, settings.size), settings.size, margin=settings.margin)
            onset = draw_onset(random, expression, settings.sequence_frames, settings.weakest)
            for frame in range(settings.sequence_frames - settings.frames, settings.sequence_frames):
                vector = to_vector(onset[frame])
                photo = camera.take(vector)
                rows.append({
                    "image": image_cell(photo.pixels, "JPEG", quality=JPEG_QUALITY),
                    "identity": f"posed_{number:03d}", "expression": onset[frame].label, "frame": frame,
                    "intensity": onset[frame].intensity, "heads": "+".join(person.heads),
                    "head_group": f"group_{number % settings.groups}", "blendshapes": vector.tolist(),
                    "landmarks": photo.landmarks.astype(np.float32),
                })  # fmt: skip
    return rows
