"""Write the model card: `python -m tergan_hf.model_card weights/ter-gan`.

Fills the template `model_card.md` and writes `README.md` beside the weights. The numbers come from `report.json`, the
training data from `training.yaml`, both beside the weights. `python -m tergan_hf.evaluate` writes the report. With
`--examples` the weights first make the answers and pictures that the card shows, in some minutes on a CPU.
"""

import argparse

from ..model.errors_tergan import InvalidInputError
from ..publishing.card import write_card
from ..publishing.card_examples import write_examples
from ..publishing.emissions import write_compute_record
from ..publishing.eval_results import add_scores
from .errors import one_line_errors


def main(argv: list[str] | None = None):
    parser = argparse.ArgumentParser(prog="python -m tergan_hf.model_card", description=__doc__.splitlines()[0])
    parser.add_argument("weights", nargs="?", default="weights/ter-gan", help="folder with the weights")
    parser.add_argument(
        "--report", help="folder that `python -m tergan_hf.evaluate` wrote; copies its report.json beside the weights"
    )
    parser.add_argument(
        "--examples",
        action="store_true",
        help="run the weights on the example photos, for the card's widget and gallery",
    )
    parser.add_argument(
        "--benchmark", metavar="FILE", help="scores that tergan_hf.benchmark wrote; copies them beside the weights"
    )
    parser.add_argument("--base-model", metavar="OWNER/NAME", help="model on the Hub that the run started from")
    parser.add_argument(
        "--compute", nargs="+", metavar="KEY=VALUE",
        help="hours and hardware of a run whose compute.yaml is missing, for example hours=7.4 cores=2 memory_gb=23 "
        '"hardware=2 cores of an AMD EPYC"',
    )  # fmt: skip
    options = parser.parse_args(argv)
    with one_line_errors("tergan_hf.model_card"):
        if options.compute:
            write_compute_record(options.weights, dict(_key_and_value(pair) for pair in options.compute))
        if options.benchmark:
            add_scores(options.weights, options.benchmark)
        if options.examples:
            write_examples(options.weights)
        path = write_card(options.weights, options.report, options.base_model)
        print(f"Wrote {path}")


def _key_and_value(pair: str) -> tuple[str, object]:
    key, separator, value = pair.partition("=")
    if not separator:
        raise InvalidInputError(f"--compute needs KEY=VALUE, got {pair!r}")
    try:
        return key, float(value)
    except ValueError:
        return key, value


if __name__ == "__main__":
    main()
