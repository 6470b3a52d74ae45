"""LPIPS (Zhang et al. 2018) and KID (Bińkowski et al. 2018), computed by torchmetrics.

The first use downloads the weights of AlexNet and InceptionV3.
"""

from typing import Any

import numpy as np
import torch


INSTALL = 'pip install "torchmetrics[image]"'
SUBSET = 100  # images in a subset of KID


class PerceptualMetrics:
    """
    LPIPS and KID of several systems.

    Args:
        enabled: `False` computes and downloads nothing.
        device: where the networks run.

    Attributes:
        unavailable: metric → why it is not computed.
    """

    def __init__(self, enabled: bool = True, device: str | torch.device = "cpu"):
        self.device = device
        self.unavailable: dict[str, str] = {}
        self.scores: dict[str, Any] = {}
        self.distances: dict[str, Any] = {}
        self.similarity = self._load("LPIPS", _load_lpips) if enabled else None
        self.distance = self._load("KID", _load_kid) if enabled else None
        if not enabled:
            self.unavailable = dict.fromkeys(("LPIPS", "KID"), "switched off (--no-perceptual)")

    def _load(self, name: str, load):
        try:
            return load().to(self.device)
        except ImportError:  # its own message names folders of this machine
            self.unavailable[name] = INSTALL
        except (OSError, RuntimeError) as error:
            self.unavailable[name] = f"its network's weights cannot be reached ({error})"
        return None

    def start(self, name: str):
        """Begin the measurement of a system."""
        self.scores[name] = []
        if self.distance is not None:
            self.distances[name] = self.distance.clone()

    @torch.inference_mode()
    def update(self, name: str, images: np.ndarray, truths: np.ndarray):
        """Add results and their true images, (B, H, W, 3) uint8."""
        generated, real = (torch.from_numpy(stack).permute(0, 3, 1, 2).to(self.device) for stack in (images, truths))
        if self.similarity is not None:
            mean = float(self.similarity(generated / 127.5 - 1, real / 127.5 - 1))
            self.scores[name] += [mean] * len(generated)
        if self.distance is not None:
            self.distances[name].update(generated, real=False)
            self.distances[name].update(real, real=True)

    def compute(self, name: str) -> dict[str, float]:
        """`lpips` and `kid` of a system, without those that are unavailable."""
        row = {}
        if self.scores.get(name):
            row["lpips"] = float(np.mean(self.scores[name]))
        if (distance := self.distances.get(name)) is not None:
            distance.subset_size = min(SUBSET, sum(len(part) for part in distance.real_features))
            with torch.random.fork_rng():
                torch.manual_seed(0)
                row["kid"] = float(distance.compute()[0])
        return row


def _load_lpips():
    from torchmetrics.image import LearnedPerceptualImagePatchSimilarity

    return LearnedPerceptualImagePatchSimilarity(net_type="alex")


def _load_kid():
    from torchmetrics.image import KernelInceptionDistance

    return KernelInceptionDistance(subsets=20, subset_size=SUBSET)
