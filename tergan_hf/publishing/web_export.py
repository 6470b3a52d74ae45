"""Export a model for the page in `web/`, which runs it in the browser."""

import json
from pathlib import Path

from safetensors.numpy import save

from ..evaluation.expression_map import ExpressionMap
from ..model.errors_tergan import InvalidInputError
from ..model.modeling_tergan import TerGanModel
from .onnx_graph import require_packages, write_graph, written_aside
from .onnx_storage import compress_weights
from .web_graphs import browser_graphs
from .web_manifest import build_manifest, build_tables


GRAPHS = ("pnet", "rnet", "onet", "expression_encoder", "identity_encoder", "decoder")
MANIFEST, TABLES = "model.json", "tables.safetensors"
FILES = (*(f"{name}.onnx" for name in GRAPHS), TABLES, MANIFEST)
# Landmarks keep their full precision; the networks are small.
FULL_PRECISION = frozenset({"pnet", "rnet", "onet"})


def export_web(
    model: TerGanModel, folder: str | Path, name: str = "ter-gan", expression_map: ExpressionMap | None = None
) -> dict[str, Path]:
    """
    Write the graphs of `browser_graphs` with 8-bit weights, `tables.safetensors` and `model.json`.

    Args:
        folder: created if needed.
        name: of the model, shown on the page.
        expression_map: of the model, if it has one.

    Returns:
        file name → path.

    Raises:
        InvalidInputError: the model has no photo decoder.
        MissingPackageError: a package that the export needs is not installed.
    """
    require_packages()
    if model.config.decoder_type != "photo":
        raise InvalidInputError(
            "the page in the browser needs the photo decoder (decoder_type 'photo'), which changes a photo's pixels"
        )
    folder = Path(folder)
    with written_aside(folder) as made:
        for graph_name, graph in browser_graphs(model.eval()).items():
            path = made / f"{graph_name}.onnx"
            write_graph(graph, path)
            if graph_name not in FULL_PRECISION:
                compress_weights(path)
        # `save_file` would make a file that a web server of another user cannot read.
        (made / TABLES).write_bytes(save(build_tables(model, expression_map)))
        manifest = build_manifest(model, name, {path.name: path.stat().st_size for path in sorted(made.iterdir())})
        (made / MANIFEST).write_text(json.dumps(manifest, ensure_ascii=False, indent=1), encoding="utf-8")
    return {name: folder / name for name in FILES}
