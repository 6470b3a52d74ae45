"""Store the weights of an ONNX graph in 8 bits. The runtime restores floats once, when it loads the graph."""

from pathlib import Path

import numpy as np

from ..model.quantization_tergan import INTEGERS


SMALLEST = 1024  # numbers; smaller tensors stay as they are


def compress_weights(path: str | Path):
    """Rewrite an `.onnx` file: the weights of convolutions as 8-bit integers with one scale per output channel, other
    large tensors in half precision. They are few, and f(e) depends on them directly."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(str(path))
    kept, added = [], []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < SMALLEST:
            kept.append(tensor)
            continue
        values, name = numpy_helper.to_array(tensor), tensor.name
        if values.ndim == 4:
            integers, scale = _to_integers(values)
            kept += [
                numpy_helper.from_array(integers, f"{name}.int8"),
                numpy_helper.from_array(scale, f"{name}.scale"),
            ]
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


def _to_integers(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights (out, in, h, w) → integers from -127 to 127, and a scale per output channel."""
    scale = np.maximum(np.abs(values).max((1, 2, 3), keepdims=True) / INTEGERS, 1e-12).astype(np.float32)
    return np.rint(values / scale).astype(np.int8), scale
