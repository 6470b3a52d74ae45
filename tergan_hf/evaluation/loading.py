"""Load saved models."""

from pathlib import Path

from huggingface_hub import snapshot_download

from ..model.model_loading_tergan import check_model_name, foreseen_loading_errors
from ..model.modeling_tergan import TerGanModel


def load_model(model: str | Path) -> TerGanModel:
    """
    Load a model without its pipeline.

    Args:
        model: folder or Hub id.

    Raises:
        MissingFileError: there is no such model, or it cannot be reached.
        InvalidInputError: the weights are damaged, or do not fit the configuration.
    """
    check_model_name(model)
    with foreseen_loading_errors(model):
        return TerGanModel.from_pretrained(model, use_safetensors=True)


def model_folder(model: str | Path) -> Path:
    """
    The folder of a model. A model on the Hub is downloaded.

    Raises:
        MissingFileError: there is no such model, or it cannot be reached.
        InvalidInputError: the name is that of a file, or empty.
    """
    check_model_name(model)
    if Path(model).is_dir():
        return Path(model)
    with foreseen_loading_errors(model):
        return Path(snapshot_download(str(model)))
