"""TER-GAN for the Hugging Face ecosystem: facial expression transfer, editing and recognition with one network."""

from .torchvision_compat import ensure_torchvision


ensure_torchvision()

from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoModelForImageClassification  # noqa: E402

from .configuration_tergan import TerGanConfig  # noqa: E402
from .image_processing_tergan import TerGanImageProcessor  # noqa: E402
from .modeling_tergan import TerGanForImageClassification, TerGanModel, TerGanOutput  # noqa: E402
from .pipeline_tergan import TerGanPipeline  # noqa: E402
from .version import __version__  # noqa: E402


# `AutoModel.from_pretrained` and `pipeline("image-classification")` know TER-GAN once this package is imported.
AutoConfig.register(TerGanConfig.model_type, TerGanConfig, exist_ok=True)
AutoModel.register(TerGanConfig, TerGanModel, exist_ok=True)
AutoModelForImageClassification.register(TerGanConfig, TerGanForImageClassification, exist_ok=True)
AutoImageProcessor.register(TerGanConfig, image_processor_classes={"pil": TerGanImageProcessor}, exist_ok=True)

__all__ = [
    "TerGanConfig",
    "TerGanForImageClassification",
    "TerGanImageProcessor",
    "TerGanModel",
    "TerGanOutput",
    "TerGanPipeline",
    "__version__",
]
