"""TerGanPipeline: photos in, photos out."""

import warnings
from collections.abc import Mapping

import torch
from PIL import Image

from .expression_requests_tergan import WantedExpressions
from .face_alignment_tergan import zoom_out
from .face_detection_tergan import Face
from .image_loading_tergan import ImageLike, full_name, read_image
from .outputs_tergan import TerGanChange
from .pipeline_base_tergan import (
    BATCH_SIZE,
    UNSURE,
    CroppedFace,
    check_intensity,
    check_threshold,
    pair_up,
)
from .pipeline_videos_tergan import VideoPipeline
from .provenance_tergan import as_synthetic


# The second view of a photo is a crop this much larger, in which a jaw has room to open.
WIDER_MARGIN = 1.08


class TerGanPipeline(VideoPipeline):
    """
    Facial expression transfer, editing and recognition on photos and clips.

    An image is a PIL image, a path, or an H×W×3 uint8 array; its EXIF rotation is applied. A list of images gives a
    list of results. A list beside a single image uses the single one for all. In each photo the largest face counts,
    or the one that `face` names: 1 is the second largest (see `faces`), a point (x, y) in photo pixels is the face
    there.

    All methods raise `NoFaceFoundError` if `detect=True` finds no face, and `ImageInputError` or `MissingFileError` if
    an image cannot be read. The message names the input.

    Example:
    ```python
    >>> pipe = TerGanPipeline.from_pretrained("weights/ter-gan")
    >>> pipe.transfer("smiling.jpg", "me.jpg").save("me_smiling.png")
    >>> pipe.recognize("me.jpg")[0]["label"]
    'neutral'
    >>> pipe.blendshapes("me.jpg")["jawOpen"]  # with weights that read them
    0.12
    ```
    """

    @torch.inference_mode()
    def transfer(
        self,
        source: ImageLike | list[ImageLike],
        target: ImageLike | list[ImageLike],
        intensity: float = 1.0,
        detect: bool = True,
        paste_back: bool = True,
        face: Face = None,
        source_face: Face = None,
        test_time_augmentation: bool = True,
    ) -> Image.Image | list[Image.Image]:
        """
        Give the target's face the source's expression.

        Args:
            source: shows the expression. target: the photo to change.
            intensity: 0 keeps the target's expression, 1 is the source's, above 1 exaggerates.
            detect: find and align the faces; `False` takes each image as an aligned face crop.
            paste_back: the result has the size of the target photo; `False` gives the network's crop alone.
            face: which face of the target. source_face: which face of the source.
            test_time_augmentation: average the changes found in the face and in its mirror image and, with
                `paste_back` and the photo decoder, in a wider crop of both. It is slower and nearer to the truth;
                `False` takes one view, as clips do. A model that replaces the whole face always takes one view.

        Returns:
            RGB image or list of images. Their `save` writes into the file that they are synthetic.

        Raises:
            InvalidInputError: the intensity is not a finite number, the lists differ in length, or there is no such
                face.
        """
        intensity = check_intensity(intensity)
        (sources, targets), single = pair_up(("source", source), ("target", target))
        cropped_sources = self._crop_all(sources, detect, source_face)
        cropped_targets = self._crop_all(targets, detect, face)
        expressions = WantedExpressions.of_embeddings(self._encode_both_ways(self.pixel_values(cropped_sources)))
        results = self._synthesize(expressions, cropped_targets, intensity, paste_back, test_time_augmentation)
        return results[0] if single else results

    @torch.inference_mode()
    def edit(
        self,
        image: ImageLike | list[ImageLike],
        expression: str | Mapping[str, float] | ImageLike | list,
        intensity: float = 1.0,
        detect: bool = True,
        paste_back: bool = True,
        face: Face = None,
        source_face: Face = None,
        test_time_augmentation: bool = True,
    ) -> Image.Image | list[Image.Image]:
        """
        Change the expression of a photo.

        Args:
            image: the photo.
            expression: one of `labels`; a photo that shows the expression; or values by name, for example
                `{"jawOpen": 0.4, "eyeBlinkLeft": 1, "gazeLeft": 20}`, with the names and ranges of `editable_names`.
                Blendshapes that are not named stay as they are. Labels among the names come first:
                `{"neutral": 1, "jawOpen": 0.4}` makes the face neutral, then opens the jaw.
            intensity, paste_back, test_time_augmentation: as for `transfer`.
            detect: as for `transfer`; it holds for both photos.
            face: which face of the photo. source_face: which face of a photo that shows the expression.

        Raises:
            InvalidInputError: `expression` is neither a label nor an image; the message lists the labels. Or a name is
                unknown or cannot be set with these weights, or a value is out of its range; the message names it.
        """
        intensity = check_intensity(intensity)
        (images, expressions), single = pair_up(("image", image), ("expression", expression))
        wanted = self._read_expressions(expressions, detect, source_face)
        targets = self._crop_all(images, detect, face)
        results = self._synthesize(wanted, targets, intensity, paste_back, test_time_augmentation)
        return results[0] if single else results

    @torch.inference_mode()
    def recognize(
        self, image: ImageLike | list[ImageLike], detect: bool = True, face: Face = None, threshold: float = 0.0
    ) -> list:
        """
        Recognise the expression of a face.

        Args:
            image: the photo.
            detect: find and align the face; `False` takes the image as an aligned face crop.
            face: which face of the photo.
            threshold: 0 to 1; if the best score is below it, the answer begins with an entry `UNSURE` that has this
                score.

        Returns:
            for one image, `[{"label": "happiness", "score": 0.97}, …]`, best first, one entry per label, scores
            summing to 1; for a list, a list of those.
        """
        threshold = check_threshold(threshold)
        (images,), single = pair_up(("image", image))
        answers = []
        for pixel_values in self._crop_values(images, detect, face):
            answers += self._rank(self.model.read_expression(pixel_values), threshold)
        return answers[0] if single else answers

    @torch.inference_mode()
    def blendshapes(
        self, image: ImageLike | list[ImageLike], detect: bool = True, face: Face = None
    ) -> dict[str, float] | list[dict[str, float]]:
        """
        Estimate the blendshapes of a face: how strong each facial movement is, and where the eyes look.

        Args:
            image: the photo.
            detect: find and align the face; `False` takes the image as an aligned face crop.
            face: which face of the photo.

        Returns:
            for one image, the value of each of `blendshape_names`; for a list, a list of those. ARKit's names have
            weights from 0 to 1; their `Left` and `Right` are the subject's own. `gazeX` and `gazeY` are degrees to
            the viewer's right and up.

        Raises:
            InvalidInputError: the model reads no blendshapes.
        """
        self.model.require_blendshapes()
        (images,), single = pair_up(("image", image))
        answers = []
        for pixel_values in self._crop_values(images, detect, face):
            answers += self._by_name(self.model.read_blendshapes(pixel_values))
        return answers[0] if single else answers

    @torch.inference_mode()
    def recognize_faces(
        self, image: ImageLike | list[ImageLike], threshold: float = 0.0, blendshapes: bool = False
    ) -> list[dict] | list[list[dict]]:
        """
        Recognise the expression of every face of a photo.

        Args:
            image: the photo. threshold: as for `recognize`.
            blendshapes: also read the blendshapes of every face.

        Returns:
            for one image, one entry per face, the largest first: `box` (left, top, right, bottom in photo pixels),
            `confidence` of the detection, `scores` as `recognize` gives them, `embedding`, the f(e) that was
            classified, and, if asked for, `blendshapes` as the method `blendshapes` gives them. For a list, a list of
            those.

        Raises:
            InvalidInputError: `blendshapes` is asked for, and the model reads none.
        """
        threshold = check_threshold(threshold)
        if blendshapes:
            self.model.require_blendshapes()
        (images,), single = pair_up(("image", image))
        answers = [self._recognize_all(name, item, threshold, blendshapes) for name, item in images]
        return answers[0] if single else answers

    def _recognize_all(self, name: str, image: ImageLike, threshold: float, blendshapes: bool) -> list[dict]:
        """The answer of `recognize_faces` for one image."""
        photo = read_image(image, name)
        found = self._detect(full_name(name, image), photo)
        cropped = [self.cut_out(photo, face.crop_transform) for face in found]
        read = [self.model.read_both(batch) for batch in self.pixel_values(cropped).split(BATCH_SIZE)]
        embeddings = torch.cat([expression for expression, _ in read])
        answers: list[dict] = [
            {"box": face.box.tolist(), "confidence": face.confidence, "scores": scores, "embedding": embedding}
            for face, scores, embedding in zip(
                found, self._rank(embeddings, threshold), embeddings.float().cpu().numpy()
            )
        ]
        if blendshapes:
            values = self._by_name(torch.cat([values for _, values in read if values is not None]))
            answers = [{**answer, "blendshapes": own} for answer, own in zip(answers, values)]
        return answers

    @torch.inference_mode()
    def embed(self, image: ImageLike | list[ImageLike], detect: bool = True, face: Face = None) -> dict | list[dict]:
        """
        Compute the two embeddings of a face.

        Args:
            image, detect, face: as for `recognize`.

        Returns:
            `{"expression": f(e), "identity": f(i)}`, float32 arrays of shapes `(expression_embedding_size,)` and
            `(identity_embedding_size,)`; for a list, a list of those.
        """
        (images,), single = pair_up(("image", image))
        embedded = []
        for pixel_values in self._crop_values(images, detect, face):
            expression = self.model.encode_expression(pixel_values).float().cpu().numpy()
            identity = self.model.encode_identity(pixel_values).float().cpu().numpy()
            embedded += [{"expression": e, "identity": i} for e, i in zip(expression, identity)]
        return embedded[0] if single else embedded

    def _synthesize(
        self, wanted: WantedExpressions, targets: list[CroppedFace], intensity: float, paste_back: bool, augment: bool
    ) -> list[Image.Image]:
        """The photos of some targets with the expressions."""
        augment = augment and not self.model.config.replaces_target
        pixel_values = self.pixel_values(targets)
        wider = None
        if (
            augment
            and paste_back
            and self.model.config.decoder_type == "photo"
            and all(face.fades for face in targets)
        ):
            cut = {
                id(face): self.cut_out(face.photo, zoom_out(face.crop_transform, WIDER_MARGIN), face.name)
                for face in targets
            }
            targets = [cut[id(face)] for face in targets]
            wider = self.pixel_values(targets)
        results = []
        for start in range(0, len(targets), BATCH_SIZE):
            rows = slice(start, start + BATCH_SIZE)
            if augment:
                wider_rows = None if wider is None else wider[rows]
                change = self._mean_change(wanted[rows], pixel_values[rows], wider_rows, intensity)
            else:
                change = self._single_change(wanted[rows], pixel_values[rows], intensity)
            if paste_back:
                results += [self.paste(face, change, row) for row, face in enumerate(targets[rows])]
            else:
                for face, image in zip(targets[rows], self.image_processor.to_images(change.pixel_values)):
                    image.info.update(face.photo.info)  # the colour profile
                    results.append(image)
        if paste_back and intensity:
            for face, result in zip(targets, results):
                _warn_if_unchanged(face, result)
        return [as_synthetic(result) for result in results]

    def _single_change(self, wanted: WantedExpressions, crops: torch.Tensor, intensity: float) -> TerGanChange:
        """The change of one view, crops (B, C, S, S)."""
        if not wanted.need_own:
            return self.model.change(wanted.embeddings[:, 0], crops, intensity)
        target = self.model.encode_target(crops)
        expressions = wanted.resolve(self.model, target.expression_embedding[:, None])
        return self.model.change(expressions[:, 0], target, intensity)

    def _mean_change(
        self, wanted: WantedExpressions, crops: torch.Tensor, wider: torch.Tensor | None, intensity: float
    ) -> TerGanChange:
        """
        The mean change over several views: the crop, its mirror image and, if given, the wider crop and its mirror
        image. The result then belongs to the wider crop.

        Args:
            wanted: B expressions. crops, wider: (B, C, S, S).
        """
        # The wider crop takes f(e) of the narrower one, since x_s is read that way too: a photo that is given its own
        # expression stays as it is.
        own = self._encode_both_ways(crops)
        expressions = wanted.resolve(self.model, own)
        change = self._symmetric_change(expressions, own, crops, intensity)
        if wider is None:
            return change
        second = self._symmetric_change(expressions, own, wider, intensity)
        return change.zoom_out(WIDER_MARGIN).mean_with(second, wider)

    def _symmetric_change(
        self, expressions: torch.Tensor, own: torch.Tensor, crops: torch.Tensor, intensity: float
    ) -> TerGanChange:
        """The mean change over a target and its mirror image. `expressions` and `own` are f(e) to show and f(e) of
        both, (B, 2, D)."""
        changes = []
        for view, wanted, shown in zip((crops, crops.flip(3)), expressions.unbind(1), own.unbind(1)):
            target = self.model.encode_target(view, with_expression=False)
            target.expression_embedding = shown
            changes.append(self.model.change(wanted, target, intensity))
        straight, mirrored = changes
        return straight.mean_with(mirrored.mirror(), crops)


def _warn_if_unchanged(face: CroppedFace, result: Image.Image):
    if _same_pixels(result, face.photo):
        warnings.warn(
            f"{face.name}: nothing changed. It may show the expression already, or what was found may be no face",
            stacklevel=5,
        )


def _same_pixels(one: Image.Image, other: Image.Image) -> bool:
    """Whether two RGB images of one size are equal. They are compared in strips, which need little memory."""
    rows = max(1, 2**20 // one.width)
    boxes = [(0, top, one.width, min(top + rows, one.height)) for top in range(0, one.height, rows)]
    return all(one.crop(box).tobytes() == other.crop(box).tobytes() for box in boxes)


__all__ = ["UNSURE", "TerGanPipeline"]
