"""Draw a contact sheet of rendered people with exact expressions, to check them before hours of training.

`python -m tergan_hf.rendering --source valid-avatars-glb --output sheet.png`
"""

import argparse
from pathlib import Path

from ..cli.errors import one_line_errors
from ..cli.outputs import check_output
from ..data.packages import optional_packages
from ..model.configuration_tergan import EXPRESSIONS_WITH_NEUTRAL


PROGRAM = "tergan_hf.rendering"


def main():
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {PROGRAM}", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", required=True, help="folder of the heads, or a clone of the VALID avatars")
    parser.add_argument("--output", required=True, help="image file to write")
    parser.add_argument("--people", type=int, default=8, help="number of people (%(default)s)")
    parser.add_argument(
        "--start", type=int, default=0, help="number of the first person; the heads are the first people (%(default)s)"
    )
    parser.add_argument(
        "--expressions", nargs="+", default=list(EXPRESSIONS_WITH_NEUTRAL), metavar="EXPRESSION",
        help="columns of the sheet: expressions, their variants such as 'lip raised', actions such as blink, 'gaze "
        "left', ARKit blendshapes (neutral and the six basic expressions)",
    )  # fmt: skip
    parser.add_argument(
        "--intensities", nargs="+", type=float, default=[0.5, 1.0], metavar="SHARE", help="rows of the sheet (0.5 1)"
    )
    parser.add_argument("--size", type=int, default=256, help="side of the photos in pixels (%(default)s)")
    parser.add_argument("--look", default="natural", help="as for the set (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="as for the set (%(default)s)")
    for name in ("exclude", "only"):
        parser.add_argument(f"--{name}", nargs="*", default=[], metavar="HEAD", help="as for the set")
    options = vars(parser.parse_args())
    settings = {name: options.pop(name) for name in ("size", "seed", "look")}
    settings |= {name: tuple(options.pop(name)) for name in ("exclude", "only")}
    with one_line_errors(PROGRAM):
        with optional_packages("rendering needs", "render"):
            from .avatars import AvatarSettings
            from .sheet import draw_people
        check_output(Path(options["output"]), [], overwrite=True)
        draw_people(**options, settings=AvatarSettings(**settings))


if __name__ == "__main__":
    main()
