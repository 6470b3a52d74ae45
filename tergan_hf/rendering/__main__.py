"""A sheet to look at, before hours of training on it: the people of a set of rendered faces, with exact poses.

`python -m tergan_hf.rendering --source valid-avatars-glb --output sheet.png`
"""

import argparse
import sys

from .expressions import FULL


PROGRAM = "tergan_hf.rendering"


def main():
    parser = argparse.ArgumentParser(
        prog=f"python -m {PROGRAM}", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", required=True, help="folder with the heads, or a clone of the VALID avatars")
    parser.add_argument("--output", required=True, help="the picture to write")
    parser.add_argument("--people", type=int, default=8, help="how many (%(default)s)")
    parser.add_argument("--start", type=int, default=0, help="number of the first; the heads come first (%(default)s)")
    parser.add_argument("--expressions", nargs="+", choices=list(FULL), default=list(FULL), metavar="EXPRESSION")
    parser.add_argument("--intensities", nargs="+", type=float, default=[0.5, 1.0], metavar="SHARE", help="(0.5 1)")
    parser.add_argument("--size", type=int, default=192, help="side of the photos in pixels (%(default)s)")
    parser.add_argument("--look", default="natural", help="as of the set (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="as of the set (%(default)s)")
    parser.add_argument("--exclude", nargs="*", default=[], metavar="HEAD", help="as of the set")
    options = vars(parser.parse_args())
    settings = {name: options.pop(name) for name in ("size", "seed", "look")} | {
        "exclude": tuple(options.pop("exclude"))
    }
    try:
        from .avatars import AvatarSettings
        from .sheet import draw_people
    except ImportError as error:
        sys.exit(f'{PROGRAM}: rendering needs the package {error.name}: pip install -e ".[render]"')
    try:
        draw_people(**options, settings=AvatarSettings(**settings))
    except (ValueError, OSError) as error:
        sys.exit(f"{PROGRAM}: {error}")


if __name__ == "__main__":
    main()
