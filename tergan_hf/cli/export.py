"""Export to ONNX: `python -m tergan_hf.export weights/ter-gan onnx/` writes `recognition.onnx` and `transfer.onnx`.

Both take face crops in [-1, 1] and any batch size. Needs `pip install "tergan-hf[export]"`.
"""

import argparse
import sys

from ..model.errors_tergan import TerGanError
from ..model.modeling_tergan import TerGanModel
from ..publishing.onnx_export import export_onnx


def main(argv: list[str] | None = None):
    parser = argparse.ArgumentParser(prog="python -m tergan_hf.export", description=__doc__.splitlines()[0])
    parser.add_argument("model", help="folder or Hub id")
    parser.add_argument("output", help="folder for the .onnx files")
    options = parser.parse_args(argv)
    try:
        paths = export_onnx(TerGanModel.from_pretrained(options.model, use_safetensors=True), options.output)
    except ImportError as error:
        sys.exit(f'tergan_hf.export: {error}. Install what it needs: pip install "tergan-hf[export]"')
    except (TerGanError, OSError) as error:
        sys.exit(f"tergan_hf.export: {error}")
    for path in paths.values():
        print(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    main()
