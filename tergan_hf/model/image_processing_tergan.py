"""TER-GAN image processor: aligned face crops → `pixel_values`, and back."""

import math
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers.image_processing_backends import PilBackend
from transformers.image_processing_base import BatchFeature
from transformers.image_utils import PILImageResampling

from .configuration_checks_tergan import BOUNDS, is_finite_number
from .errors_tergan import InvalidInputError


_FILE = "preprocessor_config.json"


class TerGanImageProcessor(PilBackend):
    """Resizes an aligned face crop to `size` and maps [0, 255] to [-1, 1], the decoder's tanh range.

    `TerGanPipeline` finds and aligns the face in a photo.
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

    @classmethod
    def get_image_processor_dict(
        cls, pretrained_model_name_or_path, **kwargs
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        try:
            settings, kwargs = super().get_image_processor_dict(pretrained_model_name_or_path, **kwargs)
        except (AttributeError, TypeError) as error:  # the file holds a list, a word or a number
            raise InvalidInputError(f"{_FILE} must hold an object ({error})") from error
        _check_settings(settings)
        return settings, kwargs

    def resize(self, image: np.ndarray, size, resample=None, **kwargs) -> np.ndarray:
        # A grey photo needs only one of its channels enlarged, and checking for grey is faster than enlarging.
        enlarges = size.height and image[0].size <= size.height * size.width and image.dtype == np.uint8
        if enlarges and len(image) == 3 and (image[:2] == image[1:]).all():
            grey = Image.fromarray(image[0]).resize((size.width, size.height), resample)
            return np.broadcast_to(np.asarray(grey), (3, size.height, size.width))
        return super().resize(image, size, resample=resample, **kwargs)

    def _preprocess(
        self, images, do_rescale, rescale_factor, do_normalize, image_mean, image_std, return_tensors=None, **kwargs
    ) -> BatchFeature:  # fmt: skip
        # Rescale and normalise in one multiplication and one addition. The library's own two steps go through float64
        # and take longer than the resize.
        images = super()._preprocess(
            images, do_rescale=False, rescale_factor=None, do_normalize=False, image_mean=None, image_std=None,
            return_tensors=None, **kwargs,
        )["pixel_values"]  # fmt: skip
        factor = rescale_factor if do_rescale else 1.0
        mean, std = (image_mean, image_std) if do_normalize else (0.0, 1.0)
        mean, std = (np.reshape(np.asarray(values, float), (-1, 1, 1)) for values in (mean, std))
        gain, bias = (factor / std).astype(np.float32), (-mean / std).astype(np.float32)
        if np.ptp(gain) == np.ptp(bias) == 0:
            gain, bias = gain[:1], bias[:1]
        images = [_shift(image, gain, bias) for image in images]
        if return_tensors is None:
            images = [np.array(image) for image in images]  # writable copies
        return BatchFeature(data={"pixel_values": images}, tensor_type=return_tensors)

    def to_images(self, pixel_values: torch.Tensor) -> list[Image.Image]:
        """Invert the preprocessing: (B, 3, H, W) in [-1, 1] → B RGB images of H×W."""
        mean, std = np.asarray(self.image_mean), np.asarray(self.image_std)
        arrays = pixel_values.detach().float().cpu().permute(0, 2, 3, 1).numpy() * std + mean
        return [Image.fromarray(np.rint(np.clip(array, 0, 1) * 255).astype(np.uint8)) for array in arrays]


def _check_settings(settings: dict[str, Any]):
    """
    Check what a file says before any photo is resized by it.

    Raises:
        InvalidInputError: a value is of the wrong type or out of bounds; the message names it.
    """
    if not isinstance(settings, dict):
        raise InvalidInputError(f"{_FILE} must hold an object, not a {type(settings).__name__}")
    smallest, largest = BOUNDS["image_size"]
    size = settings.get("size", TerGanImageProcessor.size)
    sides: list[Any] = [size.get("height"), size.get("width")] if isinstance(size, dict) else [size, size]
    if not all(is_finite_number(side) and side % 1 == 0 and smallest <= side <= largest for side in sides):
        raise InvalidInputError(f"{_FILE}: size must have a height and a width from {smallest} to {largest} pixels")
    for name, expected in (("do_resize", True), ("do_center_crop", None), ("do_pad", None)):
        if bool(settings.get(name, expected)) is not bool(expected):
            raise InvalidInputError(f"{_FILE}: {name} must be {bool(expected)}, so that crops have the size given")
    for name, lowest in (("image_mean", -math.inf), ("image_std", 1e-6)):
        values = settings.get(name) or getattr(TerGanImageProcessor, name)
        if not isinstance(values, (list, tuple)) or len(values) != 3 or not all(map(is_finite_number, values)):
            raise InvalidInputError(f"{_FILE}: {name} must be three numbers")
        if min(values) < lowest:
            raise InvalidInputError(f"{_FILE}: {name} must be above 0")
    factor = settings.get("rescale_factor", 1 / 255)
    if not is_finite_number(factor) or factor <= 0:
        raise InvalidInputError(f"{_FILE}: rescale_factor must be a number above 0")
    if settings.get("resample", 2) not in list(PILImageResampling):
        raise InvalidInputError(f"{_FILE}: resample must be one of Pillow's filters, 0 to 5")


def _shift(image: np.ndarray, gain: np.ndarray, bias: np.ndarray) -> np.ndarray:
    # A grey image from `resize` is one channel broadcast three times; compute it once.
    values = image[:1] if image.strides[0] == 0 and len(gain) == 1 else image
    values = np.add(np.multiply(values, gain, dtype=np.float32, order="C"), bias)
    return np.broadcast_to(values, image.shape) if len(values) < len(image) else values


__all__ = ["TerGanImageProcessor"]
