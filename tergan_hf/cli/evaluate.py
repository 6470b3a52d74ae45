"""Measure a saved model on people it was not trained on: `python -m tergan_hf.evaluate --model weights/ter-gan`.

Writes `report.json`, `report.md` and `figures/` to the folder `--report`.
"""

import argparse
import logging
from pathlib import Path

from ..evaluation.report import write_report
from ..evaluation.run import EvaluationOptions, evaluate
from ..evaluation.suite import PROTOCOLS, Settings
from .errors import one_line_errors
from .outputs import check_writable_folder


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m tergan_hf.evaluate", description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="weights/ter-gan", help="folder or Hub id, with training.yaml")
    parser.add_argument(
        "--dataset", nargs="+", metavar="NAME",
        help="sets of training.yaml (default: every available set that kept somebody out), or a folder, parquet file "
        "or hub://owner/name with people the model has never seen; NAME=PATH names it",
    )  # fmt: skip
    parser.add_argument("--data_root", default="data", help="relative data paths of the run start here")
    parser.add_argument("--report", default="runs/evaluation", help="folder to write to")
    parser.add_argument(
        "--protocol", choices=PROTOCOLS, default="held-out",
        help="oulu-casia: the paper's Table 1, six expressions, eight folds of people, on the given --dataset",
    )  # fmt: skip
    parser.add_argument("--photos", type=int, help="at most this many photos of each set, for a quick look")
    parser.add_argument("--folds", type=int, default=8, help="folds of every cross-validation")
    parser.add_argument("--pairs", type=int, default=210, help="transfers with a ground truth, per set")
    parser.add_argument(
        "--baseline", help="G_es after stage 1 to compare with: stages/expression.safetensors of a run, or a model"
    )
    parser.add_argument("--judges", help="folder with independent judges' weights, see tergan_hf/evaluation/judges.py")
    parser.add_argument("--no-perceptual", action="store_true", help="leave out LPIPS and KID and their downloads")
    parser.add_argument("--device", help="cuda, mps or cpu; default: the fastest available")
    return parser


def main(argv: list[str] | None = None):
    options = build_parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    with one_line_errors("tergan_hf.evaluate"):
        check_writable_folder(options.report)
        report = evaluate(
            EvaluationOptions(
                options.model, options.dataset, options.data_root, options.report,
                Settings(options.protocol, options.folds, options.pairs), options.photos, options.baseline,
                options.judges, not options.no_perceptual, options.device,
            )
        )  # fmt: skip
        print(write_report({"command": recorded_command(options), **report}, options.report))
        print(f"Wrote {Path(options.report) / 'report.json'}, and report.md and figures/ beside it")


def recorded_command(options: argparse.Namespace) -> str:
    """The command for the report, without the folders of this machine."""
    model = options.model if not Path(options.model).is_absolute() else Path(options.model).name
    words = [f"python -m tergan_hf.evaluate --model {model}"]
    if options.dataset:
        words.append("--dataset " + " ".join(Path(name).name for name in options.dataset))
    if options.photos:
        words.append(f"--photos {options.photos}")
    parser = build_parser()
    for name in ("protocol", "folds", "pairs"):
        if (value := getattr(options, name)) != parser.get_default(name):
            words.append(f"--{name} {value}")
    if options.no_perceptual:
        words.append("--no-perceptual")
    if options.judges:
        words.append("--judges FOLDER")
    if options.baseline:
        words.append("--baseline FILE")
    return " ".join(words)


if __name__ == "__main__":
    main()
