"""Writing a trained model in the precision that its file has."""

import shutil
from pathlib import Path

import torch
import yaml

from ..model.image_processing_tergan import TerGanImageProcessor
from ..model.modeling_tergan import TerGanModel
from ..model.quantization_tergan import INTEGERS, ScaledConv2d
from .arguments import TrainingArguments


def round_to_file_precision(model: TerGanModel):
    """Round all weights to what `save_model` writes, in place, so that what is fitted next fits the loaded model."""
    model.load_state_dict({name: _halve(value) for name, value in model.state_dict().items()})


def save_model(model: TerGanModel, arguments: TrainingArguments, kept_out: dict[str, list[str]], folder: str | Path):
    """
    Write what `from_pretrained` reads, and `training.yaml` with the arguments of the run and who was kept out.

    The file holds half-precision numbers, and 8-bit integers for quantised weights. `config.json` says float32, the
    type they are loaded as.

    Args:
        kept_out: for each set the names of the groups that were kept out of training.
    """
    finished = Path(folder)
    # Written aside, so that `folder` never holds half a model.
    folder = finished.with_name(f"{finished.name}.unfinished")
    shutil.rmtree(folder, ignore_errors=True)
    model.to(memory_format=torch.contiguous_format)
    stored = {name: _halve(value) for name, value in model.state_dict().items()}
    for name, layer in model.named_modules():
        is_whole = isinstance(layer, ScaledConv2d) and torch.equal(
            layer.weight, layer.weight.round().clamp(-INTEGERS, INTEGERS)
        )
        if is_whole:
            stored[f"{name}.weight"] = layer.weight.to(torch.int8)
    model.save_pretrained(folder, state_dict=stored)
    # safetensors makes files that nobody else can read, whatever the umask.
    (folder / "model.safetensors").chmod((folder / "config.json").stat().st_mode)
    size = model.config.image_size
    TerGanImageProcessor(size={"height": size, "width": size}).save_pretrained(folder)
    record = {**arguments.to_dict(), "kept_out": kept_out}
    for name in ("pretrained", "pretrained_run"):
        record[name] = _without_folders(record[name])
    for source in record["sources"]:
        for name in ("path", "validation_path", "validation_groups"):
            if isinstance(source[name], str) and Path(source[name]).is_absolute():
                source[name] = Path(source[name]).name
    publishing = ("push_to_hub", "hub_model_id", "hub_private_repo")
    for of_one_machine in ("data_root", "output_dir", "resume_from_checkpoint", *publishing):
        del record[of_one_machine]
    (folder / "training.yaml").write_text(yaml.safe_dump(record, sort_keys=False))
    if finished.exists():
        shutil.rmtree(finished)
    folder.rename(finished)


def _without_folders(saved: str | None) -> str | None:
    """The name of a saved model without the folders of one machine; an id on the Hub stays."""
    return Path(saved).name if saved and Path(saved).exists() else saved


def _halve(tensor: torch.Tensor) -> torch.Tensor:
    """float16 if that holds every value, else unchanged."""
    half = tensor.half() if tensor.is_floating_point() else tensor
    return half if half.isfinite().all() else tensor
