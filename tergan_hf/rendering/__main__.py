"""A sheet to look at, before hours of training on it: the people of a set of rendered faces, with exact recipes.

`python -m tergan_hf.rendering --source valid-avatars-glb --output sheet.png`
"""

import argparse
import sys

from PIL import Image

from ..data.building import BuildError
from ..evaluation.contact_sheet import save_contact_sheet
from .avatars import AvatarSettings, Heads, sit
from .expressions import FULL, exact_recipe
from .gltf import GltfError
from .library import head_files


PHOTOS_PER_ROW = 14


def main():
    parser = argparse.ArgumentParser(
        prog="python -m tergan_hf.rendering", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", required=True, help="folder with the heads, or a clone of the VALID avatars")
    parser.add_argument("--output", required=True, help="the picture to write")
    parser.add_argument("--people", type=int, default=8, help="how many (%(default)s)")
    parser.add_argument("--start", type=int, default=0, help="number of the first; the heads come first (%(default)s)")
    parser.add_argument("--expressions", nargs="+", choices=list(FULL), default=list(FULL), metavar="EXPRESSION")
    parser.add_argument("--intensities", nargs="+", type=float, default=[0.5, 1.0], metavar="SHARE", help="(0.5 1)")
    parser.add_argument("--size", type=int, default=192, help="side of the photos in pixels (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="as of the set (%(default)s)")
    options = parser.parse_args()
    try:
        draw_people(**vars(options))
    except (BuildError, GltfError, OSError) as error:
        sys.exit(f"tergan_hf.rendering: {error}")


def draw_people(
    source: str, output: str, people: int, start: int, expressions: list[str], intensities: list[float], size: int,
    seed: int,
):  # fmt: skip
    """
    Write a picture of people `start` to `start + people - 1` in their first sitting, as the set of this seed has
    them: a column for each expression, a row for each intensity, several people side by side where there is room.

    Raises:
        BuildError, GltfError: as `plan_avatars`.
        OSError: the picture cannot be written.
    """
    settings = AvatarSettings(people=start + people, sittings=1, size=size, seed=seed)
    heads = Heads(tuple(head_files(source).values()))
    recipes = [[exact_recipe(name, share * (name != "neutral")) for name in expressions] for share in intensities]
    beside = max(1, PHOTOS_PER_ROW // len(expressions))
    rows, captions = [], []
    for first in range(start, start + people, beside):
        sitters = [next(sit(number, heads, settings)) for number in range(first, min(first + beside, start + people))]
        for number, line in enumerate(recipes):
            rows.append([Image.fromarray(camera.take(recipe).pixels) for _, camera, _ in sitters for recipe in line])
            names = ["" if number else "+".join(person.heads) for person, _, _ in sitters]
            captions.append([caption for name in names for caption in (name, *[""] * (len(line) - 1))])
    save_contact_sheet(rows, output, expressions * min(beside, people), captions, side=size)


if __name__ == "__main__":
    main()
