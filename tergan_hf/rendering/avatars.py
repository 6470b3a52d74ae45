"""The training set of rendered people: draw the people, their sessions and their poses."""

import io
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from datasets import Array2D, Features, Image, List, Value
from PIL import Image as PILImage

from ..data.building import BuildError, Plan, Shard, list_source
from ..data.dataset_card import SetDescription
from ..data.flow_maps import FLOW_STEPS_PER_SIDE
from ..data.padded_crops import PADDED_CROP_MARGIN
from .expressions import FULL_EXPRESSIONS, BlendshapePose, draw_plain_pose, draw_pose, full_pose
from .library import head_files, missing_heads
from .people import Head, Person, blend_heads, check_head, read_head
from .scene import Camera, Session, draw_plain_session, draw_session
from .variations import vary_person


PEOPLE_PER_SHARD = 10
OTHER_SKIN = 0.5  # share of the blends with the shape of some heads and the skin of others


@dataclass(frozen=True)
class Look:
    """One kind of set: the functions that draw sessions and poses, and the JPEG quality."""

    draw_session: Callable[[np.random.Generator, int], Session]
    draw_pose: Callable[[str, np.random.Generator], BlendshapePose]
    jpeg_quality: int


LOOKS = {"natural": Look(draw_session, draw_pose, 95), "plain": Look(draw_plain_session, draw_plain_pose, 86)}


@dataclass(frozen=True)
class AvatarSettings:
    """
    Settings of the rendering.

    Args:
        people: number of people. The first are the heads themselves, the others blends of two or three heads. Some
            blends take the skin from other heads than the shape.
        sessions: sessions per person. Pose, light, hair and background differ between them.
        photos: photos per session, every expression equally often.
        pose_sets: number of different lists of poses. Sessions with the same one give pairs with an exact ground
            truth.
        size: side of the photos in pixels.
        seed: seed of all random choices.
        exclude: heads to leave out of all people.
        aligned: render aligned crops instead of whole photos. The neutral face decides the crop of a whole session.
        margin: with `aligned`, side of the crops / side of the aligned face that a network sees.
        look: `natural`, with shadows, shining eyes, soft skin, rooms and varied expressions, or `plain`, with matt
            surfaces, one background colour, one variant of each expression and stronger compression.
    """

    people: int = 300
    sessions: int = 2
    photos: int = 21
    pose_sets: int = 20
    size: int = 192
    seed: int = 0
    exclude: tuple[str, ...] = ()
    aligned: bool = False
    margin: float = PADDED_CROP_MARGIN
    look: str = "natural"

    def __post_init__(self):
        if self.look not in LOOKS:
            raise BuildError(f"--look must be one of {', '.join(LOOKS)}, not {self.look!r}")
        for name in ("people", "sessions", "photos", "pose_sets"):
            if getattr(self, name) < 1:
                raise BuildError(f"--{name.replace('_', '-')} must be at least 1, not {getattr(self, name)}")
        if self.size < 16 or not 1 <= self.margin <= 4:
            raise BuildError(f"--size must be 16 or more and --margin 1 to 4, not {self.size} and {self.margin}")


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
    files = head_files(source, settings.exclude)
    for path in files.values():
        check_head(path)
    each = settings.sessions * settings.photos
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
    if settings.look == "natural":
        del written["look"]  # sets from before there was a second look do not record it
    return Plan(
        description=description,
        features=features(),
        shards=shards,
        make_rows=photograph_people,
        settings=written,
        source=[line for path in files.values() for line in list_source(path.parent, [path])],
        missing=missing_heads(files, settings.exclude),
        licence_file=licence if licence.is_file() else None,
    )


def pose_set(number: int, settings: AvatarSettings) -> list[BlendshapePose]:
    """Draw a pose set: poses with every expression in turn. Every fourth set begins with each expression in full."""
    random = np.random.default_rng((settings.seed, 1, number))
    names, draw = list(FULL_EXPRESSIONS), LOOKS[settings.look].draw_pose
    return [
        full_pose(names[at]) if at < len(names) and number % 4 == 0 else draw(names[at % len(names)], random)
        for at in range(settings.photos)
    ]


def features() -> Features:
    """The columns of the set."""
    return Features({
        "image": Image(), "identity": Value("string"), "session": Value("int32"), "expression_id": Value("int32"),
        "expression": Value("string"), "intensity": Value("float32"), "mixed_with": Value("string"),
        "heads": Value("string"), "landmarks": Array2D((5, 2), "float32"), "flow": Image(),
        "blendshapes": List(Value("float32")),
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


_heads = lru_cache(maxsize=1)(Heads)


def blendshape_names(head: Head) -> list[str]:
    """Names of the morph targets, in the order of the column `blendshapes`."""
    return sorted(head.face.morphs)


def photograph_people(job: tuple[list[Path], range, AvatarSettings]) -> list[dict]:
    """Render all photos of some people. Returns their rows."""
    files, people, settings = job
    heads = _heads(tuple(files))
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
    """Draw the sessions of a person: the person (with or without their wig), the camera, and the number of the pose
    set."""
    random = np.random.default_rng((settings.seed, 0, number))
    whole = draw_person(number, heads, random)
    for _ in range(settings.sessions):
        person = whole if random.random() < 0.8 else whole.without_wig()
        scene = LOOKS[settings.look].draw_session(random, settings.size)
        camera = Camera(person, scene, settings.size, margin=settings.margin if settings.aligned else None)
        yield person, camera, int(random.integers(settings.pose_sets))


def _render_person(number: int, heads: Heads, settings: AvatarSettings) -> list[dict]:
    names = blendshape_names(heads[0])
    rows, look = [], LOOKS[settings.look]
    for session, (person, camera, number_of_set) in enumerate(draw_sessions(number, heads, settings)):
        for at, pose in enumerate(pose_set(number_of_set, settings)):
            photo = camera.take(pose)
            rows.append({
                "image": {"bytes": _encode(photo.pixels, "JPEG", quality=look.jpeg_quality), "path": None},
                "identity": f"avatar_{number:04d}", "session": session,
                "expression_id": number_of_set * settings.photos + at,
                "expression": pose.expression, "intensity": pose.intensity, "mixed_with": pose.mixed_with,
                "heads": "+".join(person.heads), "landmarks": photo.landmarks.astype(np.float32),
                "flow": {"bytes": _encode(encode_flow_map(photo.flow), "PNG"), "path": None},
                "blendshapes": [pose.blendshapes.get(name, 0.0) for name in names],
            })  # fmt: skip
    return rows


def encode_flow_map(flow: np.ndarray) -> np.ndarray:
    """Encode a flow map: (2, M, M) shares of the photo's side → (M, M, 3) uint8; red is x, green is y, blue is 0."""
    levels = np.clip(np.rint(128 + flow * FLOW_STEPS_PER_SIDE), 0, 255).astype(np.uint8)
    return np.stack([levels[0], levels[1], np.zeros_like(levels[0])], axis=-1)


def _encode(pixels: np.ndarray, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    PILImage.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()
