"""Store the weights of an ONNX graph in 8 bits. The runtime restores floats once, when it loads the graph."""

from pathlib import Path

import numpy as np

from ..model.quantization_tergan import INTEGERS


SMALLEST = 1024  # numbers; smaller tensors stay as they are


def compress_weights(path: str | Path):
    """Rewrite the matrices and convolutions of an `.onnx` file as 8-bit integers with one scale per output channel, and
    its other large tensors in half precision."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(str(path))
    kept, added = [], []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < SMALLEST:
            kept.append(tensor)
            continue
        values, name = numpy_helper.to_array(tensor), tensor.name
        if values.ndim >= 2:
            integers, scale = _to_integers(values, axis=_output_axis(model.graph, name))
            kept += [numpy_helper.from_array(integers, f"{name}.int8"), numpy_helper.from_array(scale, f"{name}.scale")]
            added += [
                helper.make_node("Cast", [f"{name}.int8"], [f"{name}.float"], to=TensorProto.FLOAT),
                helper.make_node("Mul", [f"{name}.float", f"{name}.scale"], [name]),
            ]
        else:
            kept.append(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
            added.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*added, *nodes])
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _output_axis(graph, name: str) -> int:
    """The axis of the output channels: the last one of a right factor that is not transposed, else the first."""
    for node in graph.node:
        if name in node.input:
            transposed = any(item.name == "transB" and item.i for item in node.attribute)
            return -1 if node.op_type in ("MatMul", "Gemm") and node.input[1] == name and not transposed else 0
    return 0


def _to_integers(values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Integers from -127 to 127 and a scale per channel, in a shape that multiplies them."""
    others = tuple(other for other in range(values.ndim) if other != axis % values.ndim)
    scale = np.maximum(np.abs(values).max(others, keepdims=True) / INTEGERS, 1e-12).astype(np.float32)
    return np.rint(values / scale).astype(np.int8), scale
