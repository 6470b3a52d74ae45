"""A contact sheet of rendered people with exact expressions, to check how they look."""

from pathlib import Path

from PIL import Image

from ..data.building import BuildError
from ..data.contact_sheet import save_contact_sheet
from ..expressions.blendshapes import BLENDSHAPES, Expression, expand_sides, to_vector
from ..expressions.facs_combinations import ACTIONS, EMFACS_VARIANTS
from ..expressions.sampling import OTHER
from .avatars import AvatarSettings, Heads, draw_sessions
from .blendshape_table import MORPHS
from .library import head_files


PHOTOS_PER_ROW = 14
GAZES = {"gaze left": (-30.0, 0.0), "gaze right": (30.0, 0.0), "gaze up": (0.0, 20.0), "gaze down": (0.0, -20.0)}


def named_expressions() -> dict[str, Expression]:
    """Name → expression at intensity 1: `neutral`, each basic expression in its first variant, each variant, each of
    `ACTIONS`, the gaze as the viewer sees it, and each blendshape, on both sides without `Left` or `Right`."""
    combinations: dict[str, dict[str, float]] = {"neutral": {}}
    for label, variants in EMFACS_VARIANTS.items():
        combinations |= {label: next(iter(variants.values()))} | variants
    combinations |= ACTIONS
    combinations |= {name: {name: 1.0} for name in [*MORPHS, *BLENDSHAPES]}
    found = {name: Expression(OTHER, 1.0, expand_sides(weights)) for name, weights in combinations.items()}
    return found | {name: Expression(OTHER, 1.0, {}, gaze) for name, gaze in GAZES.items()}


def draw_people(
    source: str | Path, output: str | Path, people: int, start: int, expressions: list[str], intensities: list[float],
    settings: AvatarSettings,
):  # fmt: skip
    """
    Write a contact sheet of people `start` to `start + people - 1` in their first session, as a set of these settings
    has them. There is a column for each expression and a row for each intensity, and several people share a row if
    there is room.

    Args:
        source: as for `head_files`.
        output: the image file to write.
        people: number of people.
        start: number of the first person.
        expressions: names from `named_expressions`.
        intensities: 0 is neutral, 1 is full.
        settings: of the rendering.

    Raises:
        BuildError: as `head_files`, or an expression, the number of people or the extension of `output` is wrong.
        GltfError: a file is not a head.
        OSError: the file cannot be written.
    """
    if people < 1 or start < 0:
        raise BuildError(f"--people must be 1 or more and --start 0 or more, not {people} and {start}")
    if Image.registered_extensions().get(Path(output).suffix.lower()) not in Image.SAVE:
        raise BuildError(f"{output} does not have the extension of an image: choose a name that ends in .png")
    known = named_expressions()
    unknown = [name for name in expressions if name not in known]
    if unknown:
        raise BuildError(f"--expressions {', '.join(unknown)}: use some of {', '.join(known)}")
    heads = Heads(tuple(head_files(source, settings.exclude, settings.only).values()))
    vectors = [[share * to_vector(known[name]) for name in expressions] for share in intensities]
    beside = max(1, PHOTOS_PER_ROW // len(expressions))
    rows, captions = [], []
    for first in range(start, start + people, beside):
        sessions = [
            next(draw_sessions(number, heads, settings))
            for number in range(first, min(first + beside, start + people))
        ]
        for number, line in enumerate(vectors):
            rows.append([Image.fromarray(camera.take(one).pixels) for _, camera, _ in sessions for one in line])
            names = ["" if number else "+".join(person.heads) for person, _, _ in sessions]
            captions.append([caption for name in names for caption in (name, *[""] * (len(line) - 1))])
    save_contact_sheet(rows, output, expressions * min(beside, people), captions, side=settings.size)
