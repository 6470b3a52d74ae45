"""The model card of saved weights, filled from the files beside them."""

import json
from pathlib import Path

import yaml
from huggingface_hub import EvalResult, ModelCardData
from jinja2 import Environment, StrictUndefined

from ..data.known_sets import known_set
from ..evaluation.digest import weights_digest
from ..model.atomic_file_tergan import write_whole
from ..model.configuration_tergan import TerGanConfig
from ..model.errors_tergan import InvalidInputError, MissingFileError
from .card_tables import result_tables, training_table


TEMPLATE = Path(__file__).resolve().parents[2] / "model_card.md"
CARD = "README.md"
REPORT = "report.json"
NOTES = "notes.yaml"
TAGS = [
    "facial-expression-transfer", "facial-expression-editing", "facial-expression-recognition", "image-classification",
    "gan",
]  # fmt: skip
TRANSFER_RESULTS = {"gain": "expression gain", "psnr": "PSNR, dB", "to_target": "SFace to the target"}
EDITING_RESULTS = {"cosine": "SFace to the photo before the edit", "judged": "edits recognised as the label"}


class ReportMismatchError(InvalidInputError):
    """A report that was made with other weights than those it is used for."""


def write_card(folder: str | Path, report_folder: str | Path | None = None) -> Path:
    """
    Write the card of saved weights to `README.md` beside them.

    Args:
        folder: the weights, as for `build_card`.
        report_folder: folder that the evaluation wrote. Its `report.json` is copied beside the weights.

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
    card = build_card(folder, report)
    if report_folder is not None:
        write_whole(folder / REPORT, report.read_bytes())
    write_whole(folder / CARD, card.encode("utf-8", "backslashreplace"))
    return folder / CARD


def build_card(folder: str | Path, report: str | Path | None = None, template: str | Path = TEMPLATE) -> str:
    """
    Fill the card of saved weights.

    Args:
        folder: holds the weights and `config.json`, and if available `training.yaml` and `notes.yaml`, the footnotes
            by set, and under `training` how the weights came about if `training.yaml` does not tell all of it.
        report: path of the report; default: `report.json` in `folder`, if there is one.

    Raises:
        MissingFileError: there is no `config.json`, or no template.
        ReportMismatchError: the report was made with other weights.
    """
    folder = Path(folder)
    for path in (folder / "config.json", Path(template)):
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
    title = f"TER-GAN ({record['preset']})"
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    return environment.from_string(Path(template).read_text(encoding="utf-8")).render(
        title=title,
        config=config,
        record=record,
        report=results,
        training_note=notes.get("training", "`training.yaml` has the arguments of the run."),
        known_sets=_known_sets(record),
        card_data=card_data(title, record, results).to_yaml(),
        tables={"training": training_table(record), **(result_tables(results, notes) if results else {})},
    )


def card_data(title: str, record: dict, report: dict | None) -> ModelCardData:
    """The header of the card. `model-index` has the report's numbers."""
    results = _eval_results(record, report) if report else None
    return ModelCardData(
        license="apache-2.0",
        library_name="transformers",
        pipeline_tag="image-to-image",
        tags=TAGS,
        metrics=["accuracy"],
        model_name=title if results else None,
        eval_results=results,
    )


def _eval_results(record: dict, report: dict) -> list[EvalResult]:
    results = []
    paths = {source["name"]: source["path"] for source in record.get("sources", [])}
    for name, measured in report["sets"].items():
        known = known_set(paths.get(name, name))
        dataset = {
            "dataset_type": known.hub_name if known else name,
            "dataset_name": f"{known.title if known else name}, {name}, kept out of training",
            "dataset_split": "validation",
        }

        def add(task: str, kind: str, title: str, value: float, dataset=dataset):
            results.append(
                EvalResult(
                    task_type=task, metric_type=kind, metric_name=title, metric_value=round(value, 4), **dataset
                )
            )

        if recognition := measured.get("recognition"):
            add("image-classification", "accuracy", "accuracy", recognition["accuracy"])
            add("image-classification", "expected_calibration_error", "calibration error",
                recognition["calibration_error"])  # fmt: skip
        if clear := measured.get("votes", {}).get("clear"):
            add("image-classification", "accuracy", "accuracy on clear majorities of the votes", clear["accuracy"])
        if original := measured.get("original_labels"):
            title = "accuracy of a shallow classifier on f(e), labels from before the votes"
            add("image-classification", "accuracy", title, original["rows"]["f(e)"]["accuracy"])
        if found := measured.get("blendshapes"):
            read = found["systems"]["TER-GAN"]
            for key, title in {"r": "Pearson's r", "slope": "slope"}.items():
                if read[key] is not None:
                    add("image-feature-extraction", key, f"blendshapes that move, mean {title}", read[key])
        if folds := measured["cross_validation"]:
            title = f"accuracy of a shallow classifier on f(e), {folds['count']} folds of {folds['by']}"
            add("image-classification", "accuracy", title, folds["rows"]["f(e)"]["mean"])
        if transfer := measured.get("transfer"):
            row = transfer["rows"]["TER-GAN"]
            for key, title in TRANSFER_RESULTS.items():
                if row.get(key) is not None:
                    add("image-to-image", key, title, row[key])
        if editing := measured.get("editing"):
            row = editing["systems"]["TER-GAN"]["all"]
            for key, title in EDITING_RESULTS.items():
                if key in row:
                    add("image-to-image", key, title, row[key])
    return results


def _known_sets(record: dict) -> set[str]:
    """Hub names of the known sets that a run was trained on."""
    known = (known_set(source["path"]) for source in record.get("sources", []))
    return {one.hub_name for one in known if one}


def _read(path: Path, parse):
    return parse(path.read_text(encoding="utf-8")) if path.is_file() else None
