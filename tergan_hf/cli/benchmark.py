"""Build the benchmark of people kept out, or score a system on it.

`python -m tergan_hf.benchmark build --heads data/heads_validation --portraits data/portraits --output data/benchmark`
writes it, `python -m tergan_hf.benchmark score --dataset data/benchmark --model weights/ter-gan` scores a model, and
`score --results FOLDER` the saved results of any other system.
"""

import argparse
import json
import logging
from pathlib import Path

from ..evaluation.benchmark import score_model, score_results
from ..evaluation.benchmark_set import BenchmarkSettings, build_benchmark
from ..evaluation.digest import weights_digest
from ..evaluation.judges import Judges
from ..evaluation.loading import model_folder
from ..evaluation.markdown import markdown_table
from ..model.atomic_file_tergan import write_whole
from ..model.pipeline_tergan import TerGanPipeline
from .errors import one_line_errors
from .outputs import check_output


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m tergan_hf.benchmark", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="write the benchmark from built sets")
    build.add_argument("--heads", required=True, help="a built set `avatars` of heads that nothing is trained on")
    build.add_argument("--portraits", required=True, help="a built set `portraits` with a split `validation`")
    build.add_argument("--output", required=True, help="folder to write")
    settings = BenchmarkSettings()
    build.add_argument("--pairs", type=int, default=settings.pairs, help="transfers of each kind of faces")
    build.add_argument("--per-label", type=int, default=settings.per_label, help="photos of each label and kind")
    build.add_argument("--seed", type=int, default=settings.seed)
    score = commands.add_parser("score", help="score a model, or saved results")
    score.add_argument("--dataset", required=True, help="the benchmark: a folder or hub://owner/name")
    system = score.add_mutually_exclusive_group(required=True)
    system.add_argument("--model", help="folder or Hub id")
    system.add_argument("--results", help="folder with transfer_heads/0000.png … and recognition_heads.csv")
    score.add_argument("--judges", help="folder with SFace, see tergan_hf/evaluation/judges.py; default: from the Hub")
    score.add_argument("--output", help="JSON file to write; tergan_hf.model_card takes it with --benchmark")
    score.add_argument("--overwrite", action="store_true", help="replace an existing --output")
    score.add_argument("--device", help="cuda, mps or cpu; default: the fastest available")
    return parser


def main(argv: list[str] | None = None):
    options = build_parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    with one_line_errors("tergan_hf.benchmark"):
        if options.command == "build":
            settings = BenchmarkSettings(options.pairs, options.per_label, options.seed)
            rows = build_benchmark(options.heads, options.portraits, options.output, settings)
            print(f"Wrote {options.output}: " + ", ".join(f"{name} {count}" for name, count in rows.items()))
            return
        if options.output:
            check_output(Path(options.output), [], options.overwrite)
        judges = Judges.find(options.judges)
        if options.results:
            scores = score_results(options.dataset, options.results, judges)
        else:
            folder = model_folder(options.model)
            scores = score_model(options.dataset, TerGanPipeline.from_pretrained(folder, options.device), judges)
            scores = {"sha256": weights_digest(folder), **scores}
        table = [
            [name, one["metric"], f"{one['value']:.4f}", str(one["rows"])] for name, one in scores["tasks"].items()
        ]
        print(markdown_table(["task", "metric", "value", "rows"], table))
        if judges.identity is None:
            print(f"identity is not measured: SFace is missing, {judges.unavailable.get('SFace', '')}")
        if options.output:
            write_whole(Path(options.output), (json.dumps(scores, indent=1, ensure_ascii=False) + "\n").encode())
            print(f"Wrote {options.output}")


if __name__ == "__main__":
    main()
