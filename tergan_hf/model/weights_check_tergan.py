"""Checks of saved weights: names and shapes before they are loaded, finite values after."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers.utils import cached_file

from .errors_tergan import InvalidInputError


_HUB_ARGUMENTS = ("cache_dir", "force_download", "local_files_only", "token", "revision", "subfolder", "proxies")
# Older weights lack them. They then say that G_es computes in floats, and that no blendshape can be set.
_OPTIONAL = (".scale", ".activation_ranges", "blendshape_directions")


def check_shapes(network: nn.Module, folder: str | Path, variant: str | None = None, **kwargs):
    """
    Compare the names and shapes of saved tensors with those of a network. Only the headers of the files are read.

    Args:
        network: on the meta device, so that it takes no memory.
        folder: a folder or a model id on the Hub.
        variant: part of the file name, as in `from_pretrained`.
        kwargs: those of `from_pretrained`; the ones about the Hub are used.

    Raises:
        InvalidInputError: a file is damaged, or lacks a tensor, or has one of another shape.
    """
    hub = {name: kwargs[name] for name in _HUB_ARGUMENTS if name in kwargs}
    saved: dict[str, list[int]] = {}
    for file in _weight_files(folder, variant, hub):
        try:
            with safe_open(file, "pt") as tensors:
                saved |= {name: tensors.get_slice(name).get_shape() for name in tensors.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise InvalidInputError(
                f"{folder}: the weights are damaged: {Path(file).name} cannot be read ({error})"
            ) from error
    if not saved:
        return  # `from_pretrained` says what is missing
    own = {name: list(tensor.shape) for name, tensor in network.state_dict().items()}
    missing = sorted(name for name in own.keys() - saved.keys() if not name.endswith(_OPTIONAL))
    if missing:
        raise InvalidInputError(
            f"{folder}: the weights lack {len(missing)} tensors of this model (for example {missing[0]}): the file is "
            "damaged or of another version"
        )
    if wrong := sorted(name for name in own.keys() & saved.keys() if own[name] != saved[name]):
        raise InvalidInputError(
            f"{folder}: the weights do not fit config.json. {wrong[0]} has the shape {saved[wrong[0]]}, and the "
            f"configuration asks for {own[wrong[0]]}"
        )


def check_finite(network: nn.Module, folder: str | Path):
    """
    Raises:
        InvalidInputError: a weight is NaN or infinite.
    """
    for name, tensor in network.state_dict().items():
        # A tensor on `meta` is on disk, or on its way there.
        if tensor.is_floating_point() and not tensor.is_meta and not torch.isfinite(tensor).all():
            raise InvalidInputError(f"{folder}: the weights are damaged. {name} holds values that are not finite")


def _weight_files(folder: str | Path, variant: str | None, hub: dict) -> list[str]:
    stem = f"model.{variant}" if variant else "model"
    quiet = {
        "_raise_exceptions_for_missing_entries": False,
        "_raise_exceptions_for_gated_repo": False,
        "_raise_exceptions_for_connection_errors": False,
    }
    if file := cached_file(str(folder), f"{stem}.safetensors", **hub, **quiet):
        return [file]
    index_name = f"model.safetensors.index{f'.{variant}' if variant else ''}.json"
    index = cached_file(str(folder), index_name, **hub, **quiet)
    if index is None:
        return []
    return [
        file for name in _shard_names(folder, Path(index)) if (file := cached_file(str(folder), name, **hub, **quiet))
    ]


def _shard_names(folder: str | Path, index: Path) -> list[str]:
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInputError(f"{folder}: {index.name} is no index of weights") from error
    for name in names:
        # An index could name any file of the machine.
        if not isinstance(name, str) or Path(name).name != name or "\\" in name or not name.endswith(".safetensors"):
            raise InvalidInputError(f"{folder}: {index.name} names {name!r}, which is no safetensors file beside it")
    return names


__all__ = ["check_finite", "check_shapes"]
