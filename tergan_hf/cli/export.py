"""Export a model to ONNX: `python -m tergan_hf.export weights/ter-gan onnx/`.

Writes `recognition.onnx` and `transfer.onnx`, which take face crops in [-1, 1] and any batch size. JSON files name the
labels and the blendshapes. `--web` writes what the page in a browser needs instead. Needs
`pip install -e ".[export]"`.
"""

import argparse
from pathlib import Path

from ..evaluation.expression_map import ExpressionMap
from ..evaluation.loading import load_model
from ..publishing import onnx_export, web_export
from .errors import one_line_errors
from .outputs import check_outputs


def main(argv: list[str] | None = None):
    parser = argparse.ArgumentParser(prog="python -m tergan_hf.export", description=__doc__.splitlines()[0])
    parser.add_argument("model", help="folder or Hub id")
    parser.add_argument("output", help="folder for the .onnx files")
    parser.add_argument(
        "--web", action="store_true", help="write what the page in a browser needs (see docs/browser.md)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    options = parser.parse_args(argv)
    with one_line_errors("tergan_hf.export"):
        folder = Path(options.output)
        files = web_export.FILES if options.web else onnx_export.FILES
        check_outputs([folder / name for name in files], [], folder, options.overwrite)
        model = load_model(options.model)
        if options.web:
            expression_map = ExpressionMap.from_pretrained(options.model, model.config)
            paths = web_export.export_web(model, folder, _model_name(options.model), expression_map)
        else:
            paths = onnx_export.export_onnx(model, folder)
        for path in paths.values():
            print(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")


def _model_name(model: str) -> str:
    """The last part of a folder's path, or a Hub id."""
    return Path(model).resolve().name if Path(model).is_dir() else model


if __name__ == "__main__":
    main()
