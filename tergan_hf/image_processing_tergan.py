"""TER-GAN image processor: aligned face crops to `pixel_values` and back."""

import numpy as np
import torch
from PIL import Image
from transformers.image_processing_backends import PilBackend
from transformers.image_processing_base import BatchFeature
from transformers.image_utils import PILImageResampling


class TerGanImageProcessor(PilBackend):
    """Resizes an aligned face crop to `size` and maps [0, 255] to [-1, 1], the decoder's tanh range.

    Finding and aligning the face in a photo is `TerGanPipeline`'s work.
    """

    model_input_names = ["pixel_values"]
    resample = PILImageResampling.BILINEAR
    size = {"height": 75, "width": 75}
    image_mean = [0.5, 0.5, 0.5]
    image_std = [0.5, 0.5, 0.5]
    default_to_square = True
    do_convert_rgb = True
    do_resize = True
    do_rescale = True
    do_normalize = True

    def _preprocess(
        self, images, do_rescale, rescale_factor, do_normalize, image_mean, image_std, return_tensors=None, **kwargs
    ) -> BatchFeature:  # fmt: skip
        # Rescaling and normalising as one multiplication and one addition: the library's own two go through float64
        # and across the memory's order, and take longer than the resize.
        images = super()._preprocess(
            images, do_rescale=False, rescale_factor=None, do_normalize=False, image_mean=None, image_std=None,
            return_tensors=None, **kwargs,
        )["pixel_values"]  # fmt: skip
        factor = rescale_factor if do_rescale else 1.0
        mean, std = (image_mean, image_std) if do_normalize else (0.0, 1.0)
        mean, std = (np.reshape(np.asarray(values, float), (-1, 1, 1)) for values in (mean, std))
        gain, bias = np.float32(factor / std), np.float32(-mean / std)
        images = [np.add(np.multiply(image, gain, dtype=np.float32, order="C"), bias) for image in images]
        return BatchFeature(data={"pixel_values": images}, tensor_type=return_tensors)

    def to_images(self, pixel_values: torch.Tensor) -> list[Image.Image]:
        """The inverse of the preprocessing: (B, 3, H, W) in [-1, 1] → B RGB images of H×W."""
        mean, std = np.asarray(self.image_mean), np.asarray(self.image_std)
        arrays = pixel_values.detach().float().cpu().permute(0, 2, 3, 1).numpy() * std + mean
        return [Image.fromarray(np.uint8(np.rint(np.clip(array, 0, 1) * 255))) for array in arrays]


__all__ = ["TerGanImageProcessor"]
