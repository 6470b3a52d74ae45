"""The training set of rendered people: who is drawn, and what they show."""

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
from ..data.framing import CHIP_MARGIN
from ..data.ground_truth import MOTION_STEPS_PER_SIDE
from .expressions import FULL, Recipe, draw_plain_recipe, draw_recipe, full_recipe
from .library import head_files, missing_heads
from .people import Head, Person, blend_heads, check_head, read_head
from .scene import Camera, Sitting, draw_plain_sitting, draw_sitting
from .variations import vary_person


PEOPLE_PER_SHARD = 10
OTHER_SKIN = 0.5  # of the blends have a shape of some heads and the skin of others


@dataclass(frozen=True)
class Look:
    """What tells one kind of set from another: who draws a sitting and a recipe, and how little is lost in JPEG."""

    draw_sitting: Callable[[np.random.Generator, int], Sitting]
    draw_recipe: Callable[[str, np.random.Generator], Recipe]
    jpeg_quality: int


LOOKS = {
    "natural": Look(draw_sitting, draw_recipe, 95),
    "plain": Look(draw_plain_sitting, draw_plain_recipe, 86),
}


@dataclass(frozen=True)
class AvatarSettings:
    """
    What to render.

    Args:
        people: how many. The first are the heads themselves, the rest blends of two or three, or of as many for the
            shape and others for the skin.
        sittings: of each person; pose, light, hair and background differ between them.
        photos: per sitting, every expression equally often.
        decks: how many different sets of recipes; sittings that share one give pairs with an exact ground truth.
        size: side of the photos in pixels.
        exclude: heads that no person may be made of.
        aligned: aligned crops, `margin` times as large as the face a network sees, instead of photos with the
            surroundings. The neutral face decides the crop of a whole sitting.
        look: `natural`, with shadows, shining eyes, soft skin, rooms and many ways to show an expression; or `plain`,
            matt surfaces before one colour, one way to show each, more strongly compressed.
    """

    people: int = 300
    sittings: int = 2
    photos: int = 21
    decks: int = 20
    size: int = 192
    seed: int = 0
    exclude: tuple[str, ...] = ()
    aligned: bool = False
    margin: float = CHIP_MARGIN
    look: str = "natural"

    def __post_init__(self):
        if self.look not in LOOKS:
            raise BuildError(f"--look must be one of {', '.join(LOOKS)}, not {self.look!r}")
        for name in ("people", "sittings", "photos", "decks"):
            if getattr(self, name) < 1:
                raise BuildError(f"--{name} must be at least 1, not {getattr(self, name)}")
        if self.size < 16 or not 1 <= self.margin <= 4:
            raise BuildError(f"a photo of {self.size} pixels with margin {self.margin} makes no sense")


def plan_avatars(source: str | Path, settings: AvatarSettings, description: SetDescription) -> Plan:
    """
    Plan the set.

    Args:
        source: as `head_files` takes it.

    Raises:
        BuildError: as `head_files`.
        GltfError: a file that is no head.
    """
    files = head_files(source, settings.exclude)
    for path in files.values():
        check_head(path)
    each = settings.sittings * settings.photos
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
        del written["look"]  # as sets were described before there was another
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


def deck(number: int, settings: AvatarSettings) -> list[Recipe]:
    """The recipes of one deck, every expression in turn; in every fourth deck each expression once in full."""
    random = np.random.default_rng((settings.seed, 1, number))
    names, draw = list(FULL), LOOKS[settings.look].draw_recipe
    return [
        full_recipe(names[at]) if at < len(names) and number % 4 == 0 else draw(names[at % len(names)], random)
        for at in range(settings.photos)
    ]


def features() -> Features:
    """Columns of the set."""
    return Features({
        "image": Image(), "identity": Value("string"), "sitting": Value("int32"), "recipe": Value("int32"),
        "expression": Value("string"), "intensity": Value("float32"), "mixed_with": Value("string"),
        "heads": Value("string"), "landmarks": Array2D((5, 2), "float32"), "motion": Image(),
        "activations": List(Value("float32")),
    })  # fmt: skip


class Heads:
    """The heads of some files, each read when it is first needed, all over the template of the first."""

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


def activation_names(head: Head) -> list[str]:
    """The morph targets in the order of the column `activations`."""
    return sorted(head.face.morphs)


def photograph_people(job: tuple[list[Path], range, AvatarSettings]) -> list[dict]:
    """All photos of some people, by their numbers."""
    files, people, settings = job
    heads = _heads(tuple(files))
    return [row for number in people for row in _photograph(number, heads, settings)]


def draw_person(number: int, heads: Heads, random: np.random.Generator) -> Person:
    """The first people are the heads as they are, the others blends of two or three and somebody of their own; half of
    these wear the skin, eyes and teeth of yet others."""
    if number < len(heads):
        return blend_heads([heads[number]], np.ones(1))
    shape = _draw_blend(heads, random)
    skin = _draw_blend(heads, random) if random.random() < OTHER_SKIN else None
    return vary_person(blend_heads(*shape, skin=skin), random)


def _draw_blend(heads: Heads, random: np.random.Generator) -> tuple[list[Head], np.ndarray]:
    count = int(min(random.integers(2, 4), len(heads)))
    chosen = [heads[index] for index in random.choice(len(heads), count, replace=False)]
    weights = random.dirichlet([1.2] * count)
    # Some go a little beyond the heads they are made of.
    return chosen, weights + random.uniform(0, 0.35) * (weights - 1 / count)


def sit(number: int, heads: Heads, settings: AvatarSettings) -> Iterator[tuple[Person, Camera, int]]:
    """The sittings of one person of the set: the person as they came, the camera in front of them, and the number of
    the deck of recipes that they show."""
    random = np.random.default_rng((settings.seed, 0, number))
    somebody = draw_person(number, heads, random)
    for _ in range(settings.sittings):
        person = somebody if random.random() < 0.8 else somebody.without_wig()
        scene = LOOKS[settings.look].draw_sitting(random, settings.size)
        camera = Camera(person, scene, settings.size, margin=settings.margin if settings.aligned else None)
        yield person, camera, int(random.integers(settings.decks))


def _photograph(number: int, heads: Heads, settings: AvatarSettings) -> list[dict]:
    names = activation_names(heads[0])
    rows, look = [], LOOKS[settings.look]
    for sitting, (person, camera, number_of_deck) in enumerate(sit(number, heads, settings)):
        for at, recipe in enumerate(deck(number_of_deck, settings)):
            photo = camera.take(recipe)
            rows.append({
                "image": {"bytes": _encode(photo.pixels, "JPEG", quality=look.jpeg_quality), "path": None},
                "identity": f"avatar_{number:04d}", "sitting": sitting,
                "recipe": number_of_deck * settings.photos + at,
                "expression": recipe.expression, "intensity": recipe.intensity, "mixed_with": recipe.mixed_with,
                "heads": "+".join(person.heads), "landmarks": photo.landmarks.astype(np.float32),
                "motion": {"bytes": _encode(encode_motion(photo.motion), "PNG"), "path": None},
                "activations": [recipe.activations.get(name, 0.0) for name in names],
            })  # fmt: skip
    return rows


def encode_motion(motion: np.ndarray) -> np.ndarray:
    """(2, M, M) shares of the picture's side → (M, M, 3) uint8, red and green; blue is 0."""
    levels = np.clip(np.rint(128 + motion * MOTION_STEPS_PER_SIDE), 0, 255).astype(np.uint8)
    return np.stack([levels[0], levels[1], np.zeros_like(levels[0])], axis=-1)


def _encode(pixels: np.ndarray, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    PILImage.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()
