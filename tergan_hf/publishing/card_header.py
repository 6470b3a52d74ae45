"""The header of a model card: what the Hub reads."""

from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData

from ..data.known_sets import known_set
from ..data.loading import HUB_PREFIX
from ..evaluation.held_out import TEST_SPLITS
from .card_examples import CardExamples
from .emissions import Emissions


PAPER = "2002.07050"  # on arXiv
TAGS = [
    "facial-expression-transfer", "facial-expression-editing", "facial-expression-recognition", "image-classification",
    "image-to-image", "gan", f"arxiv:{PAPER}",
]  # fmt: skip
TRANSFER_RESULTS = {"gain": "expression gain", "psnr": "PSNR, dB", "to_target": "SFace to the target"}
EDITING_RESULTS = {"cosine": "SFace to the photo before the edit", "judged": "edits recognised as the label"}


def card_data(
    title: str,
    record: dict,
    report: dict | None = None,
    examples: CardExamples | None = None,
    emissions: Emissions | None = None,
    base_model: str | None = None,
) -> ModelCardData:
    """
    The header of the card. `model-index` has the report's numbers.

    The task is image classification: it is the one of the Hub's tasks whose pipeline transformers has, so that the
    snippets and the widget of the model's page work.

    Args:
        record: contents of `training.yaml`.
        base_model: the model that the run started from, `owner/name`; default: `pretrained` of the record, if it is
            on the Hub.
    """
    results = _eval_results(record, report) if report else None
    base_model = base_model or _base_model(record)
    further: dict = {}
    if base_model:
        further["base_model_relation"] = "finetune"
    if examples and examples.widget:
        further["widget"] = examples.widget
    if emissions:
        further["co2_eq_emissions"] = emissions.header()
    return ModelCardData(
        language="en",
        license="apache-2.0",
        library_name="transformers",
        pipeline_tag="image-classification",
        tags=TAGS,
        datasets=_datasets(record) or None,
        base_model=base_model,
        metrics=["accuracy"],
        model_name=title if results else None,
        eval_results=results,
        **further,
    )


def _base_model(record: dict) -> str | None:
    """The model on the Hub that a run started from."""
    name = record.get("pretrained") or ""
    return name if name.count("/") == 1 and not Path(name).exists() else None


def _datasets(record: dict) -> list[str]:
    """The sets that a run was trained on, each once: ids on the Hub, and the names of known sets."""
    names = []
    for source in record.get("sources", []):
        path, known = source["path"], known_set(source["path"])
        if path.startswith(HUB_PREFIX):
            names.append(path.removeprefix(HUB_PREFIX))
        elif known:
            names.append(known.hub_name)
    return list(dict.fromkeys(names))


def _source_and_split(name: str, paths: dict[str, str]) -> tuple[str, str]:
    """The source and the split of a measured set: a test split is measured as `SOURCE_test`, see `held_out_sets`."""
    for split in TEST_SPLITS:
        source = name.removesuffix(f"_{split}")
        if name not in paths and source in paths:
            return source, split
    return name, "validation"


def _eval_results(record: dict, report: dict) -> list[EvalResult]:
    results = []
    paths = {source["name"]: source["path"] for source in record.get("sources", [])}
    for name, measured in report["sets"].items():
        source, split = _source_and_split(name, paths)
        known = known_set(paths.get(source, source))
        dataset = {
            "dataset_type": known.hub_name if known else source,
            "dataset_name": f"{known.title if known else name}, {name}, kept out of training",
            "dataset_split": split,
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
