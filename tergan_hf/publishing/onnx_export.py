"""Export TER-GAN as ONNX graphs."""

import json
from pathlib import Path

import torch
from torch import nn

from ..model.modeling_tergan import TerGanModel
from .onnx_graph import Graph, require_packages, write_graph, written_aside


LABELS, BLENDSHAPES = "labels.json", "blendshapes.json"
FILES = ("recognition.onnx", "transfer.onnx", LABELS, BLENDSHAPES)  # the last one for models that read blendshapes


class Recognition(nn.Module):
    """pixel_values (B, C, S, S) → scores (B, num_labels), which sum to 1, and blendshapes (B, K) if the model reads
    them."""

    def __init__(self, model: TerGanModel):
        super().__init__()
        self.model = model

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        expression, blendshapes = self.model.read_both(pixel_values)
        scores = self.model.classify(expression).softmax(1)
        return scores if blendshapes is None else (scores, blendshapes)


class Transfer(nn.Module):
    """source and target (B, C, S, S), intensity (B, 1) → x̄ (B, C, S, S)."""

    def __init__(self, model: TerGanModel):
        super().__init__()
        self.model = model

    def forward(self, source: torch.Tensor, target: torch.Tensor, intensity: torch.Tensor) -> torch.Tensor:
        return self.model(source, target, intensity).pixel_values


def export_onnx(model: TerGanModel, folder: str | Path) -> dict[str, Path]:
    """
    Write `recognition.onnx`, `transfer.onnx`, and `labels.json` with the expressions in the order of the scores. With
    a model that reads blendshapes, `recognition.onnx` has them as its second output, and `blendshapes.json` has their
    names in the same order.

    Args:
        folder: created if needed. A `blendshapes.json` of another model is removed.

    Returns:
        `{"recognition": path, "transfer": path}`.

    Raises:
        MissingPackageError: a package that the export needs is not installed.
    """
    require_packages()
    folder = Path(folder)
    model = model.eval()
    channels, size = model.config.num_channels, model.config.image_size
    names = list(model.config.blendshape_names)
    crops = torch.zeros(2, channels, size, size)
    batch, outputs = {0: "batch"}, ("scores", "blendshapes") if names else ("scores",)
    transfer_inputs = {"source": crops, "target": crops.clone(), "intensity": torch.ones(2, 1)}
    graphs = {
        "recognition": Graph(Recognition(model), {"pixel_values": crops}, outputs, {"pixel_values": batch}),
        "transfer": Graph(Transfer(model), transfer_inputs, ("pixel_values",), dict.fromkeys(transfer_inputs, batch)),
    }
    with written_aside(folder) as aside:
        for name, graph in graphs.items():
            write_graph(graph, aside / f"{name}.onnx")
        (aside / LABELS).write_text(json.dumps(model.config.expressions), encoding="utf-8")
        if names:
            (aside / BLENDSHAPES).write_text(json.dumps(names), encoding="utf-8")
        else:
            (folder / BLENDSHAPES).unlink(missing_ok=True)
    return {name: folder / f"{name}.onnx" for name in graphs}
