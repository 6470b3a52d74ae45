"""The model card, filled from the files beside the weights: `report.json` and `training.yaml`."""

import json
from pathlib import Path

import yaml
from huggingface_hub import EvalResult, ModelCardData
from jinja2 import Environment, StrictUndefined

from ..data.known_sets import known_set
from ..evaluation.digest import weights_digest
from ..model.configuration_tergan import TerGanConfig
from ..model.errors_tergan import InvalidInputError


TEMPLATE = Path(__file__).resolve().parents[2] / "model_card.md"
CARD = "README.md"
SCARCE = 0.1  # of the people trained on; groups with less are named
TAGS = [
    "facial-expression-transfer", "facial-expression-editing", "facial-expression-recognition", "image-classification",
    "gan",
]  # fmt: skip
TRANSFER_RESULTS = {"gain": "expression gain", "psnr": "PSNR, dB", "to_target": "SFace to the target"}
EDITING_RESULTS = {"cosine": "SFace to the photo before the edit", "judged": "edits read as the label"}


class ReportMismatchError(InvalidInputError):
    """`report.json` is of other weights than those beside it."""


def build_card(folder: str | Path, template: str | Path = TEMPLATE) -> str:
    """
    The card of saved weights.

    Args:
        folder: with `config.json`; `training.yaml`, `report.json` and `ablation.md` where they are.

    Raises:
        FileNotFoundError: no `config.json`, or no template.
        ReportMismatchError: the report was made with other weights.
    """
    folder = Path(folder)
    config = TerGanConfig.from_pretrained(folder)
    record = _read(folder / "training.yaml", yaml.safe_load) or {}
    report = _read(folder / "report.json", json.loads)
    if report and report["model"]["sha256"] != weights_digest(folder):
        raise ReportMismatchError(
            f"{folder / 'report.json'} is of other weights than those beside it: "
            "run python -m tergan_hf.evaluate again"
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
        report=report,
        ablation=_read(folder / "ablation.md", str.strip),
        card_data=card_data(title, record, report).to_yaml(),
        tables={"training": _training_table(record), **(_result_tables(report) if report else {})},
    )


def card_data(title: str, record: dict, report: dict | None) -> ModelCardData:
    """The card's header, with a `model-index` of the report's numbers."""
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
        where = {
            "dataset_type": known.hub_name if known else name,
            "dataset_name": f"{known.title if known else name}, {name}, kept out of training",
            "dataset_split": "validation",
        }

        def add(task: str, kind: str, title: str, value: float, where=where):
            results.append(
                EvalResult(task_type=task, metric_type=kind, metric_name=title, metric_value=round(value, 4), **where)
            )

        if recognition := measured.get("recognition"):
            add("image-classification", "accuracy", "accuracy", recognition["accuracy"])
            add("image-classification", "expected_calibration_error", "calibration error",
                recognition["calibration_error"])  # fmt: skip
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


def _training_table(record: dict) -> str:
    rows = []
    for source in record.get("sources", []):
        known = known_set(source["path"])
        kept_out = record.get("kept_out", {}).get(source["name"]) or []
        apart = f"{len(kept_out)} groups kept out" if kept_out else "all"
        if source.get("validation_path"):
            apart = "its training split"
        rows.append([
            f"[{known.title}]({known.address})" if known else source["name"],
            known.about if known else "not described", known.licence if known else "**not recorded**", apart,
        ])  # fmt: skip
    return _table(["set", "what", "licence", "used"], rows) if rows else "Not recorded."


def _result_tables(report: dict) -> dict[str, str]:
    # These modules need scikit-learn; whoever only publishes weights without a report does without.
    from .evaluation.report import (
        SYSTEM_COLUMNS,
        baseline_note,
        edit_group_table,
        editing_table,
        group_table,
        probe_table,
        system_table,
    )

    sets = report["sets"]
    tables = {
        "recognition": _recognition_table(sets), "folds": _folds_table(sets), "transfer": "", "editing": "",
        "strangers": "", "ceiling": "", "ceiling_set": "",
        "baseline": baseline_note(next(iter(sets.values())), report["model"]),
    }  # fmt: skip
    probes, groups = [], []
    for name, measured in sets.items():
        if "transfer" in measured:
            tables["transfer"] = system_table(measured["transfer"]["rows"], SYSTEM_COLUMNS)
        if "editing" in measured:
            tables["editing"] = editing_table(measured["editing"])
        if "strangers" in measured:
            columns = {key: SYSTEM_COLUMNS[key] for key in ("judged", "to_target", "to_source")}
            tables["strangers"] = system_table(measured["strangers"], columns)
        if "judge_ceiling" in measured:
            tables["ceiling_set"], tables["ceiling"] = (
                name,
                ", ".join(f"{label} {one['judged']:.0%}" for label, one in measured["judge_ceiling"].items()),
            )
        if measured.get("disentanglement"):
            probes.append(f"**{name}**. " + probe_table(measured["disentanglement"]))
        if "groups" in measured:
            groups.append(f"**{name}**\n\n" + group_table(measured["groups"], measured.get("trained_on")))
        if by_group := measured.get("editing", {}).get("by_group"):
            groups.append(edit_group_table(by_group))
    tables["probes"] = "\n\n".join(probes) or "Nobody is named in these sets."
    tables["groups"] = "\n\n".join(groups) or "These sets do not say who is in them."
    tables["scarce"] = _scarce(sets)
    return tables


def _recognition_table(sets: dict) -> str:
    rows = []
    for name, measured in sets.items():
        if recognition := measured.get("recognition"):
            lowest = min(recognition["recall"], key=recognition["recall"].get)
            rows.append([
                name, str(measured["people"] or "—"), str(measured["photos"]), f"**{recognition['accuracy']:.1%}**",
                f"{recognition['majority']:.1%}", f"{lowest} {recognition['recall'][lowest]:.1%}",
                f"{recognition['calibration_error']:.3f}",
            ])  # fmt: skip
    head = ["set", "people", "photos", "accuracy", "most frequent label", "lowest recall", "calibration error"]
    return _table(head, rows)


def _folds_table(sets: dict) -> str:
    names = list(
        dict.fromkeys(key for measured in sets.values() for key in measured["cross_validation"].get("rows", {}))
    )
    rows = []
    for name, measured in sets.items():
        if found := measured["cross_validation"]:
            cells = [found["rows"].get(key) for key in names]
            rows.append([
                f"{name}, {found['count']} folds of {found['by']}",
                *(f"{100 * cell['mean']:.1f} ± {100 * cell['deviation']:.1f}" if cell else "—" for cell in cells),
                f"{100 * found['majority']:.1f}",
            ])  # fmt: skip
    return _table(["set", *names, "most frequent label"], rows)


def _scarce(sets: dict) -> str:
    """Groups that were hardly trained on, by the sets' own columns."""
    found = []
    for name, measured in sets.items():
        trained = measured.get("trained_on")
        if not trained:
            continue
        for column, counts in trained.items():
            if column == "people":
                continue
            # Also who occurs among the people measured, and not among those trained on.
            counts = {**dict.fromkeys(measured["groups"].get(column, {}), 0), **counts}
            found += [
                f"{group} ({name}: {count} of {trained['people']} people)"
                for group, count in counts.items()
                if count < SCARCE * trained["people"] and group != "not given"
            ]
    if not found:
        return "No group that these sets name has less than a tenth of the people trained on."
    return "Under-represented, with less than a tenth of the people trained on: " + "; ".join(found) + "."


def _read(path: Path, parse):
    return parse(path.read_text(encoding="utf-8")) if path.is_file() else None


def _table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *rows])
