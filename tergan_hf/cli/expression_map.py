"""Fit the expression map: `python -m tergan_hf.expression_map --model weights/ter-gan --data_root data`.

Writes `expression_map.safetensors` beside the weights.
"""

import argparse
from pathlib import Path

from ..evaluation.map_fitting import PHOTOS_PER_EXPRESSION, fit_map, training_photos
from ..model.errors_tergan import MissingFileError
from ..model.pipeline_tergan import TerGanPipeline
from .errors import one_line_errors
from .outputs import check_writable_folder


def main(argv: list[str] | None = None):
    parser = argparse.ArgumentParser(prog="python -m tergan_hf.expression_map", description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="weights/ter-gan", help="folder with the weights and their training.yaml")
    parser.add_argument(
        "--data_root", "--data", required=True, help="relative data paths of the training run start here"
    )
    parser.add_argument("--count", type=int, default=PHOTOS_PER_EXPRESSION, help="photos of each expression")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    with one_line_errors("tergan_hf.expression_map"):
        if not Path(options.model).is_dir():
            raise MissingFileError(f"there is no folder {options.model}: name the folder with the weights")
        check_writable_folder(options.model)
        sources = training_photos(options.model, options.data_root)
        pipe = TerGanPipeline.from_pretrained(options.model)
        expression_map = fit_map(pipe, list(sources.values()), options.count, options.seed)
        path = expression_map.save(options.model)
        print(f"Wrote {path}, fitted to {len(expression_map.labels)} photos of {', '.join(sources)}")


if __name__ == "__main__":
    main()
