"""Small labelled data sets in the formats that the trainer reads."""

import json
from pathlib import Path

import numpy as np
from datasets import Dataset, Features, Image, Value
from PIL import Image as PILImage
from PIL import ImageDraw

from tergan_hf.data.loading import load_photos
from tergan_hf.data.padded_crops import make_padded_crops
from tergan_hf.data.photo_set import PhotoSet, label_photo_sets
from tergan_hf.model.configuration_tergan import BASIC_EXPRESSIONS, EXPRESSIONS_WITH_NEUTRAL

from .conftest import EXAMPLES
from .pictures import cell


def repeatable_people(path: Path, people: int = 4) -> Path:
    """Write a parquet file like a rendered set: drawn faces, the same `expression_id`s for each person."""
    rows = []
    for person in range(people):
        for expression_id, expression in enumerate(("happiness", "sadness", "anger", "surprise")):
            image = PILImage.new("RGB", (64, 64), (40 * person, 90, 200 - 40 * person))
            draw = ImageDraw.Draw(image)
            draw.ellipse((8, 4, 56, 60), fill=(220, 180 - 20 * person, 150))
            draw.rectangle((20, 40, 44, 42 + 4 * expression_id), fill=(120, 0, 0))
            rows.append(
                {
                    "image": cell(image),
                    "identity": f"p{person}",
                    "expression_id": expression_id,
                    "expression": expression,
                    "heads": f"h{person}" if person % 2 else f"h{person}+h{(person + 1) % people}",
                }
            )
    features = Features(
        image=Image(), identity=Value("string"), expression_id=Value("int32"), expression=Value("string"),
        heads=Value("string"),
    )  # fmt: skip
    Dataset.from_list(rows, features=features).to_parquet(path)
    return path


def posed_people(path: Path, people: int = 4, frames: int = 2, side: int = 48) -> Path:
    """Write a parquet file like Oulu-CASIA: drawn faces, the last frames of six expressions of each person, without
    neutral and without expression ids."""
    random = np.random.default_rng(0)
    rows = []
    for person in range(people):
        for number, expression in enumerate(BASIC_EXPRESSIONS):
            for _ in range(frames):
                image = PILImage.new("RGB", (side, side), (50 * person, 90, 200 - 40 * person))
                draw = ImageDraw.Draw(image)
                draw.ellipse((4, 2, side - 4, side - 2), fill=(220, 180 - 20 * person, 150))
                left = 12 + int(random.integers(3))
                draw.rectangle((left, 28 - 2 * number, left + 18, 34 + number), fill=(120, 30 * number, 0))
                rows.append({"image": cell(image), "identity": f"P{person:03d}", "expression": expression})
    features = Features(image=Image(), identity=Value("string"), expression=Value("string"))
    Dataset.from_list(rows, features=features).to_parquet(path)
    return path


def photographed_people(folder: Path) -> Path:
    """Write a folder in imagefolder layout: the example photos, two of each person, the second one rotated by 4°."""
    folder.mkdir(parents=True)
    lines = []
    for path in sorted(EXAMPLES.glob("*.jpg")):
        person, expression = path.stem.rsplit("_", 1)
        image = PILImage.open(path).convert("RGB").resize((240, 240))
        for number, shown in enumerate((image, image.rotate(4, fillcolor="white"))):
            shown.save(folder / f"{person}_{number}.jpg")
            lines.append({"file_name": f"{person}_{number}.jpg", "identity": person, "expression": expression})
    (folder / "metadata.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    return folder


def loose_crops(path: Path, count: int = 24) -> Path:
    """Write a parquet file like FER2013: grey 48-pixel crops with a label and no identity."""
    random = np.random.default_rng(0)
    rows = []
    for number in range(count):
        photo = cell(random.integers(0, 256, (48, 48), dtype=np.uint8))
        rows.append({"image": photo, "expression": ["happiness", "neutral", "fear"][number % 3]})
    features = Features(image=Image(), expression=Value("string"))
    Dataset.from_list(rows, features=features).to_parquet(path)
    return path


def label_files(paths: dict[str, Path], image_size: int) -> list[PhotoSet]:
    """Label sets (name → file) whose photos are aligned crops, with all seven labels."""
    cropped = {
        name: make_padded_crops(load_photos(str(path)), image_size, align=False) for name, path in paths.items()
    }
    return label_photo_sets(cropped, list(EXPRESSIONS_WITH_NEUTRAL))[0]
