"""Examples of a model card: answers to the example photos for the Hub's widget, and a gallery of pictures."""

import json
import logging
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from PIL import Image

from ..data.contact_sheet import crop_around_faces, draw_contact_sheet
from ..evaluation.digest import weights_digest
from ..model.atomic_file_tergan import write_whole
from ..model.errors_tergan import MissingFileError
from ..model.pipeline_tergan import TerGanPipeline
from ..provenance.saving import save_synthetic
from .mapping_files import read_mapping


logger = logging.getLogger(__name__)
ASSETS = Path(__file__).resolve().parents[2] / "assets"
PHOTOS, EXPRESSIONS = "examples", "expressions"  # folders of the assets
EXAMPLES, GALLERY = "examples.json", "gallery"  # beside the weights
SHOWN_LABELS = 5
SIDE, QUALITY = 200, 85
NAMED_EDITS: dict[str, float] = {
    "jawOpen": 0.6, "mouthSmile": 0.8, "mouthPucker": 0.8, "browInnerUp": 1, "eyeBlinkLeft": 1, "gazeLeft": 25,
}  # fmt: skip
SOURCES = ("anger", "disgust", "surprise")  # expressions of the rendered head in the gallery


@dataclass(frozen=True)
class CardExamples:
    """
    Examples made with some weights.

    Args:
        widget: entries of a card's `widget` for image classification, with the model's answers as `output`.
        gallery: file beside the weights → its caption.
    """

    widget: list[dict]
    gallery: dict[str, str]


def write_examples(folder: str | Path, device: str | None = None) -> CardExamples:
    """
    Run saved weights on the example photos. Writes `examples.json` and the pictures of `gallery/` beside them.

    Args:
        folder: the weights.
        device: default: cuda, else mps, else cpu.

    Raises:
        MissingFileError: there are no example photos, or no weights.
    """
    folder = Path(folder)
    photos = sorted((ASSETS / PHOTOS).glob("*.jpg"))
    if not photos:
        raise MissingFileError(f"{ASSETS / PHOTOS} has no photos to make examples from")
    pipe = TerGanPipeline.from_pretrained(folder, device)
    widget = [
        {
            "src": f"assets/{PHOTOS}/{photo.name}",
            "example_title": photo.stem.replace("_", " "),
            "output": [
                {**answer, "score": round(answer["score"], 3)} for answer in pipe.recognize(photo)[:SHOWN_LABELS]
            ],
        }
        for photo in photos
    ]
    neutral = [photo for photo in photos if "neutral" in photo.stem][:3]
    sources = [photo for photo in photos if "neutral" not in photo.stem][:2]
    sources += [path for name in SOURCES for path in (ASSETS / EXPRESSIONS).glob(f"*_{name}.jpg")]
    (folder / GALLERY).mkdir(exist_ok=True)
    examples = CardExamples(widget, {})
    crop = partial(crop_around_faces, pipe.detector, side=SIDE)

    def add(name: str, caption: str, rows: list[list], titles: list[str] | None = None):
        file = f"{GALLERY}/{name}.jpg"
        save_synthetic(draw_contact_sheet(rows, titles, side=SIDE), folder / file, quality=QUALITY)
        examples.gallery[file] = caption

    if neutral:
        rows = [[photo, *(pipe.edit(photo, label) for label in pipe.labels)] for photo in map(_open, neutral)]
        add("edits", "Photos edited to every label.", crop(rows), ["photo", *pipe.labels])
        named = {name: value for name, value in NAMED_EDITS.items() if name in pipe.editable_names}
        if named:
            rows = [
                [photo, *(pipe.edit(photo, {name: value}) for name, value in named.items())]
                for photo in map(_open, neutral[:2])
            ]
            titles = ["photo", *(f"{name} {value:g}" for name, value in named.items())]
            add("blendshapes", "Single blendshapes set by name.", crop(rows), titles)
    if neutral and sources:
        shown = [_open(source) for source in sources]
        rows = [[photo, *(pipe.transfer(source, photo) for source in shown)] for photo in map(_open, neutral[:2])]
        head = [None, *chain(*crop([[source] for source in shown]))]
        caption = "The expressions of the upper row, transferred to the photos on the left."
        add("transfer", caption, [head, *crop(rows)])
    content = {"sha256": weights_digest(folder), "widget": examples.widget, "gallery": examples.gallery}
    write_whole(folder / EXAMPLES, json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n")
    return examples


def read_examples(folder: str | Path) -> CardExamples:
    """The examples beside some weights. Those of other weights are left out, with a warning."""
    folder = Path(folder)
    if not (folder / EXAMPLES).is_file():
        return CardExamples([], {})
    content = read_mapping(folder / EXAMPLES)
    if content.get("sha256") != weights_digest(folder):
        logger.warning(
            "%s was made with other weights and is left out: add --examples to make it again", folder / EXAMPLES
        )
        return CardExamples([], {})
    gallery = {file: caption for file, caption in content["gallery"].items() if (folder / file).is_file()}
    return CardExamples(content["widget"], gallery)


def _open(path: Path) -> Image.Image:
    return Image.open(path).convert("RGB")
