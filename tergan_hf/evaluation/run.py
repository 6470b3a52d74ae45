"""Evaluate a saved model on the sets that it was not trained on."""

import time
from dataclasses import dataclass, field
from pathlib import Path

import torch

from ..model.errors_tergan import InvalidInputError
from ..model.pipeline_tergan import TerGanPipeline
from ..version import __version__
from .digest import weights_digest
from .held_out import RECORD, held_out_sets, read_record, subsample
from .judges import Judges
from .loading import model_folder
from .memory import peak_memory_gib
from .perceptual import PerceptualMetrics
from .suite import Evaluation, Settings
from .systems import baseline_system


@dataclass
class EvaluationOptions:
    """
    What to evaluate.

    Args:
        model: folder or Hub id, with `training.yaml`.
        dataset: names of the run's sets, folders, parquet files or `hub://owner/name`; default: every available set
            that kept somebody out.
        data_root: relative paths of the run's sets start here.
        report: folder for the figures.
        settings: the protocol and its sizes.
        photos: at most this many photos of each set; default: all.
        baseline: G_es after stage 1 to compare with, a file or a model.
        judges: folder with the weights of independent judges.
        perceptual: measure LPIPS and KID.
        device: default: cuda, else mps, else cpu.

    Raises:
        InvalidInputError: the settings contradict each other.
    """

    model: str = "weights/ter-gan"
    dataset: list[str] | None = None
    data_root: str = "data"
    report: str = "runs/evaluation"
    settings: Settings = field(default_factory=Settings)
    photos: int | None = None
    baseline: str | None = None
    judges: str | None = None
    perceptual: bool = True
    device: str | None = None

    def __post_init__(self):
        if self.is_paper and not self.dataset:
            raise InvalidInputError("--protocol oulu-casia needs --dataset, your copy of Oulu-CASIA")
        if self.settings.folds < 2 or self.settings.pairs < 1:
            raise InvalidInputError("--folds must be at least 2 and --pairs at least 1")

    @property
    def is_paper(self) -> bool:
        """Whether the protocol is the paper's."""
        return self.settings.protocol == "oulu-casia"


def evaluate(options: EvaluationOptions) -> dict:
    """
    Measure a model. Figures are written to `options.report`.

    Returns:
        the contents of `report.json` without the command.

    Raises:
        TerGanError: a requested model, data set or judge is missing or does not fit.
    """
    started = time.monotonic()
    torch.manual_seed(0)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    folder = model_folder(options.model)
    pipe = TerGanPipeline.from_pretrained(folder, options.device)
    sets = held_out_sets(folder, options.data_root, options.dataset)
    if options.photos:
        sets = [subsample(held_out, options.photos) for held_out in sets]
    baseline = baseline_system(pipe, options.baseline) if options.baseline else None
    judges = Judges() if options.is_paper else Judges.find(options.judges)
    perceptual = PerceptualMetrics(options.perceptual and not options.is_paper, pipe.model.device)
    output = Path(options.report)
    output.mkdir(parents=True, exist_ok=True)
    settings = options.settings
    measured = Evaluation(pipe, output, settings, baseline, judges, perceptual).run(sets)
    return {
        "model": describe_model(pipe, options.model, folder),
        "version": __version__,
        "settings": {"protocol": settings.protocol, "folds": settings.folds, "pairs": settings.pairs},
        "unavailable": {} if options.is_paper else {**judges.unavailable, **perceptual.unavailable},
        "sets": _rounded(measured),
        "cost": {
            "minutes": round((time.monotonic() - started) / 60, 1),
            "processor_minutes": round(time.process_time() / 60, 1),
            "peak_memory_gib": round(peak_memory_gib(), 2),
            "device": _device_name(pipe.model.device),
        },
    }


def describe_model(pipe: TerGanPipeline, name: str, folder: Path) -> dict:
    """Describe the measured weights."""
    config = pipe.model.config
    record = read_record(folder) if (folder / RECORD).is_file() else {}
    return {
        "name": Path(name).name,
        "sha256": weights_digest(folder),
        "parameters": sum(parameter.numel() for parameter in pipe.model.parameters()),
        "image_size": config.image_size,
        "labels": config.expressions,
        "freeze_expression_encoder": bool(record.get("freeze_expression_encoder", False)),
    }


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{device.type}, {threads} thread{'s' if threads > 1 else ''}"


def _rounded(value):
    """Round all numbers to five digits. NaN becomes `None`."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    if isinstance(value, float):
        return round(value, 5) if value == value else None
    return value
