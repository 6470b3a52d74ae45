"""The transformers pipeline `facial-expression-transfer`: a photo and an expression in, a photo out."""

import io
from collections.abc import Mapping
from pathlib import Path

from transformers import Pipeline

from .errors_tergan import InvalidInputError
from .image_loading_tergan import ImageLike
from .model_loading_tergan import choose_device
from .pipeline_base_tergan import pair_up
from .pipeline_tergan import TerGanPipeline
from .remote_code_tergan import code_beside


TASK = "facial-expression-transfer"
PARAMETERS = ("expression", "intensity", "detect", "paste_back", "face", "source_face", "test_time_augmentation")


class FacialExpressionTransferPipeline(Pipeline):
    """
    Facial expression transfer and editing as a transformers pipeline.

    Example:
    ```python
    >>> from transformers import pipeline
    >>> transfer = pipeline("facial-expression-transfer", model="org/ter-gan", trust_remote_code=True)
    >>> transfer("me.jpg", expression="smiling.jpg")  # or a label: expression="happiness"
    <PIL.Image.Image image mode=RGB size=640x640>
    >>> transfer("me.jpg", expression={"jawOpen": 0.4, "gazeLeft": 20})
    <PIL.Image.Image image mode=RGB size=640x640>
    ```

    A list of photos gives a list; a list of expressions beside it has one for each photo. The other parameters are
    those of `TerGanPipeline.edit`.
    """

    _load_processor = False
    _load_image_processor = True
    _load_feature_extractor = False
    _load_tokenizer = False

    def __init__(self, *args, **kwargs):
        # Photos differ in size, so they are worked on one by one, whatever batch size is asked for.
        kwargs.pop("batch_size", None)
        model = args[0] if args else kwargs.get("model")
        if kwargs.get("device") is None and getattr(model, "hf_device_map", None) is None:
            kwargs["device"] = choose_device()
        super().__init__(*args, **kwargs)
        self.photos = TerGanPipeline(self.model, self.image_processor)

    def __call__(
        self,
        image: ImageLike | list[ImageLike],
        expression: str | Mapping[str, float] | ImageLike | list | None = None,
        **kwargs,
    ):
        """
        Args:
            image: the photo to change.
            expression: a photo that shows the expression, one of the model's labels, or values by name.
            intensity, detect, paste_back, face, source_face, test_time_augmentation: as for `TerGanPipeline.edit`.

        Raises:
            InvalidInputError: no expression, no face, lists of different length, or another error of
                `TerGanPipeline.edit`.
        """
        kwargs.pop("batch_size", None)
        if isinstance(image, (list, tuple)) and isinstance(expression, (list, tuple)):
            (images, expressions), _ = pair_up(("image", image), ("expression", expression))
            photos = [{"image": photo, "expression": own} for (_, photo), (_, own) in zip(images, expressions)]
            return super().__call__(photos, **kwargs)
        if expression is not None:
            kwargs["expression"] = expression
        return super().__call__(image, **kwargs)

    def save_pretrained(self, save_directory: str | Path, **kwargs):
        """Save model and processor, with the code that `config.json` names."""
        with code_beside(self, save_directory, kwargs):
            super().save_pretrained(save_directory, **kwargs)

    def _sanitize_parameters(self, **given):
        unknown = sorted(set(given) - set(PARAMETERS))
        if unknown:
            raise InvalidInputError(f"unknown parameter '{unknown[0]}'; known: {', '.join(PARAMETERS)}")
        return {}, given, {}

    def preprocess(self, image: ImageLike | dict) -> dict:
        """Pass the whole photo on, with its own expression if it has one: face detection needs all of it."""
        if not isinstance(image, dict):
            return {"image": image}
        if "image" in image:
            return image
        content, path = image.get("bytes"), image.get("path")  # a cell of `datasets` that is not decoded
        if content is None and path is None:
            raise InvalidInputError(f"a dict needs the key 'image', and may have 'expression'; got {', '.join(image)}")
        return {"image": path if content is None else io.BytesIO(content)}

    def _forward(self, inputs: dict, expression=None, **how):
        expression = inputs.get("expression", expression)
        if expression is None:
            labels = ", ".join(self.photos.labels)
            raise InvalidInputError(f"expression is missing: give a photo that shows it, or one of {labels}")
        return self.photos.edit(inputs["image"], expression, **how)

    def postprocess(self, result):
        """Return the photo."""
        return result
