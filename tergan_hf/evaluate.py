"""Measure a saved model on people it was not trained on: `python -m tergan_hf.evaluate --model weights/ter-gan`.

Writes `report.json`, `report.md` and `figures/` to the folder `--report` names.
"""

import argparse
import json
import logging
import sys
import time
from pathlib import Path

import torch
from huggingface_hub import snapshot_download

from .evaluation.held_out import held_out_sets, thin_out
from .evaluation.judges import Judges
from .evaluation.memory import peak_memory_gib
from .evaluation.perceptual import PerceptualMetrics
from .evaluation.report import write_markdown
from .evaluation.suite import PROTOCOLS, Evaluation, Settings
from .evaluation.systems import baseline_system
from .model_card import weights_digest
from .pipeline_tergan import TerGanPipeline
from .version import __version__


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
    try:
        report = evaluate(options)
    except (OSError, ValueError, ImportError) as error:
        # Missing data or weights: the message says which.
        sys.exit(f"tergan_hf.evaluate: {error}")
    output = Path(options.report)
    (output / "report.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    markdown = write_markdown(report)
    (output / "report.md").write_text(markdown, encoding="utf-8")
    print(markdown)
    print(f"Wrote {output / 'report.json'}, report.md and figures/ beside it")


def evaluate(options: argparse.Namespace) -> dict:
    """
    Everything `report.json` holds.

    Raises:
        OSError, ValueError, ImportError: a model, data set or judge that was asked for is not there, or does not fit.
    """
    if options.protocol == "oulu-casia" and not options.dataset:
        raise ValueError("--protocol oulu-casia needs --dataset, your copy of Oulu-CASIA")
    if options.folds < 2 or options.pairs < 1:
        raise ValueError("--folds must be at least 2 and --pairs at least 1")
    begun = time.monotonic()
    torch.manual_seed(0)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    folder = Path(options.model)
    if not folder.is_dir():
        folder = Path(snapshot_download(options.model))
    pipe = TerGanPipeline.from_pretrained(folder, device=options.device)
    sets = held_out_sets(folder, options.data_root, options.dataset)
    if options.photos:
        sets = [thin_out(held_out, options.photos) for held_out in sets]
    baseline = baseline_system(pipe, options.baseline) if options.baseline else None
    paper = options.protocol == "oulu-casia"
    judges = Judges() if paper else Judges.find(options.judges)
    perceptual = PerceptualMetrics(not (paper or options.no_perceptual), pipe.model.device)
    output = Path(options.report)
    output.mkdir(parents=True, exist_ok=True)
    settings = Settings(options.protocol, options.folds, options.pairs)
    measured = Evaluation(pipe, output, settings, baseline, judges, perceptual).run(sets)
    return {
        "model": describe_model(pipe, options.model, folder),
        "command": "python -m tergan_hf.evaluate " + " ".join(_told(options)),
        "version": __version__,
        "settings": {"protocol": options.protocol, "folds": settings.folds, "pairs": settings.pairs},
        "unavailable": {} if paper else {**judges.unavailable, **perceptual.unavailable},
        "sets": _rounded(measured),
        "cost": {
            "minutes": round((time.monotonic() - begun) / 60, 1),
            "processor_minutes": round(time.process_time() / 60, 1),
            "peak_memory_gib": round(peak_memory_gib(), 2),
            "device": _device_name(pipe.model.device),
        },
    }


def describe_model(pipe: TerGanPipeline, name: str, folder: Path) -> dict:
    """Which weights were measured."""
    config = pipe.model.config
    return {
        "name": Path(name).name,
        "sha256": weights_digest(folder),
        "parameters": sum(parameter.numel() for parameter in pipe.model.parameters()),
        "image_size": config.image_size,
        "labels": config.expressions,
        "freeze_expression_encoder": config.freeze_expression_encoder,
    }


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


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {torch.get_num_threads()} threads"


def _rounded(value, digits: int = 5):
    """Plain values; what cannot be told (NaN) is null."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    if isinstance(value, float):
        return round(value, digits) if value == value else None
    return value


if __name__ == "__main__":
    main()
