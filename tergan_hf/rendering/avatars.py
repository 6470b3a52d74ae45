"""The training set of rendered people: draw the people, their sessions and their expressions."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from datasets import Array2D, Features, Image, List, Value

from ..data.building import BuildError, PictureLimits, Plan, Shard, list_source, require_positive, require_seed
from ..data.dataset_card import SetDescription
from ..data.flow_maps import encode_fine_flow_map
from ..data.image_cells import image_cell
from ..data.padded_crops import PADDED_CROP_MARGIN
from ..expressions.blendshapes import COLUMN_ORDER, to_vector
from ..expressions.sampling import expression_set
from .library import description_of, head_files, missing_heads
from .people import Head, Person, blend_heads, check_head, read_head
from .scene import Camera, Session, draw_plain_session, draw_session
from .variations import vary_person


PICTURES = PictureLimits(multiple=4, smallest=16, widest=4)
PEOPLE_PER_SHARD = 10
OTHER_SKIN = 0.5  # share of the blends with the shape of some heads and the skin of others


@dataclass(frozen=True)
class Look:
    """One kind of set: the function that draws sessions, and the JPEG quality."""

    draw_session: Callable[[np.random.Generator, int], Session]
    jpeg_quality: int


JPEG_QUALITY = 95
LOOKS = {"natural": Look(draw_session, JPEG_QUALITY), "plain": Look(draw_plain_session, 86)}


@dataclass(frozen=True)
class AvatarSettings:
    """
    Settings of the rendering.

    Args:
        people: number of people. The first are the heads themselves, the others blends of two or three heads. Some
            blends take the skin from other heads than the shape.
        sessions: sessions per person. Pose, light, hair and background differ between them.
        expressions: number of expressions per session, in addition to the neutral face.
        expression_sets: number of different sets of expressions. Sessions with the same set give pairs of people with
            exactly the same expression.
        size: side of the photos in pixels, a multiple of 4.
        seed: seed of all random choices.
        exclude: heads to leave out of all people.
        only: heads to make all people of. Default: all.
        aligned: render aligned crops instead of whole photos. The neutral face decides the crop of a whole session.
        margin: with `aligned`, side of the crops / side of the aligned face that a network sees.
        look: `natural`, with shadows, shining eyes, soft skin and rooms, or `plain`, with matt surfaces, one
            background colour and stronger compression.
    """

    people: int = 300
    sessions: int = 2
    expressions: int = 40
    expression_sets: int = 20
    size: int = 256
    seed: int = 0
    exclude: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    aligned: bool = False
    margin: float = PADDED_CROP_MARGIN
    look: str = "natural"

    def __post_init__(self):
        if self.look not in LOOKS:
            raise BuildError(f"--look must be one of {', '.join(LOOKS)}, not {self.look!r}")
        require_positive(self, "people", "sessions", "expressions", "expression_sets")
        require_seed(self.seed)
        PICTURES.check(self.size, self.margin)


def plan_avatars(source: str | Path, settings: AvatarSettings, description: SetDescription) -> Plan:
    """
    Plan the set.

    Args:
        source: as for `head_files`.
        settings: of the rendering.
        description: of the set.

    Raises:
        BuildError: as `head_files`.
        GltfError: a file is not a head.
    """
    files = head_files(source, settings.exclude, settings.only)
    for path in files.values():
        check_head(path)
    each = settings.sessions * (settings.expressions + 1)
    shards = [
        Shard("train", (list(files.values()), people, settings), len(people) * each)
        for people in (
            range(start, min(start + PEOPLE_PER_SHARD, settings.people))
            for start in range(0, settings.people, PEOPLE_PER_SHARD)
        )
    ]
    licence = Path(source) / "LICENSE"
    written = asdict(settings)
    if not settings.aligned:
        del written["margin"]
    description = description_of(files, description)
    return Plan(
        description=replace(description, attribution=f"{description.attribution} {COLUMN_ORDER}"),
        features=features(),
        shards=shards,
        make_rows=photograph_people,
        settings=written,
        source=[line for path in files.values() for line in list_source(path.parent, [path])],
        missing=[] if settings.only else missing_heads(files, settings.exclude),
        licence_file=licence if licence.is_file() else None,
    )


def features() -> Features:
    """The columns of the set."""
    return Features({
        "image": Image(), "identity": Value("string"), "session": Value("int32"), "expression_id": Value("int32"),
        "expression": Value("string"), "intensity": Value("float32"), "mixed_with": Value("string"),
        "heads": Value("string"), "blendshapes": List(Value("float32")), "flow": Image(), "uncovered": Image(),
        "landmarks": Array2D((5, 2), "float32"),
    })  # fmt: skip


class Heads:
    """The heads of some files. Each is read on first use, with the template of the first head."""

    def __init__(self, files: tuple[Path, ...]):
        self.files = files
        self._read: dict[int, Head] = {}

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Head:
        if index not in self._read:
            template = self[0].face if index else None
            self._read[index] = read_head(self.files[index], template)
        return self._read[index]


read_heads = lru_cache(maxsize=1)(Heads)


def photograph_people(job: tuple[list[Path], range, AvatarSettings]) -> list[dict]:
    """Render all photos of some people. Returns their rows."""
    files, people, settings = job
    heads = read_heads(tuple(files))
    return [row for number in people for row in _render_person(number, heads, settings)]


def draw_person(number: int, heads: Heads, random: np.random.Generator) -> Person:
    """Draw a person: the first are the heads themselves, the others varied blends of two or three. Half of the blends
    have the skin, eyes and teeth of other heads."""
    if number < len(heads):
        return blend_heads([heads[number]], np.ones(1))
    shape = _draw_blend(heads, random)
    skin = _draw_blend(heads, random) if random.random() < OTHER_SKIN else None
    return vary_person(blend_heads(*shape, skin=skin), random)


def _draw_blend(heads: Heads, random: np.random.Generator) -> tuple[list[Head], np.ndarray]:
    count = min(int(random.integers(2, 4)), len(heads))
    chosen = [heads[index] for index in random.choice(len(heads), count, replace=False)]
    weights = random.dirichlet([1.2] * count)
    # Some extrapolate a little beyond their heads.
    return chosen, weights + random.uniform(0, 0.35) * (weights - 1 / count)


def draw_sessions(number: int, heads: Heads, settings: AvatarSettings) -> Iterator[tuple[Person, Camera, int]]:
    """Draw the sessions of a person: the person (with or without their wig), the camera, and the number of the set of
    expressions."""
    random = np.random.default_rng((settings.seed, 0, number))
    whole = draw_person(number, heads, random)
    for _ in range(settings.sessions):
        person = whole if random.random() < 0.8 else whole.without_wig()
        scene = LOOKS[settings.look].draw_session(random, settings.size)
        camera = Camera(person, scene, settings.size, margin=settings.margin if settings.aligned else None)
        yield person, camera, int(random.integers(settings.expression_sets))


def _render_person(number: int, heads: Heads, settings: AvatarSettings) -> list[dict]:
    rows, look = [], LOOKS[settings.look]
    for session, (person, camera, number_of_set) in enumerate(draw_sessions(number, heads, settings)):
        for identifier, expression in expression_set(settings.seed, number_of_set, settings.expressions):
            vector = to_vector(expression)
            photo = camera.take(vector)
            rows.append({
                "image": image_cell(photo.pixels, "JPEG", quality=look.jpeg_quality),
                "identity": f"avatar_{number:04d}", "session": session, "expression_id": identifier,
                "expression": expression.label, "intensity": expression.intensity,
                "mixed_with": expression.mixed_with, "heads": "+".join(person.heads), "blendshapes": vector.tolist(),
                "flow": image_cell(encode_fine_flow_map(photo.flow), "PNG"),
                "uncovered": image_cell(photo.uncovered.astype(np.uint8) * 255, "PNG"),
                "landmarks": photo.landmarks.astype(np.float32),
            })  # fmt: skip
    return rows
