"""Makes `import torchvision` work beside a torch build that its compiled operators do not fit.

A torchvision wheel built for CUDA dies at import beside a CPU-only torch with «operator torchvision::nms does not
exist», and takes `transformers` and `facenet_pytorch` with it. Call `ensure_torchvision()` before importing either.
"""

import importlib
import sys

import torch


_library = None  # torch drops the registered operators when their Library object is collected


def ensure_torchvision() -> None:
    """Import torchvision; where its compiled operators are missing, register CPU kernels for `nms` and `qnms` first.

    Does nothing where torchvision works or is not installed.

    Raises:
        RuntimeError: torchvision fails to import for any other reason.
    """
    global _library
    if _library is not None:
        return
    try:
        importlib.import_module("torchvision")
    except ModuleNotFoundError:
        return
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        _library = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            _library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            _library.impl(name, non_maximum_suppression, "CPU")
        importlib.import_module("torchvision")
        boxes = importlib.import_module("torchvision.ops.boxes")
        setattr(boxes, "_assert_has_ops", lambda: None)  # noqa: B010  not in its stubs


def non_maximum_suppression(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """Greedy non-maximum suppression, the contract of `torchvision.ops.nms`.

    Args:
        boxes: (N, 4) corners x1, y1, x2, y2.
        scores: (N,) confidences.
        iou_threshold: a box is dropped when its intersection over union with a better one exceeds this.

    Returns:
        (K,) int64 indices of the kept boxes, best score first.
    """
    x1, y1, x2, y2 = boxes.float().unbind(1)
    areas = (x2 - x1) * (y2 - y1)
    order = scores.argsort(descending=True, stable=True)
    kept = []
    while order.numel():
        best, order = order[0], order[1:]
        kept.append(best)
        width = (torch.minimum(x2[best], x2[order]) - torch.maximum(x1[best], x1[order])).clamp(min=0)
        height = (torch.minimum(y2[best], y2[order]) - torch.maximum(y1[best], y1[order])).clamp(min=0)
        intersection = width * height
        order = order[intersection / (areas[best] + areas[order] - intersection) <= iou_threshold]
    return torch.stack(kept) if kept else torch.empty(0, dtype=torch.long)
