"""TER-GAN for the Hugging Face ecosystem: facial expression transfer, editing and recognition with one network."""

from .torchvision_compat import ensure_torchvision


ensure_torchvision()

from .configuration_tergan import TerGanConfig  # noqa: E402
from .image_processing_tergan import TerGanImageProcessor  # noqa: E402
from .modeling_tergan import TerGanForImageClassification, TerGanModel, TerGanOutput  # noqa: E402


__version__ = "0.1.0"

__all__ = [
    "TerGanConfig",
    "TerGanForImageClassification",
    "TerGanImageProcessor",
    "TerGanModel",
    "TerGanOutput",
]
