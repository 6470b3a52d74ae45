"""The card of a data set of recognised faces."""

from datasets import Features
from huggingface_hub import DatasetCardData

from ..data.dataset_card import size_category
from ..data.loading import HUB_PREFIX
from .annotating import ROW
from .assembling import Summary
from .face_reader import NO_FACE
from .parts import REASON
from .photo_source import split_hub_name
from .run_folder import FACES, WITHOUT


MEANINGS = {
    ROW: "number of the photo in the split of the source, from 0: `source[row]` is the photo",
    "face": "number of the face in the photo; 0 is the largest",
    "box": "left, top, right and bottom of the face, in pixels of the upright photo",
    "landmarks": "(5, 2) pixels: the left and right eye as the viewer sees them, nose tip, mouth corners",
    "confidence": "of the detection, 0 to 1",
    "expression": "the label with the highest score",
    "score": "of that label",
    "scores": "of all labels, summing to 1",
    "blendshapes": "ARKit's weights from 0 to 1, and the gaze in degrees to the viewer's right and up",
    REASON: "why the photo has no row of faces",
}  # fmt: skip


def write_card_text(
    source: str, model: str, digest: str, revision: str | None, features: Features, summary: Summary
) -> str:
    """
    The card.

    Args:
        source, model: as readers know them. digest: of the weights. revision: the source's commit on the Hub.
        features: of the parts. summary: counts.
    """
    on_hub = source.startswith(HUB_PREFIX)
    configs = [
        {
            "config_name": FACES, "default": True,
            "data_files": [{"split": split, "path": f"{FACES}/{split}-*.parquet"} for split in summary.splits],
        }
    ]  # fmt: skip
    if summary.without:
        configs.append(
            {
                "config_name": WITHOUT,
                "data_files": [
                    {"split": split, "path": f"{WITHOUT}/{split}-*.parquet"} for split in summary.splits_without
                ],
            }
        )
    data = DatasetCardData(
        pretty_name=f"Facial expressions in {source.removeprefix(HUB_PREFIX)}",
        task_categories=["image-classification"],
        tags=["facial-expression", "faces", "tergan"],
        source_datasets=[split_hub_name(source)[0]] if on_hub else None,
        size_categories=[size_category(summary.faces)],
        configs=configs,
    )
    meanings = [f"| `{name}` | {MEANINGS.get(name, 'as in the source')} |" for name in features if name != REASON]
    labels = [f"| {label} | {count} |" for label, count in sorted(summary.expressions.items())]
    at = f" at commit `{revision}`" if revision else ""
    parts = [
        f"---\n{data.to_yaml()}\n---\n",
        f"# Facial expressions in {source.removeprefix(HUB_PREFIX)}\n",
        f"A row for each face that `tergan recognize` found in the photos of `{source}`{at}, read by the model "
        f"`{model}` (SHA-256 of the weights: `{digest}`). {summary.photos} photos have {summary.faces} faces.\n",
        "A label describes what a photo shows, not what a person feels. The labels were not checked by people. The "
        "licence of the source and the consent of the people in it hold for these rows, too.\n",
        "\n".join(["| column | meaning |", "|---|---|", *meanings, ""]),
        "\n".join(["| expression | faces |", "|---|---|", *labels, ""]),
    ]
    if summary.without:
        parts.append(
            f"{summary.without[NO_FACE]} photos show no face that was found, and {summary.unreadable} could not be "
            f'read. `load_dataset("…", "{WITHOUT}")` lists them; the column `{REASON}` says why.\n'
        )
    return "\n".join(parts)
