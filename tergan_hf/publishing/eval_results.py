"""Scores on a benchmark of the Hub, in the files that it reads: `.eval_results/*.yaml` of a model's repository."""

from pathlib import Path

import yaml
from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

from ..evaluation.digest import weights_digest
from ..model.atomic_file_tergan import write_whole
from ..model.errors_tergan import InvalidInputError, MissingFileError
from .mapping_files import read_mapping


FOLDER = ".eval_results"
SCORES = "benchmark.json"  # beside the weights; `python -m tergan_hf.benchmark score` writes it


def read_scores(weights: str | Path) -> dict | None:
    """
    The scores beside the weights, or `None` if there are none.

    Raises:
        InvalidInputError: they were measured with other weights.
    """
    path = Path(weights) / SCORES
    if not path.is_file():
        return None
    scores = read_mapping(path)
    if scores.get("sha256") != weights_digest(weights):
        raise InvalidInputError(
            f"{path} was made with other weights: run python -m tergan_hf.benchmark score again, or remove it"
        )
    return scores


def add_scores(weights: str | Path, file: str | Path):
    """
    Copy a file of scores beside the weights that they belong to.

    Raises:
        MissingFileError: there is no such file.
        InvalidInputError: it was measured with other weights.
    """
    if not Path(file).is_file():
        raise MissingFileError(f"{file} is missing: python -m tergan_hf.benchmark score writes it")
    if read_mapping(Path(file)).get("sha256") != weights_digest(weights):
        raise InvalidInputError(f"{file} was made with other weights than those in {weights}")
    write_whole(Path(weights) / SCORES, Path(file).read_bytes())


def write_eval_results(weights: str | Path, repository: str | Path, benchmark: str) -> Path:
    """
    Write the scores of some weights as `.eval_results/NAME.yaml`.

    Args:
        weights: folder with `benchmark.json`.
        repository: folder of the model's repository.
        benchmark: the benchmark's id on the Hub, `owner/name`.

    Raises:
        MissingFileError: the weights have no scores.
        InvalidInputError: they were measured with other weights.
    """
    scores = read_scores(weights)
    if scores is None:
        raise MissingFileError(
            f"{Path(weights) / SCORES} is missing: python -m tergan_hf.benchmark score --output measures the scores, "
            "python -m tergan_hf.model_card --benchmark puts them there"
        )
    notes = "test-time augmentation"
    entries = [
        EvalResultEntry(benchmark, task, value["value"], notes=notes, date=scores.get("date"))
        for task, value in scores["tasks"].items()
    ]
    path = Path(repository) / FOLDER / f"{benchmark.split('/')[-1]}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False), encoding="utf-8")
    return path
