"""TER-GAN image processor: aligned face crops to `pixel_values` and back."""

import numpy as np
import torch
from PIL import Image
from transformers.image_processing_backends import PilBackend
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

    def to_images(self, pixel_values: torch.Tensor) -> list[Image.Image]:
        """The inverse of the preprocessing: (B, 3, H, W) in [-1, 1] → B RGB images of H×W."""
        mean, std = np.asarray(self.image_mean), np.asarray(self.image_std)
        arrays = pixel_values.detach().float().cpu().permute(0, 2, 3, 1).numpy() * std + mean
        return [Image.fromarray(np.uint8(np.rint(np.clip(array, 0, 1) * 255))) for array in arrays]


__all__ = ["TerGanImageProcessor"]
