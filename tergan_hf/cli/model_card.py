"""Write the model card: `python -m tergan_hf.model_card weights/ter-gan`.

Fills the template `model_card.md` and writes `README.md` beside the weights. The numbers come from `report.json`, the
training data from `training.yaml`, both beside the weights. `python -m tergan_hf.evaluate` writes the report.
"""

import argparse

from ..publishing.card import write_card
from .errors import one_line_errors


def main(argv: list[str] | None = None):
    parser = argparse.ArgumentParser(prog="python -m tergan_hf.model_card", description=__doc__.splitlines()[0])
    parser.add_argument("weights", nargs="?", default="weights/ter-gan", help="folder with the weights")
    parser.add_argument(
        "--report", help="folder that `python -m tergan_hf.evaluate` wrote; copies its report.json beside the weights"
    )
    options = parser.parse_args(argv)
    with one_line_errors("tergan_hf.model_card"):
        path = write_card(options.weights, options.report)
        print(f"Wrote {path}")


if __name__ == "__main__":
    main()
