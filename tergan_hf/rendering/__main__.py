"""Render people with exactly known expressions from open 3D heads.

`python -m tergan_hf.rendering --source avatars --output rendered` reads a folder of `.glb` heads (for example the
VALID avatars, github.com/c-frame/valid-avatars-glb, MIT licence) and writes parquet files that `datasets` and
`train_accelerate.py` read.
"""

import argparse
import os
import sys

from .avatars import AvatarSettings, render_avatars


def main():
    defaults = AvatarSettings()
    parser = argparse.ArgumentParser(
        prog="python -m tergan_hf.rendering", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", required=True, help="folder with one .glb file per head")
    parser.add_argument("--output", required=True, help="folder for the parquet files; a killed run goes on there")
    parser.add_argument("--people", type=int, default=defaults.people, help="first each head, then blends")
    parser.add_argument("--sittings", type=int, default=defaults.sittings, help="per person")
    parser.add_argument("--photos", type=int, default=defaults.photos, help="per sitting")
    parser.add_argument("--decks", type=int, default=defaults.decks, help="different sets of expressions")
    parser.add_argument("--size", type=int, default=defaults.size, help="side of the photos in pixels")
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--exclude", nargs="*", default=[], metavar="HEAD", help="heads to keep out, for validation")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = vars(parser.parse_args())
    source, output, processes = (options.pop(name) for name in ("source", "output", "processes"))
    settings = AvatarSettings(**{**options, "exclude": tuple(options["exclude"])})
    try:
        count = render_avatars(source, output, settings, processes)
    except (FileNotFoundError, ValueError) as error:
        sys.exit(f"tergan_hf.rendering: {error}")
    print(f"{count} photos in {output}")


if __name__ == "__main__":
    main()
