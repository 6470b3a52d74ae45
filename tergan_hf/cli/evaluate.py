"""Measure a saved model on people it was not trained on: `python -m tergan_hf.evaluate --model weights/ter-gan`.

Writes `report.json`, `report.md` and `figures/` to the folder `--report` names.
"""

import argparse
import json
import logging
import sys
from pathlib import Path

from ..evaluation.report import write_markdown
from ..evaluation.run import EvaluationOptions, evaluate
from ..evaluation.suite import PROTOCOLS, Settings
from ..model.errors_tergan import TerGanError


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tergan_hf.evaluate", description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="weights/ter-gan", help="folder or Hub id, with training.yaml")
    parser.add_argument(
        "--dataset", nargs="+", metavar="NAME",
        help="sets of training.yaml (default: all that kept somebody out and are there), or a folder, parquet file or "
        "hub://owner/name with people the model has never seen; NAME=PATH gives it a name",
    )  # fmt: skip
    parser.add_argument("--data_root", default="data", help="folder the run's data paths start from")
    parser.add_argument("--report", default="runs/evaluation", help="folder to write to")
    parser.add_argument(
        "--protocol", choices=PROTOCOLS, default="held-out",
        help="oulu-casia: the paper's Table 1, six expressions, eight folds of people, on the --dataset given",
    )  # fmt: skip
    parser.add_argument("--photos", type=int, help="at most so many of each set, for a quick look; default: all")
    parser.add_argument("--folds", type=int, default=8, help="of every cross-validation")
    parser.add_argument("--pairs", type=int, default=210, help="transfers between rendered people")
    parser.add_argument(
        "--baseline", help="stage 1's G_es to compare with: stages/expression.safetensors of a run, or a model"
    )
    parser.add_argument("--judges", help="folder with independent judges' weights, see tergan_hf/evaluation/judges.py")
    parser.add_argument("--no-perceptual", action="store_true", help="leave LPIPS and KID out, download nothing")
    parser.add_argument("--device", help="cuda, mps or cpu; default: the best there is")
    return parser


def main(argv: list[str] | None = None):
    options = build_parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    settings = Settings(options.protocol, options.folds, options.pairs)
    try:
        report = evaluate(
            EvaluationOptions(
                options.model, options.dataset, options.data_root, options.report, settings, options.photos,
                options.baseline, options.judges, not options.no_perceptual, options.device,
            )
        )  # fmt: skip
    except TerGanError as error:
        # Foreseen: missing data or weights. The message says which.
        sys.exit(f"tergan_hf.evaluate: {error}")
    report = {"command": "python -m tergan_hf.evaluate " + " ".join(_told(options)), **report}
    output = Path(options.report)
    (output / "report.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    markdown = write_markdown(report)
    (output / "report.md").write_text(markdown, encoding="utf-8")
    print(markdown)
    print(f"Wrote {output / 'report.json'}, report.md and figures/ beside it")


def _told(options: argparse.Namespace) -> list[str]:
    """What was asked for, without the folders of this machine."""
    told = [f"--model {options.model if not Path(options.model).is_absolute() else Path(options.model).name}"]
    if options.dataset:
        told.append("--dataset " + " ".join(Path(name).name for name in options.dataset))
    if options.photos:
        told.append(f"--photos {options.photos}")
    if options.protocol != "held-out":
        told.append(f"--protocol {options.protocol}")
    return told + ["--judges FOLDER"] * bool(options.judges) + ["--baseline FILE"] * bool(options.baseline)


if __name__ == "__main__":
    main()
