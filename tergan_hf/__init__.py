"""TER-GAN for the Hugging Face ecosystem: facial expression transfer, editing and recognition with one network."""

from .model.torchvision_compat import ensure_torchvision


ensure_torchvision()

from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoModelForImageClassification  # noqa: E402

from .model.configuration_tergan import TerGanConfig  # noqa: E402
from .model.errors_tergan import (  # noqa: E402
    ImageInputError,
    InvalidInputError,
    MissingFileError,
    MissingPackageError,
    NoFaceFoundError,
    OutputFileError,
    TerGanError,
    VideoInputError,
    VideoLimitError,
)
from .model.face_detection_tergan import DetectedFace, FaceDetector  # noqa: E402
from .model.image_processing_tergan import TerGanImageProcessor  # noqa: E402
from .model.modeling_tergan import TerGanForImageClassification, TerGanModel  # noqa: E402
from .model.outputs_tergan import TerGanChange, TerGanOutput, TerGanTarget  # noqa: E402
from .model.pipeline_tergan import TerGanPipeline  # noqa: E402
from .model.video_tergan import VideoLimits, VideoReport  # noqa: E402
from .provenance.saving import save_synthetic, signed_clip  # noqa: E402
from .provenance.signing import ManifestSigner  # noqa: E402
from .provenance.verification import verify_file  # noqa: E402
from .version import __version__  # noqa: E402


# `AutoModel.from_pretrained` and `pipeline("image-classification")` know TER-GAN once this package is imported.
AutoConfig.register(TerGanConfig.model_type, TerGanConfig, exist_ok=True)
AutoModel.register(TerGanConfig, TerGanModel, exist_ok=True)
AutoModelForImageClassification.register(TerGanConfig, TerGanForImageClassification, exist_ok=True)
AutoImageProcessor.register(TerGanConfig, image_processor_classes={"pil": TerGanImageProcessor}, exist_ok=True)

__all__ = [
    "DetectedFace",
    "FaceDetector",
    "ImageInputError",
    "InvalidInputError",
    "ManifestSigner",
    "MissingFileError",
    "MissingPackageError",
    "NoFaceFoundError",
    "OutputFileError",
    "TerGanChange",
    "TerGanConfig",
    "TerGanError",
    "TerGanForImageClassification",
    "TerGanImageProcessor",
    "TerGanModel",
    "TerGanOutput",
    "TerGanPipeline",
    "TerGanTarget",
    "VideoInputError",
    "VideoLimitError",
    "VideoLimits",
    "VideoReport",
    "__version__",
    "save_synthetic",
    "signed_clip",
    "verify_file",
]
