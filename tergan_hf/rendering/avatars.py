"""The training set of rendered people: who is drawn, what they show, and how it is written."""

import io
import shutil
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from datasets import Array2D, Dataset, Features, Image, List, Value
from PIL import Image as PILImage
from tqdm.auto import tqdm

from ..data.augmentation import MOTION_STEPS_PER_SIDE
from .expressions import FULL, Recipe, draw_recipe, full_recipe
from .people import Head, blend_heads, read_head
from .scene import Camera, draw_sitting


PEOPLE_PER_SHARD = 10
JPEG_QUALITY = 95


@dataclass(frozen=True)
class AvatarSettings:
    """
    What to render.

    Args:
        people: how many. The first are the heads themselves, the rest blends of two or three.
        sittings: of each person; pose, light, hair and background differ between them.
        photos: per sitting, every expression equally often.
        decks: how many different sets of recipes; sittings that share one give pairs with an exact ground truth.
        size: side of the photos in pixels.
        exclude: heads that no person may be made of.
    """

    people: int = 300
    sittings: int = 2
    photos: int = 21
    decks: int = 20
    size: int = 192
    seed: int = 0
    exclude: tuple[str, ...] = ()


def render_avatars(source: str | Path, output: str | Path, settings: AvatarSettings, processes: int = 1) -> int:
    """
    Render the set into `output` as parquet shards. Shards that are there already are kept, so that a killed run goes
    on where it was.

    Args:
        source: folder with one `.glb` file per head.

    Returns:
        number of photos.

    Raises:
        FileNotFoundError: no `.glb` file in `source`.
        ValueError: `output` holds another set, or `exclude` names an unknown head or leaves too few.
    """
    output = Path(output)
    files = head_files(source, settings.exclude)
    output.mkdir(parents=True, exist_ok=True)
    record = output / "settings.txt"
    described = f"{asdict(settings)} {list(files)}\n"
    if record.exists() and record.read_text() != described:
        raise ValueError(f"{output} holds a set rendered with other settings; give another --output or remove it")
    record.write_text(described)
    starts = range(0, settings.people, PEOPLE_PER_SHARD)
    shards = {start: output / f"train-{start // PEOPLE_PER_SHARD:05d}.parquet" for start in starts}
    missing = [start for start, path in shards.items() if not path.exists()]
    jobs = [(list(files.values()), shards[start], start, settings) for start in missing]
    with tqdm(total=settings.people, initial=(len(shards) - len(missing)) * PEOPLE_PER_SHARD, unit="person") as bar:
        if processes > 1:
            with ProcessPoolExecutor(processes) as pool:
                for _ in pool.map(_write_shard, jobs):
                    bar.update(PEOPLE_PER_SHARD)
        else:
            for job in jobs:
                _write_shard(job)
                bar.update(PEOPLE_PER_SHARD)
    licence = Path(source) / "LICENSE"
    if licence.is_file():
        shutil.copy(licence, output / "LICENSE")
    return settings.people * settings.sittings * settings.photos


def head_files(source: str | Path, exclude: tuple[str, ...] = ()) -> dict[str, Path]:
    """Head name → file, sorted, without those excluded."""
    files = {path.stem.removesuffix("_Casual"): path for path in sorted(Path(source).glob("*.glb"))}
    if not files:
        raise FileNotFoundError(f"{source} holds no .glb file: give --source the folder with the avatars' heads")
    unknown = sorted(set(exclude) - set(files))
    if unknown:
        raise ValueError(
            f"--exclude names heads that are not there: {', '.join(unknown)}; there are {', '.join(files)}"
        )
    kept = {name: path for name, path in files.items() if name not in exclude}
    if not kept:
        raise ValueError("--exclude leaves no head to render")
    return kept


def deck(number: int, settings: AvatarSettings) -> list[Recipe]:
    """The recipes of one deck, every expression in turn; in every fourth deck each expression once in full."""
    random = np.random.default_rng((settings.seed, 1, number))
    names = list(FULL)
    return [
        full_recipe(names[at]) if at < len(names) and number % 4 == 0 else draw_recipe(names[at % len(names)], random)
        for at in range(settings.photos)
    ]


def features() -> Features:
    """Columns of the set."""
    return Features({
        "image": Image(), "identity": Value("string"), "sitting": Value("int32"), "recipe": Value("int32"),
        "expression": Value("string"), "intensity": Value("float32"), "heads": Value("string"),
        "landmarks": Array2D((5, 2), "float32"), "motion": Image(), "activations": List(Value("float32")),
    })  # fmt: skip


@lru_cache(maxsize=1)
def _heads(files: tuple[Path, ...]) -> list[Head]:
    first = read_head(files[0])
    return [first] + [read_head(path, first.face) for path in files[1:]]


def activation_names(head: Head) -> list[str]:
    """The morph targets in the order of the column `activations`."""
    return sorted(head.face.morphs)


def _write_shard(job: tuple[list[Path], Path, int, AvatarSettings]):
    files, path, start, settings = job
    heads = _heads(tuple(files))
    rows = []
    for number in range(start, min(start + PEOPLE_PER_SHARD, settings.people)):
        rows += _photograph(number, heads, settings)
    unfinished = path.with_suffix(".unfinished")
    Dataset.from_list(rows, features=features()).to_parquet(unfinished)
    unfinished.rename(path)


def _photograph(number: int, heads: list[Head], settings: AvatarSettings) -> list[dict]:
    random = np.random.default_rng((settings.seed, 0, number))
    if number < len(heads):
        chosen, weights = [heads[number]], np.ones(1)
    else:
        count = int(min(random.integers(2, 4), len(heads)))
        chosen = [heads[index] for index in random.choice(len(heads), count, replace=False)]
        weights = random.dirichlet([1.2] * count)
        # Some go a little beyond the heads they are made of.
        weights = weights + random.uniform(0, 0.35) * (weights - 1 / count)
    names = activation_names(heads[0])
    rows = []
    for sitting in range(settings.sittings):
        person = blend_heads(chosen, weights, with_wig=random.random() < 0.8)
        camera = Camera(person, draw_sitting(random, settings.size), settings.size)
        number_of_deck = int(random.integers(settings.decks))
        for at, recipe in enumerate(deck(number_of_deck, settings)):
            photo = camera.take(recipe)
            rows.append({
                "image": {"bytes": _encode(photo.pixels, "JPEG", quality=JPEG_QUALITY), "path": None},
                "identity": f"avatar_{number:04d}", "sitting": sitting,
                "recipe": number_of_deck * settings.photos + at,
                "expression": recipe.expression, "intensity": recipe.intensity, "heads": "+".join(person.heads),
                "landmarks": photo.landmarks.astype(np.float32),
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
