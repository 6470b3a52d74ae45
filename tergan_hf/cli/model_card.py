"""Fill the model card: `python -m tergan_hf.model_card weights/ter-gan`.

`model_card.md` is the template. The numbers come from the `report.json` that `python -m tergan_hf.evaluate` writes, the
training data from `training.yaml`, both beside the weights. The result is their `README.md`.
"""

import argparse
import sys
from pathlib import Path

from ..model.errors_tergan import TerGanError
from ..publishing.card import CARD, build_card


def main(argv: list[str] | None = None):
    parser = argparse.ArgumentParser(prog="python -m tergan_hf.model_card", description=__doc__.splitlines()[0])
    parser.add_argument("weights", nargs="?", default="weights/ter-gan", help="folder with the weights")
    parser.add_argument("--report", help="folder that `python -m tergan_hf.evaluate` wrote; its report.json is copied")
    options = parser.parse_args(argv)
    folder = Path(options.weights)
    try:
        if options.report:
            taken = Path(options.report) / "report.json"
            (folder / "report.json").write_text(taken.read_text(encoding="utf-8"), encoding="utf-8")
        (folder / CARD).write_text(build_card(folder), encoding="utf-8")
    except (TerGanError, OSError) as error:
        sys.exit(f"tergan_hf.model_card: {error}")
    print(f"Wrote {folder / CARD}")


if __name__ == "__main__":
    main()
