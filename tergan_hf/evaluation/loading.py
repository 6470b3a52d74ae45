"""Load saved models, with foreseen errors for names that lead nowhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError

from ..model.errors_tergan import MissingFileError, TerGanError
from ..model.modeling_tergan import TerGanModel
from ..model.pipeline_tergan import TerGanPipeline


def load_pipeline(model: str | Path, device: str | torch.device | None = None) -> TerGanPipeline:
    """
    Load a pipeline.

    Args:
        model: folder or Hub id.
        device: default: cuda, else mps, else cpu.

    Raises:
        MissingFileError: there is no such model, or it cannot be reached.
        InvalidInputError: the weights are damaged, incomplete, or do not fit the configuration.
    """
    with _foreseen_errors(model):
        return TerGanPipeline.from_pretrained(model, device)


def load_model(model: str | Path) -> TerGanModel:
    """
    Load a model without its pipeline.

    Args:
        model: folder or Hub id.

    Raises:
        MissingFileError: there is no such model, or it cannot be reached.
    """
    with _foreseen_errors(model):
        return TerGanModel.from_pretrained(model, use_safetensors=True)


def model_folder(model: str | Path) -> Path:
    """
    The folder of a model. A model on the Hub is downloaded.

    Raises:
        MissingFileError: there is no such model, or it cannot be reached.
    """
    if Path(model).is_dir():
        return Path(model)
    with _foreseen_errors(model):
        return Path(snapshot_download(str(model)))


@contextmanager
def _foreseen_errors(model: str | Path) -> Iterator[None]:
    """Reword the errors of transformers and huggingface_hub about a missing model in one sentence."""
    try:
        yield
    except TerGanError:
        raise
    except (OSError, HFValidationError) as error:
        reason = str(error).splitlines()[0]
        if Path(model).is_dir():
            raise MissingFileError(f"{model} holds no complete model: {reason}") from error
        raise MissingFileError(f"{model} is neither a folder nor a model that can be loaded: {reason}") from error
