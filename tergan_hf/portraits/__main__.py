"""Draw a contact sheet of portraits with exact expressions, to check them before hours of work.

`python -m tergan_hf.portraits --source london canada congress --ict ICT-FaceKit/FaceXModel --output sheet.png`
"""

import argparse
from pathlib import Path

from ..cli.errors import one_line_errors
from ..cli.outputs import check_output
from ..data.packages import optional_packages
from .portrait_set import add_asset_options, add_picture_options


PROGRAM = "tergan_hf.portraits"
# Every kind: basic expressions, lids, gaze, brows, lips, cheeks and jaw.
EXPRESSIONS = (
    "neutral", "closed smile", "laugh", "jaw dropped", "teeth bared", "nose wrinkled", "lips stretched",
    "corners down", "blink", "wink left", "gaze left", "gaze up", "inner brows up", "pucker", "puff", "jaw left",
)  # fmt: skip


def main():
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {PROGRAM}", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        fromfile_prefix_chars="@",
    )  # fmt: skip
    parser.add_argument("--source", required=True, nargs="+", help="folders of portraits, as for the set")
    parser.add_argument("--output", required=True, help="image file to write")
    add_asset_options(parser)
    parser.add_argument(
        "--people", nargs="+", default=[], metavar="PERSON",
        help="people to show, such as london_014 or 014 (default: 8 of the first source). The smile statistics leave "
        "them out",
    )  # fmt: skip
    parser.add_argument(
        "--expressions", nargs="+", default=list(EXPRESSIONS), metavar="EXPRESSION",
        help="columns of the sheet: expressions, their variants such as 'lip raised', actions such as blink, 'gaze "
        "left', ARKit blendshapes (default: 16 of every kind)",
    )  # fmt: skip
    add_picture_options(parser, size=320)
    parser.add_argument("--seed", type=int, default=0, help="as for the set (%(default)s)")
    options = vars(parser.parse_args())
    with one_line_errors(PROGRAM):
        with optional_packages("portraits need", "portraits"):
            from .sheet import draw_portraits
        check_output(Path(options["output"]), [], overwrite=True)
        draw_portraits(**options)


if __name__ == "__main__":
    main()
