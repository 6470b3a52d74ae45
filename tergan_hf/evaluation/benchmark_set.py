"""Build the benchmark: transfers with their truth and photos with their label, of people kept out of training."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from datasets import Dataset, Features, Image, List, Value
from huggingface_hub import DatasetCard, DatasetCardData

from ..data.dataset_card import CARD, EVAL, size_category
from ..data.known_sets import NOT_TO_BE_SHOWN
from ..data.loading import load_photos, parquet_files
from ..expressions.blendshapes import COLUMN_NAMES
from ..model.configuration_tergan import EXPRESSIONS_WITH_NEUTRAL
from ..model.errors_tergan import InvalidInputError, MissingFileError
from .transfer import draw_pairs


FRAMEWORK = "tergan-hf"
NAME = "Facial expressions of people kept out"
DESCRIPTION = (
    "Transfer and recognition of facial expressions on rendered heads and on portraits that a 3D face model moves. "
    "Every transfer has an exact truth: the target's person with the source's expression. Nobody of it is in the "
    "training sets."
)
# Task → its metric. A task is scored on the configuration of the same name; identity on that of transfer.
METRICS = {"transfer": "expression gain", "identity": "SFace cosine to the target", "recognition": "accuracy"}
KINDS = ("heads", "portraits")
_BLENDSHAPES = List(Value("float32"), length=len(COLUMN_NAMES))
FEATURES = {
    "transfer": Features(
        source=Image(), target=Image(), truth=Image(), expression=Value("string"), source_identity=Value("string"),
        target_identity=Value("string"), blendshapes=_BLENDSHAPES,
    ),
    "recognition": Features(
        image=Image(), expression=Value("string"), identity=Value("string"), blendshapes=_BLENDSHAPES
    ),
}  # fmt: skip


@dataclass
class BenchmarkSettings:
    """
    Sizes of the benchmark.

    Args:
        pairs: transfers of each kind of faces.
        per_label: photos of each label and kind for recognition.
        seed: for drawing both.
    """

    pairs: int = 120
    per_label: int = 18
    seed: int = 0


def build_benchmark(
    heads: str | Path, portraits: str | Path, output: str | Path, settings: BenchmarkSettings | None = None
) -> dict[str, int]:
    """
    Write the benchmark as a data set with a configuration for each task and kind of faces.

    Pairs are drawn as the evaluation draws them, so with the same number and seed its rendered heads give the same
    expression gain. The images keep their bytes.

    Args:
        heads: a built set `avatars`; its split `validation`, or all of it if there is none.
        portraits: a built set `portraits`; its split `validation`. Members of Congress are left out.
        output: a folder that is new or empty.

    Returns:
        configuration → number of rows.

    Raises:
        MissingFileError: a set is missing.
        InvalidInputError: the output holds something, or hardly any two people of a set share an expression.
    """
    settings, output = settings or BenchmarkSettings(), Path(output)
    if output.exists() and any(output.iterdir()):
        raise InvalidInputError(f"{output} holds something: choose an --output that is empty or does not exist yet")
    rows: dict[str, int] = {}
    people: list[str] = []
    folders = (Path(heads), Path(portraits))
    if not parquet_files(folders[1], "validation"):
        raise InvalidInputError(
            f"{folders[1]} has no split `validation`, of people whom nobody was trained on: build the set with "
            "--validation"
        )
    licences = [(folder.name, _licence(folder)) for folder in folders]  # before anything is written
    for kind, photos in zip(KINDS, [_kept_out(folder) for folder in folders]):
        people.append(_people(photos))
        for task, found in (
            ("transfer", _transfers(photos, settings)),
            ("recognition", _labelled(photos, settings)),
        ):
            name = f"{task}_{kind}"
            (output / name).mkdir(parents=True)
            with open(output / name / "test-00000-of-00001.parquet", "wb") as file:
                Dataset.from_list(found, features=FEATURES[task]).to_parquet(file, batch_size=100)
            rows[name] = len(found)
    (output / EVAL).write_text(yaml.safe_dump(_eval_file(), sort_keys=False, allow_unicode=True, width=110))
    (output / CARD).write_text(_card(rows, people, licences), encoding="utf-8")
    return rows


def _kept_out(folder: str | Path) -> Dataset:
    """Photos with one of the seven labels, of people who may be shown."""
    split = "validation" if parquet_files(folder, "validation") else "train"
    photos = load_photos(str(folder), split)
    shown = np.isin(photos["expression"], EXPRESSIONS_WITH_NEUTRAL)
    shown &= np.array([NOT_TO_BE_SHOWN.fullmatch(name) is None for name in photos["identity"]])
    if not shown.any():
        raise InvalidInputError(f"{folder} has no photo with one of the labels {', '.join(EXPRESSIONS_WITH_NEUTRAL)}")
    return photos.select(np.flatnonzero(shown))


def _people(photos: Dataset) -> str:
    """The people of a set, or the heads that they are blended from."""
    if "heads" in photos.column_names:
        return "blends of " + ", ".join(sorted({head for heads in photos["heads"] for head in heads.split("+")}))
    return ", ".join(sorted(set(photos["identity"])))


def _transfers(photos: Dataset, settings: BenchmarkSettings) -> list[dict]:
    found = []
    for pair in draw_pairs(photos, settings.pairs, settings.seed):
        source, target, truth = (photos[row] for row in pair)
        found.append({
            "source": source["image"], "target": target["image"], "truth": truth["image"],
            "expression": source["expression"], "source_identity": source["identity"],
            "target_identity": target["identity"], "blendshapes": truth["blendshapes"],
        })  # fmt: skip
    return found


def _labelled(photos: Dataset, settings: BenchmarkSettings) -> list[dict]:
    expressions = np.array(photos["expression"])
    random = np.random.default_rng(settings.seed)
    chosen: list[int] = []
    for label in EXPRESSIONS_WITH_NEUTRAL:
        rows = np.flatnonzero(expressions == label)
        chosen += random.choice(rows, min(settings.per_label, len(rows)), replace=False).tolist()
    return [{name: photos[row][name] for name in FEATURES["recognition"]} for row in sorted(chosen)]


def _eval_file() -> dict:
    """The content of `eval.yaml`, by which the Hub knows a benchmark."""
    tasks = [
        {"id": f"{task}_{kind}", "config": f"{'transfer' if task == 'identity' else task}_{kind}", "split": "test"}
        for task in METRICS
        for kind in KINDS
    ]
    return {"name": NAME, "description": DESCRIPTION, "evaluation_framework": FRAMEWORK, "tasks": tasks}


def _card(rows: dict[str, int], people: list[str], licences: list[tuple[str, str]]) -> str:
    data = DatasetCardData(
        pretty_name=NAME,
        license=["mit", "cc-by-4.0"],
        task_categories=["image-to-image", "image-classification"],
        tags=["facial-expression", "faces", "synthetic", "blendshapes", "benchmark"],
        annotations_creators=["machine-generated"],
        size_categories=[size_category(sum(rows.values()))],
        configs=[
            {"config_name": name, "data_files": [{"split": "test", "path": f"{name}/test-*.parquet"}]} for name in rows
        ],
    )
    counts = "\n".join(f"| `{name}` | {count} |" for name, count in rows.items())
    of_sets = "\n\n".join(f"### {name}\n\n{licence}" for name, licence in licences)
    return f"""---
{data.to_yaml()}
---
# {NAME}

{DESCRIPTION}

| configuration | rows |
|---|---|
{counts}

`source` shows the expression, `target` is the photo to change, and `truth` is the target's person with the source's
`expression` and `blendshapes` (ARKit's 51 weights in alphabetical order, then the gaze in units of 30°).

```python
from datasets import load_dataset

pairs = load_dataset("OWNER/NAME", "transfer_heads", split="test")
```

## How it is scored

| task | metric, on a scale to 1 |
|---|---|
| `transfer_…` | expression gain: mean of 1 − Σ\\|x̄ − truth\\| / Σ\\|x_t − truth\\|; the unchanged target scores 0 |
| `identity_…` | mean SFace cosine of the result to the target; the truth itself scores below 1 |
| `recognition_…` | share of the photos whose label is recognised; a photo without a detected face counts as wrong |

```bash
python -m tergan_hf.benchmark score --dataset hub://OWNER/NAME --model weights/ter-gan
python -m tergan_hf.benchmark score --dataset hub://OWNER/NAME --results FOLDER
```

The second command scores another system: `FOLDER/transfer_heads/0000.png` and so on at the size of the target, and
`FOLDER/recognition_heads.csv` with the columns `row` and `label`. The sums are over all pixels, so changes around the
face count, too.

A network that is scored may have seen nobody of the benchmark: {"; ".join(people)}.

## Licence

{of_sets}

All pictures of `portraits` but the photos themselves are synthetic: nobody made these faces.
"""


def _licence(folder: Path) -> str:
    """The section about the licence in the card of a set."""
    path = folder / CARD
    if not path.is_file():
        raise MissingFileError(f"{path} is missing: the benchmark needs the licence of the set")
    found = re.search(r"^## Licence\n\n(.*?)(?=\n## |\Z)", DatasetCard.load(path).text, re.DOTALL | re.MULTILINE)
    return found[1].strip() if found else "Not recorded."
