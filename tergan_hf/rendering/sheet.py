"""A picture of rendered people with exact poses, to see whether they look right."""

from pathlib import Path

from PIL import Image

from ..data.building import BuildError
from ..data.contact_sheet import save_contact_sheet
from .avatars import AvatarSettings, Heads, draw_sessions
from .expressions import exact_pose
from .library import head_files


PHOTOS_PER_ROW = 14


def draw_people(
    source: str | Path, output: str | Path, people: int, start: int, expressions: list[str], intensities: list[float],
    settings: AvatarSettings,
):  # fmt: skip
    """
    Write a picture of people `start` to `start + people - 1` in their first session, as a set of these settings has
    them: a column for each expression, a row for each intensity, several people side by side where there is room.

    Args:
        expressions: of `expressions.FULL`. intensities: 0 is neutral, 1 in full.

    Raises:
        BuildError, GltfError: as `plan_avatars`.
        ValueError, OSError: the picture cannot be written there.
    """
    if people < 1 or start < 0:
        raise BuildError(f"there are no {people} people from number {start} on")
    heads = Heads(tuple(head_files(source, settings.exclude).values()))
    poses = [[exact_pose(name, share * (name != "neutral")) for name in expressions] for share in intensities]
    beside = max(1, PHOTOS_PER_ROW // len(expressions))
    rows, captions = [], []
    for first in range(start, start + people, beside):
        sessions = [
            next(draw_sessions(number, heads, settings))
            for number in range(first, min(first + beside, start + people))
        ]
        for number, line in enumerate(poses):
            rows.append([Image.fromarray(camera.take(pose).pixels) for _, camera, _ in sessions for pose in line])
            names = ["" if number else "+".join(person.heads) for person, _, _ in sessions]
            captions.append([caption for name in names for caption in (name, *[""] * (len(line) - 1))])
    save_contact_sheet(rows, output, expressions * min(beside, people), captions, side=settings.size)
