"""A contact sheet of rendered people with exact expressions, to check how they look."""

from pathlib import Path

from PIL import Image

from ..data.building import BuildError
from ..data.contact_sheet import check_sheet_name, save_contact_sheet
from ..expressions.blendshapes import to_vector
from ..expressions.named import find_expressions
from .avatars import AvatarSettings, Heads, draw_sessions
from .library import head_files


PHOTOS_PER_ROW = 14


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
        expressions: names of `expressions.named`.
        intensities: 0 is neutral, 1 is full.
        settings: of the rendering.

    Raises:
        BuildError: as `head_files`, or the number of people is wrong.
        InvalidInputError: an expression or the extension of `output` is unknown.
        GltfError: a file is not a head.
        OSError: the file cannot be written.
    """
    if people < 1 or start < 0:
        raise BuildError(f"--people must be 1 or more and --start 0 or more, not {people} and {start}")
    check_sheet_name(output)
    full = [to_vector(one) for one in find_expressions(expressions)]
    heads = Heads(tuple(head_files(source, settings.exclude, settings.only).values()))
    vectors = [[share * vector for vector in full] for share in intensities]
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
