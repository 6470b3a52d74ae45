"""Compare ONNX with PyTorch: the largest difference, and the milliseconds per face of both.

The graphs compute in floats. The difference is that to PyTorch in floats, too; the times of PyTorch are those of use,
where G_es multiplies 8-bit integers on an x86 CPU.

`python benchmarks/export.py` needs `pip install -e ".[export]"`.
"""

import argparse
import copy
import functools
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from tergan_hf import TerGanModel
from tergan_hf.model.quantization_tergan import is_supported
from tergan_hf.publishing.onnx_export import export_onnx


ROOT = Path(__file__).resolve().parents[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default=str(ROOT / "weights" / "ter-gan"))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=30)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = TerGanModel.from_pretrained(options.weights).eval()
    floats = copy.deepcopy(model).dequantize()
    precision = "8-bit G_es" if computes_in_int8(model) else "floats"
    size = model.config.image_size
    generator = torch.Generator().manual_seed(0)
    source, target = (torch.rand(1, 3, size, size, generator=generator) * 2 - 1 for _ in range(2))
    one = torch.ones(1, 1)
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode(False), torch.no_grad():
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = options.threads
        paths = export_onnx(model, folder)
        sessions = {name: onnxruntime.InferenceSession(str(path), settings) for name, path in paths.items()}
        uses = {
            "recognition": (
                lambda network: network.classify(network.read_expression(source)).softmax(1).numpy(),
                lambda: sessions["recognition"].run(None, {"pixel_values": source.numpy()})[0],
            ),
            "transfer": (
                lambda network: network(source, target, one).pixel_values.numpy(),
                lambda: sessions["transfer"].run(
                    None, {"source": source.numpy(), "target": target.numpy(), "intensity": one.numpy()}
                )[0],
            ),
        }
        print(f"{options.threads} threads, one face of {size} px at a time, medians of {options.repeats}")
        for name, (in_torch, in_onnx) in uses.items():
            difference = np.abs(in_torch(floats) - in_onnx()).max()
            # Take turns, so that both meet the same load of the machine.
            pair = functools.partial(in_torch, model), in_onnx
            times = np.array([[_milliseconds(call) for call in pair] for _ in range(options.repeats)])
            torch_ms, onnx_ms = np.median(times, axis=0)
            print(
                f"{name:12s} PyTorch ({precision}) {torch_ms:6.2f} ms   ONNX (floats) {onnx_ms:6.2f} ms   largest "
                f"difference in floats {difference:.1e}"
            )


def computes_in_int8(model: TerGanModel) -> bool:
    """Whether G_es multiplies 8-bit integers here: its ranges are measured, and the processor is an x86 CPU."""
    ranges = model.expression_encoder.activation_ranges
    return is_supported() and ranges is not None and bool(ranges.any())


def _milliseconds(call) -> float:
    start = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - start)


if __name__ == "__main__":
    main()
