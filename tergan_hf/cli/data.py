"""Turn a public or licensed source into a training set.

`python -m tergan_hf.data NAME --source DIR --output DIR` writes parquet files with a dataset card.
`datasets.load_dataset("DIR")` and `train_accelerate.py` read them. Repeat the command to continue a killed run. The
same source, options and seed give the same bytes.
"""

import argparse
import os
import sys
import textwrap
from pathlib import Path

from ..clips import clip_set
from ..data import sets
from ..data.building import BuildError, build_set
from ..model.errors_tergan import InvalidInputError, TerGanError, is_disk_full
from ..portraits import mediapipe_set, portrait_set
from ..rendering import avatar_set, posed_set
from .errors import one_line_errors
from .outputs import check_writable_folder


PROGRAM = "tergan_hf.data"
SETS = {
    one.DESCRIPTION.name: one for one in (avatar_set, posed_set, portrait_set, clip_set, mediapipe_set)
} | sets.SETS


def main():
    """Run the command."""
    options = vars(parse_arguments())
    name, source, output, processes = (options.pop(key) for key in ("name", "source", "output", "processes"))
    module = SETS[name]
    with one_line_errors(PROGRAM, again=f"repeat the command to continue {output}"):
        try:
            check_writable_folder(output)
            layout = module.DESCRIPTION.layout
            if takes_several(module):
                source = [existing_source(one, layout) for one in source]
            else:
                source = existing_source(source, layout)
            plan = module.plan(source, options)
            for sentence in plan.missing:
                print(f"missing: {sentence}", file=sys.stderr)
            for sentence in plan.notes:
                print(f"note: {sentence}", file=sys.stderr)
            built = build_set(plan, output, processes)
        except OSError as error:
            if is_disk_full(error) or isinstance(error, TerGanError):
                raise
            raise BuildError(str(error)) from error
        if built.left_out:
            print(f"missing: no face was found in {len(built.left_out)} photos; the card names them", file=sys.stderr)
        parts = ", ".join(f"{rows} {module.DESCRIPTION.unit}s for {split}" for split, rows in built.rows.items())
        print(f"{output}: {parts}. {Path(output) / 'README.md'} describes them.")


def parse_arguments() -> argparse.Namespace:
    """Parse the command line. Every set has its own options."""
    parser = argparse.ArgumentParser(
        prog="python -m tergan_hf.data", description=__doc__, epilog=list_sets(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    sets = parser.add_subparsers(dest="name", required=True, metavar="NAME", help="one of the sets below")
    for name, module in SETS.items():
        about = module.DESCRIPTION
        one = sets.add_parser(
            name, prog=f"python -m tergan_hf.data {name}", formatter_class=argparse.RawDescriptionHelpFormatter,
            description=describe(about), epilog=about.citation, fromfile_prefix_chars="@",
        )  # fmt: skip
        several = {"nargs": "+"} if takes_several(module) else {}
        one.add_argument("--source", required=True, help="folder or table of the source", **several)
        one.add_argument("--output", required=True, help="folder for the set; a killed run continues there")
        one.add_argument("--seed", type=int, default=0, help="seed of random choices and of the order (%(default)s)")
        one.add_argument(
            "--processes", type=int, default=os.cpu_count() or 1, help="number of processes (%(default)s)"
        )
        module.add_options(one)
    return parser.parse_args()


def takes_several(module) -> bool:
    """Whether a set is made from several sources at once."""
    return getattr(module, "SEVERAL_SOURCES", False)


def existing_source(source: str, layout: str) -> Path:
    """Check the path of a source.

    Raises:
        InvalidInputError: it does not exist, is an empty folder, or is a file but not a table.
    """
    path = Path(source)
    if not path.exists():
        raise InvalidInputError(f"there is no {source}: expected {layout}")
    if path.is_dir() and not any(path.iterdir()):
        raise InvalidInputError(f"{source} is empty: expected {layout}")
    if path.is_file() and path.suffix.lower() != ".csv":
        raise InvalidInputError(f"{source} is a file: expected a folder with {layout}; unpack an archive first")
    return path


def describe(about) -> str:
    """Title, licence and layout of a set in a few lines."""
    parts = [f"{about.title}: {about.home}", f"Licence: {about.licence}", f"Source: {about.layout}"]
    return "\n".join(textwrap.fill(part, 100, break_long_words=False, break_on_hyphens=False) for part in parts)


def list_sets() -> str:
    """All sets with licence and citation, for `--help`."""
    blocks = []
    for name, module in SETS.items():
        about = module.DESCRIPTION
        lines = f"{describe(about)}\n{about.citation}".strip()
        blocks.append(f"{name}\n{textwrap.indent(lines, '    ')}")
    return "sets (python -m tergan_hf.data NAME --help shows the options):\n\n" + "\n\n".join(blocks)


if __name__ == "__main__":
    main()
