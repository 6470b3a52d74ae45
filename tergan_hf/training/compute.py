"""The hours and hardware of a run, from which its carbon emissions can be estimated."""

import json
import os
import platform
from pathlib import Path

import psutil
import torch
import yaml
from accelerate import Accelerator

from ..model.atomic_file_tergan import write_whole
from .arguments import TrainingArguments


RECORD = "compute.yaml"  # beside the weights
HOURS = "hours.json"  # in the run's folder: seconds of each stage
STAGES = ("expression_stage", "identity_stage", "generator_stage")


def note_seconds(arguments: TrainingArguments, stage: str, seconds: float | None):
    """Note how long the steps of a finished stage took, also before the run was resumed. `None`: not known."""
    path = Path(arguments.output_dir) / HOURS
    write_whole(path, json.dumps({**_noted_seconds(path), stage: seconds}).encode())


def _noted_seconds(path: Path) -> dict:
    """Seconds by stage. Those of a damaged file are not known."""
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return {}


def describe_compute(arguments: TrainingArguments, accelerator: Accelerator) -> dict | None:
    """
    Describe what the run computed on.

    Returns:
        `hours` of all steps, `processes` that each took batches of their own, `hardware` in words, `cores` and
        `memory_gb` of the machine, with GPUs also `gpus` and `gpu`, and `training_type`, the Hub's pre-training or
        fine-tuning. `None` if the hours of a stage are unknown.
    """
    noted = _noted_seconds(Path(arguments.output_dir) / HOURS)
    stages = [stage for stage in STAGES if getattr(arguments, stage).steps]
    if not stages or not all(noted.get(stage) for stage in stages):
        return None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    described: dict = {
        "hours": round(sum(noted[stage] for stage in stages) / 3600, 4),
        "processes": accelerator.num_processes,
        "hardware": f"{cores} core{'s' if cores > 1 else ''} of {_processor_name()}",
        "cores": cores,
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
    }
    if accelerator.device.type == "cuda":
        name, count = torch.cuda.get_device_name(accelerator.device), accelerator.num_processes
        described |= {"hardware": f"{count} × {name}", "gpus": count, "gpu": name}
    return described | {"training_type": "fine-tuning" if arguments.pretrained else "pre-training"}


def write_compute(described: dict | None, folder: str | Path):
    """Write `compute.yaml` beside the weights, if the compute is known."""
    if described:
        (Path(folder) / RECORD).write_text(yaml.safe_dump(described, sort_keys=False, allow_unicode=True))


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()
