"""Names of devices and saved models, with foreseen errors for those that lead nowhere."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from safetensors import SafetensorError

from .errors_tergan import InvalidInputError, MissingFileError, TerGanError


CONFIG, PROCESSOR = "config.json", "preprocessor_config.json"
# Of the library that huggingface_hub sends its requests with, which depends on its version.
REQUEST_ERROR: type[Exception] = HfHubHTTPError.__mro__[1]
HUB_ID = re.compile(r"([\w.-]+/)?[\w.-]+", re.ASCII)


def choose_device(device: str | int | torch.device | None = None) -> torch.device:
    """
    The device to compute on.

    Args:
        device: default: cuda, else mps, else cpu.

    Raises:
        InvalidInputError: there is no such device on this machine. The message lists the possible ones.
    """
    if device is None:
        return torch.device(available_devices()[-1].partition(":")[0])
    try:
        chosen = torch.device(device.strip().lower() if isinstance(device, str) else device)
        if chosen.type == "meta":
            raise ValueError("it stores no values")
        torch.zeros(1, device=chosen)
        if chosen.type == "mps" and not mps_works():
            raise ValueError("grid_sample without border padding")
    # Every backend raises its own kind of error, also AssertionError and ImportError.
    except Exception as error:
        possible = ", ".join(available_devices())
        raise InvalidInputError(f"device {str(device)!r} cannot be used: this machine has {possible}") from error
    return chosen


def mps_works() -> bool:
    """Whether this PyTorch has all that the model needs on Apple's GPUs: older ones lack border padding in
    `grid_sample` (pytorch/pytorch#125098)."""
    return tuple(int(number) for number in torch.__version__.split(".")[:2]) >= (2, 13)


def one_device(device_map) -> "str | int | torch.device | None":
    """
    The device that a `device_map` of transformers names, `None` for one that leaves the choice (`"auto"`).

    Raises:
        InvalidInputError: it divides the model, which is too small for that.
    """
    if isinstance(device_map, dict):
        if len(set(map(str, device_map.values()))) != 1:
            raise InvalidInputError(f"device_map must name one device for the whole model, got {device_map}")
        device_map = next(iter(device_map.values()))
    return None if device_map in ("auto", "balanced", "balanced_low_0", "sequential") else device_map


def available_devices() -> list[str]:
    """The devices of this machine, the fastest last."""
    devices = ["cpu"]
    if torch.backends.mps.is_available() and mps_works():
        devices.append("mps")
    if torch.cuda.is_available():
        devices += [f"cuda:{number}" for number in reversed(range(torch.cuda.device_count()))]
    return devices


def check_model_name(model: str | Path, *further_files: str):
    """
    Check that a name can be that of a saved model.

    Args:
        model: folder or Hub id.
        further_files: files that the folder needs besides configuration and weights.

    Raises:
        MissingFileError: there is no such folder, or it lacks files; the message lists them.
        InvalidInputError: the name is that of a file, or empty.
    """
    name = os.fspath(model)
    if not name.strip():
        raise InvalidInputError("the name of the model is empty: it must be a folder or an id on the Hub (owner/name)")
    if os.path.isfile(name):
        raise InvalidInputError(f"{name} is a file: name the folder of the model")
    if os.path.isdir(name):
        try:
            found = os.listdir(name)
        except OSError as error:
            raise InvalidInputError(f"{name} cannot be opened ({error.strerror})") from error
        lacking = [file for file in (CONFIG, *further_files) if file not in found]
        if not any(re.fullmatch(r"model.*\.safetensors(\.index\.json)?", file) for file in found):
            lacking.append("model.safetensors")
        if lacking:
            raise MissingFileError(f"{name} holds no complete model: it has no {', '.join(lacking)}")
    elif not HUB_ID.fullmatch(name) or name.startswith("."):
        raise MissingFileError(f"{name} is neither a folder nor an id on the Hub (owner/name)")


@contextmanager
def foreseen_loading_errors(model: str | Path) -> Iterator[None]:
    """
    Reword the errors of transformers, safetensors and huggingface_hub in one sentence that names the model.

    Raises:
        MissingFileError: there is no such model, or it cannot be reached.
        InvalidInputError: the weights are damaged, or do not fit the configuration.
    """
    try:
        yield
    except TerGanError:
        raise
    except (SafetensorError, RuntimeError, UnicodeDecodeError) as error:
        raise InvalidInputError(
            f"{model}: the weights are damaged or do not fit {CONFIG} ({_first_line(error)})"
        ) from error
    except (OSError, HFValidationError, REQUEST_ERROR) as error:
        if os.path.isdir(model):
            raise MissingFileError(f"{model} holds no model that can be loaded: {_first_line(error)}") from error
        raise MissingFileError(
            f"{model} is neither a folder nor a model that can be loaded from the Hub: {_first_line(error)}"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


__all__ = [
    "PROCESSOR", "available_devices", "check_model_name", "choose_device", "foreseen_loading_errors", "one_device",
]  # fmt: skip
