"""The paper's figures 3 and 4 by one command, on aligned crops: transfer between people, and editing by the same
person's photo.

`python benchmarks/figures.py --model runs/paper/model --data_root data --output runs/figures`

The set needs identities, and neither neutral photos nor expression ids. Each figure is drawn for people the model was
trained on and for held-out people, as `training.yaml` beside the weights names them. Results are not pasted back into
photos: what is shown is what the decoder draws.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset, Features, Image, Value

from tergan_hf import TerGanPipeline
from tergan_hf.cli.errors import one_line_errors
from tergan_hf.data.image_cells import image_cell
from tergan_hf.data.padded_crops import make_padded_crops
from tergan_hf.data.photo_set import aligned_crops, label_photo_sets
from tergan_hf.evaluation.held_out import held_out_sets
from tergan_hf.evaluation.loading import model_folder
from tergan_hf.evaluation.sheets import draw_edits_by_example, draw_transfers_between_people
from tergan_hf.model.errors_tergan import InvalidInputError


CHUNK = 64  # photos at a time


def main(argv: list[str] | None = None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "--model", default="weights/ter-gan", help="folder or Hub id, with training.yaml (%(default)s)"
    )
    parser.add_argument(
        "--dataset", metavar="NAME", help="set of training.yaml, or as for evaluate (default: the first)"
    )
    parser.add_argument("--data_root", default="data", help="relative data paths of the run start here (%(default)s)")
    parser.add_argument("--output", default="runs/figures", help="folder for the pictures (%(default)s)")
    parser.add_argument(
        "--people", type=int, default=6, help="target people in figure 3, rows of figure 4 (%(default)s)"
    )
    parser.add_argument("--device", help="cuda, mps or cpu; default: the fastest available")
    options = parser.parse_args(argv)
    with one_line_errors("figures.py"):
        folder = model_folder(options.model)
        held_out = held_out_sets(folder, options.data_root, [options.dataset] if options.dataset else None)[0]
        pipe = TerGanPipeline.from_pretrained(folder, options.device)
        sides = {"kept_out": held_out.photos, "trained_on": held_out.training_photos}
        figures = {3: draw_transfers_between_people, 4: draw_edits_by_example}
        for side, photos in sides.items():
            paths = {number: Path(options.output) / f"figure_{number}_{side}.png" for number in figures}
            for path in paths.values():
                path.unlink(missing_ok=True)  # of an earlier model or set
            if photos is None:
                continue
            crops = align_people(photos, pipe, held_out.source.align, held_out.name, options.people + 1)
            for number, path in paths.items():
                figures[number](pipe, crops, False, path, options.people)
                if path.is_file():
                    print(f"Wrote {path}")


def align_people(photos: Dataset, pipe, align: bool, name: str, most: int) -> Dataset:
    """
    The photos of the first people of a set as aligned crops, as the network sees them.

    Args:
        align: find and align the faces. most: number of people.

    Raises:
        InvalidInputError: the photos name nobody.
    """
    labels = [*pipe.labels]
    identities = np.array(photos["identity"])
    named = sorted(set(identities) - {""})[:most]
    if not named:
        raise InvalidInputError(f"{name}: the photos name nobody, and figures 3 and 4 need people")
    rows = np.flatnonzero(np.isin(identities, named) & np.isin(photos["expression"], labels))
    size = pipe.model.config.image_size
    padded = make_padded_crops(photos.select(rows), size, align, name)
    photo_set = label_photo_sets({name: padded}, labels)[0][0]
    cropped = []
    for chunk in np.array_split(np.arange(len(photo_set)), max(1, len(photo_set) // CHUNK)):
        for crop in aligned_crops(photo_set, chunk, size, torch.device("cpu")):
            pixels = ((crop + 1) * 127.5).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
            cropped.append(image_cell(pixels, "PNG"))
    columns = {"image": cropped, "identity": list(padded["identity"]), "expression": list(padded["expression"])}
    return Dataset.from_dict(
        columns, Features(image=Image(decode=False), identity=Value("string"), expression=Value("string"))
    )


if __name__ == "__main__":
    main()
