"""TER-GAN as ONNX: `python -m tergan_hf.export weights/ter-gan onnx/` writes `recognition.onnx` and `transfer.onnx`.

Both take face crops in [-1, 1]; the batch size is free. Needs `pip install -e ".[export]"`.
"""

import argparse
import json
import sys
import warnings
from pathlib import Path

import torch
from torch import nn

from .modeling_tergan import TerGanModel


OPSET = 20


class Recognition(nn.Module):
    """pixel_values (B, C, S, S) → scores (B, num_labels), summing to 1."""

    def __init__(self, model: TerGanModel):
        super().__init__()
        self.model = model

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return self.model.classify(self.model.read_expression(pixel_values)).softmax(1)


class Transfer(nn.Module):
    """source and target (B, C, S, S), intensity (B, 1) → x̄ (B, C, S, S)."""

    def __init__(self, model: TerGanModel):
        super().__init__()
        self.model = model

    def forward(self, source: torch.Tensor, target: torch.Tensor, intensity: torch.Tensor) -> torch.Tensor:
        return self.model(source, target, intensity).pixel_values


def export_onnx(model: TerGanModel, folder: str | Path) -> dict[str, Path]:
    """
    Write both graphs and `labels.json`, the expressions in the order of the scores.

    Returns:
        `{"recognition": path, "transfer": path}`.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    model = model.eval()
    channels, size = model.config.num_channels, model.config.image_size
    crops = torch.zeros(2, channels, size, size)
    graphs = {
        "recognition": (Recognition(model), (crops,), ["pixel_values"], ["scores"]),
        "transfer": (
            Transfer(model), (crops, crops.clone(), torch.ones(2, 1)), ["source", "target", "intensity"],
            ["pixel_values"],
        ),
    }  # fmt: skip
    paths = {}
    for name, (graph, inputs, input_names, output_names) in graphs.items():
        paths[name] = folder / f"{name}.onnx"
        batch = torch.export.Dim("batch")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                graph.eval(), inputs, str(paths[name]), input_names=input_names, output_names=output_names,
                opset_version=OPSET, dynamo=True, dynamic_shapes=tuple({0: batch} for _ in inputs),
                external_data=False, verbose=False,
            )  # fmt: skip
    (folder / "labels.json").write_text(json.dumps(model.config.expressions))
    return paths


def main(argv: list[str] | None = None):
    parser = argparse.ArgumentParser(prog="python -m tergan_hf.export", description=__doc__.splitlines()[0])
    parser.add_argument("model", help="folder or Hub id")
    parser.add_argument("output", help="folder for the .onnx files")
    options = parser.parse_args(argv)
    try:
        paths = export_onnx(TerGanModel.from_pretrained(options.model, use_safetensors=True), options.output)
    except ImportError as error:
        sys.exit(f'tergan_hf.export: {error}. Install what it needs: pip install -e ".[export]"')
    except OSError as error:
        sys.exit(f"tergan_hf.export: {error}")
    for path in paths.values():
        print(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    main()
