"""Export a model to ONNX: `python -m tergan_hf.export weights/ter-gan onnx/`.

Writes `recognition.onnx` and `transfer.onnx`, which take face crops in [-1, 1] and any batch size. JSON files name the
labels and the blendshapes. Needs `pip install "tergan-hf[export]"`.
"""

import argparse
from pathlib import Path

from ..evaluation.loading import load_model
from ..publishing.onnx_export import FILES, export_onnx
from .errors import one_line_errors
from .outputs import check_outputs


def main(argv: list[str] | None = None):
    parser = argparse.ArgumentParser(prog="python -m tergan_hf.export", description=__doc__.splitlines()[0])
    parser.add_argument("model", help="folder or Hub id")
    parser.add_argument("output", help="folder for the .onnx files")
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    options = parser.parse_args(argv)
    with one_line_errors("tergan_hf.export"):
        folder = Path(options.output)
        check_outputs([folder / name for name in FILES], [], folder, options.overwrite)
        paths = export_onnx(load_model(options.model), folder)
        for path in paths.values():
            print(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    main()
