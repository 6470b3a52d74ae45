"""Write a network as an ONNX file."""

import importlib.util
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from ..model.errors_tergan import MissingPackageError


OPSET = 19  # the last one whose GridSample onnxruntime-web computes on a GPU
PACKAGES = ("onnx", "onnxscript")


@dataclass(frozen=True)
class Graph:
    """
    A network to export.

    Args:
        network: takes the inputs in their order.
        inputs: name → example, at least 2 long in a size that may vary.
        outputs: names.
        dynamic: input → axis → name of a size that may vary.
    """

    network: nn.Module
    inputs: dict[str, torch.Tensor]
    outputs: tuple[str, ...]
    dynamic: dict[str, dict[int, str]] = field(default_factory=dict)


@contextmanager
def written_aside(folder: Path) -> Iterator[Path]:
    """A temporary folder whose files move to `folder` in the end, so that `folder` never holds half a model."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".tergan-", dir=folder) as aside:
        yield Path(aside)
        for path in Path(aside).iterdir():
            path.replace(folder / path.name)


def require_packages():
    """
    Raises:
        MissingPackageError: a package that the export needs is not installed.
    """
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingPackageError(f'the export needs {" and ".join(missing)}: pip install -e ".[export]"')


def write_graph(graph: Graph, path: str | Path):
    """Trace a network and write it to an `.onnx` file, without notes on the code that it was made from."""
    sizes = {name: torch.export.Dim(name) for axes in graph.dynamic.values() for name in axes.values()}
    shapes = tuple(
        {axis: sizes[name] for axis, name in graph.dynamic[key].items()} if key in graph.dynamic else None
        for key in graph.inputs
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph.network.eval(), tuple(graph.inputs.values()), str(path), input_names=list(graph.inputs),
            output_names=list(graph.outputs), opset_version=OPSET, dynamo=True,
            dynamic_shapes=shapes if graph.dynamic else None, external_data=False, verbose=False,
        )  # fmt: skip
    _drop_notes(path)


def _drop_notes(path: str | Path):
    """Remove what the exporter notes about the code that a graph was made from, with paths of this machine."""
    import onnx

    model = onnx.load(str(path))
    values = (
        *model.graph.node,
        *model.graph.initializer,
        *model.graph.value_info,
        *model.graph.input,
        *model.graph.output,
    )
    for item in (model, model.graph, *values, *model.functions):
        item.doc_string = ""
        del item.metadata_props[:]
    onnx.save(model, str(path))
