"""The model card of saved weights, filled from the files beside them."""

import json
from pathlib import Path

import yaml
from jinja2 import Environment, StrictUndefined

from ..data.known_sets import known_set
from ..evaluation.digest import weights_digest
from ..model.atomic_file_tergan import write_whole
from ..model.configuration_tergan import TerGanConfig
from ..model.errors_tergan import InvalidInputError, MissingFileError
from .card_examples import read_examples
from .card_header import PAPER, card_data
from .card_tables import benchmark_table, result_tables, training_table
from .emissions import emissions_of, read_compute
from .eval_results import read_scores
from .mapping_files import read_mapping


TEMPLATE = Path(__file__).resolve().parents[2] / "model_card.md"
CARD = "README.md"
REPORT = "report.json"
NOTES = "notes.yaml"
# Stands for the id of the model in a card that is not published yet.
MODEL_ID = "me/ter-gan"


class ReportMismatchError(InvalidInputError):
    """A report that was made with other weights than those it is used for."""


def write_card(folder: str | Path, report_folder: str | Path | None = None, base_model: str | None = None) -> Path:
    """
    Write the card of saved weights to `README.md` beside them.

    Args:
        folder: the weights, as for `build_card`.
        report_folder: folder that the evaluation wrote. Its `report.json` is copied beside the weights.
        base_model: as for `build_card`.

    Returns:
        path of the card.

    Raises:
        MissingFileError, ReportMismatchError: as for `build_card`.
    """
    folder = Path(folder)
    report = folder / REPORT
    if report_folder is not None:
        report = Path(report_folder) / REPORT
        if not report.is_file():
            raise MissingFileError(f"{report} is missing: `python -m tergan_hf.evaluate --report` writes it")
    card = build_card(folder, report, base_model=base_model)
    if report_folder is not None:
        write_whole(folder / REPORT, report.read_bytes())
    write_whole(folder / CARD, card.encode("utf-8", "backslashreplace"))
    return folder / CARD


def build_card(folder: str | Path, report: str | Path | None = None, base_model: str | None = None) -> str:
    """
    Fill the card of saved weights.

    Args:
        folder: holds the weights and `config.json`, and if available `training.yaml` and `notes.yaml`, the footnotes
            by set, and under `training` how the weights came about if `training.yaml` does not tell all of it;
            `compute.yaml`, the hours and the hardware of the run; `examples.json`, as `write_examples` writes it; and
            `benchmark.json`, as `python -m tergan_hf.benchmark score` writes it.
        report: path of the report; default: `report.json` in `folder`, if there is one.
        base_model: the model on the Hub that the run started from; default: as `training.yaml` names it.

    Raises:
        MissingFileError: there is no `config.json`, or no template.
        ReportMismatchError: the report was made with other weights.
        InvalidInputError: `benchmark.json` was made with other weights, or `compute.yaml` holds a wrong number.
    """
    folder = Path(folder)
    for path in (folder / "config.json", TEMPLATE):
        if not path.is_file():
            raise MissingFileError(f"{path} is missing: a model card cannot be made without it")
    config = TerGanConfig.from_pretrained(folder)
    record = _read(folder / "training.yaml", yaml.safe_load) or {}
    notes = _read(folder / NOTES, yaml.safe_load) or {}
    report_path = Path(report or folder / REPORT)
    results = _read(report_path, json.loads)
    if results and results["model"]["sha256"] != weights_digest(folder):
        raise ReportMismatchError(
            f"{report_path} was made with other weights than those in {folder}: run python -m tergan_hf.evaluate again"
        )
    record.setdefault("preset", config.decoder_type)
    examples, scores = read_examples(folder), read_scores(folder)
    emissions = emissions_of(read_compute(folder))
    header = card_data(title_of(record), record, results, examples, emissions, base_model)
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        title=title_of(record),
        model_id=MODEL_ID,
        paper=PAPER,
        base_model=header.base_model or ("other weights" if record.get("pretrained") else None),
        label="surprise" if "surprise" in config.expressions else config.expressions[0],
        gallery=examples.gallery,
        emissions=emissions,
        config=config,
        record=record,
        report=results,
        training_note=notes.get("training", "`training.yaml` has the arguments of the run."),
        known_sets=_known_sets(record),
        card_data=header.to_yaml(),
        tables={
            "training": training_table(record),
            "benchmark": benchmark_table(scores) if scores else "",
            **(result_tables(results, notes, bool(record.get("freeze_expression_encoder"))) if results else {}),
        },
    )


def title_of(record: dict) -> str:
    """The title of a card, from the record of the run."""
    return f"TER-GAN ({record['preset']})"


def _known_sets(record: dict) -> set[str]:
    """Hub names of the known sets that a run was trained on."""
    known = (known_set(source["path"]) for source in record.get("sources", []))
    return {one.hub_name for one in known if one}


def _read(path: Path, parse):
    return read_mapping(path, parse) if path.is_file() else None
