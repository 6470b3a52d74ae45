"""Draw the expression map: `python -m tergan_hf.expression_map --model weights/ter-gan --data_root data` writes
`expression_map.safetensors` beside the weights."""

import argparse
import sys

from ..evaluation.map_fitting import PHOTOS_PER_EXPRESSION, map_of_photos, training_photos
from ..model.errors_tergan import TerGanError
from ..model.pipeline_tergan import TerGanPipeline


def main(argv: list[str] | None = None):
    parser = argparse.ArgumentParser(
        prog="python -m tergan_hf.expression_map", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="weights/ter-gan", help="folder with the weights and their training.yaml")
    parser.add_argument("--data_root", "--data", required=True, help="folder the run's data paths start from")
    parser.add_argument("--count", type=int, default=PHOTOS_PER_EXPRESSION, help="photos of each expression")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    try:
        sources = training_photos(options.model, options.data_root)
        pipe = TerGanPipeline.from_pretrained(options.model)
        fitted = map_of_photos(pipe, list(sources.values()), options.count, options.seed)
    except (TerGanError, OSError) as error:
        sys.exit(f"tergan_hf.expression_map: {error}")
    path = fitted.save(options.model)
    print(f"{len(fitted.labels)} photos of {', '.join(sources)} in {path}")


if __name__ == "__main__":
    main()
