"""TerGanPipeline: photos in, photos out."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError

from .face_alignment_tergan import crop_face, whole_image_framing, zoom_out
from .face_animation_tergan import ClipEditor, ExpressionReader, PhotoAnimator
from .face_blending_tergan import paste_change, paste_crop
from .face_detection_tergan import DetectedFace, FaceDetector, NoFaceFoundError
from .face_tracking_tergan import select_face
from .image_processing_tergan import TerGanImageProcessor
from .image_reading_tergan import ImageLike, full_name, is_file, read_image
from .modeling_tergan import TerGanChange, TerGanModel
from .video_tergan import VideoReport, map_video, read_frames


BATCH_SIZE = 32  # crops the network sees at once
# Where a face was found, the photo's change is the mean of what the network finds in its crop and in one so much
# larger, in which a jaw has room to open.
WIDER_MARGIN = 1.08
UNSURE = "unsure"
Face = int | tuple[float, float] | None  # which face of a photo


@dataclass
class FramedFace:
    """A photo with the face to work on: its framing and its crop at the network's size. A change fades out around the
    crop, unless the crop is the whole photo."""

    photo: Image.Image
    framing: np.ndarray
    crop: Image.Image
    fades: bool = True


class TerGanPipeline:
    """
    Facial expression transfer, editing and recognition on photos.

    An image is a PIL image, a path, or an H×W×3 uint8 array; its EXIF rotation is honoured. A list of images gives a
    list of results; a list beside a single image uses the single one for all. In each photo the largest face counts,
    or the one that `face` names: 1 is the second largest (see `faces`), a point (x, y) in photo pixels the face there.

    All methods raise `NoFaceFoundError` (a `ValueError`) where `detect=True` finds no face, `ImageInputError` (a
    `ValueError`) or `FileNotFoundError` where an image cannot be read. The message names the input.

    Example:
    ```python
    >>> pipe = TerGanPipeline.from_pretrained("weights/ter-gan")
    >>> pipe.transfer("smiling.jpg", "me.jpg").save("me_smiling.png")
    >>> pipe.recognize("me.jpg")[0]["label"]
    'neutral'
    ```
    """

    def __init__(
        self, model: TerGanModel, image_processor: TerGanImageProcessor, detector: FaceDetector | None = None
    ):
        self.model = model.eval()
        self.image_processor = image_processor
        self.detector = detector or FaceDetector()

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, device=None, **kwargs) -> "TerGanPipeline":
        """
        Args:
            pretrained_model_name_or_path: a folder or a model id on the Hub.
            device: default: cuda, else mps, else cpu.
            kwargs: passed on to both `from_pretrained` (`revision`, `token`, `cache_dir`, …).

        Raises:
            OSError: there is no such model, or its weights are no safetensors.
            ValueError: the weights are damaged, incomplete, or not those of the configuration.
        """
        if device is None:
            device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        # Never a pickle, which may run anything when it is opened.
        settings = {"use_safetensors": True, **kwargs, "output_loading_info": True}
        try:
            model, report = TerGanModel.from_pretrained(pretrained_model_name_or_path, **settings)
        except (SafetensorError, RuntimeError) as error:
            raise ValueError(
                f"{pretrained_model_name_or_path}: the weights are damaged or do not fit config.json ({error})"
            ) from error
        if missing := report["missing_keys"]:
            raise ValueError(
                f"{pretrained_model_name_or_path}: the weights lack {len(missing)} tensors of this model (for example "
                f"{min(missing)}): the file is damaged or of another version"
            )
        return cls(model.to(device), TerGanImageProcessor.from_pretrained(pretrained_model_name_or_path, **kwargs))

    @property
    def labels(self) -> list[str]:
        """The expressions that `recognize` tells apart and `edit` takes by name."""
        return self.model.config.expressions

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
    ) -> Image.Image | list[Image.Image]:
        """
        Give the target's face the source's expression.

        Args:
            source: shows the expression. target: the photo to change.
            intensity: 0 leaves the target's expression, 1 is the source's, above 1 exaggerates.
            detect: find and align the faces; `False` takes each image as an aligned face crop.
            paste_back: the result has the size of the target photo; `False` gives the network's crop alone.
            face: which face of the target. source_face: which face of the source.

        Returns:
            RGB image or list of images.

        Raises:
            ValueError: the intensity is not a finite number, the lists differ in length, or there is no such face.
        """
        intensity = self._check_intensity(intensity)
        (sources, targets), single = self._pair_up(("source", source), ("target", target))
        sources = self._frame_all(sources, detect, source_face)
        targets = self._frame_all(targets, detect, face)
        expressions = self._read_both_ways(self.pixel_values(sources))
        return self._finish(self._synthesize(expressions, targets, intensity, paste_back), single)

    @torch.inference_mode()
    def edit(
        self,
        image: ImageLike | list[ImageLike],
        expression: str | ImageLike | list,
        intensity: float = 1.0,
        detect: bool = True,
        paste_back: bool = True,
        face: Face = None,
        source_face: Face = None,
    ) -> Image.Image | list[Image.Image]:
        """
        Change the expression of a photo.

        Args:
            image: the photo.
            expression: one of `labels`, or a photo that shows the expression.
            intensity, detect, paste_back: as for `transfer`; `detect` holds for both photos.
            face: which face of the photo. source_face: which face of a photo that shows the expression.

        Raises:
            ValueError: neither a label nor an image; the message lists the labels.
        """
        intensity = self._check_intensity(intensity)
        (images, expressions), single = self._pair_up(("image", image), ("expression", expression))
        embeddings = self._expressions(expressions, detect, source_face)
        targets = self._frame_all(images, detect, face)
        return self._finish(self._synthesize(embeddings, targets, intensity, paste_back), single)

    @torch.inference_mode()
    def recognize(
        self, image: ImageLike | list[ImageLike], detect: bool = True, face: Face = None, threshold: float = 0.0
    ) -> list:
        """
        Name the expression of a face.

        Args:
            image: the photo.
            detect: find and align the face; `False` takes the image as an aligned face crop.
            face: which face of the photo.
            threshold: where the best score is below it, the answer begins with an entry `UNSURE` that has this score.

        Returns:
            for one image, `[{"label": "happiness", "score": 0.97}, …]`, best first, one entry per label, scores
            summing to 1; for a list, a list of those.
        """
        (images,), single = self._pair_up(("image", image))
        pixel_values = self.pixel_values(self._frame_all(images, detect, face))
        embeddings = self._in_batches(self.model.read_expression, pixel_values)
        return self._finish(self._name(embeddings, threshold), single)

    @torch.inference_mode()
    def recognize_faces(self, image: ImageLike, threshold: float = 0.0) -> list[dict]:
        """
        Name the expression of every face of a photo.

        Args:
            image: the photo. threshold: as for `recognize`.

        Returns:
            one entry per face, the largest first: `box` (left, top, right, bottom in photo pixels), `confidence` of
            the detection, `scores` as `recognize` gives them, and `embedding`, the f(e) that they name.
        """
        photo = read_image(image, "image")
        found = self._detect(full_name("image", image), photo)
        framed = [self.cut_out(photo, face.framing) for face in found]
        embeddings = self._in_batches(self.model.read_expression, self.pixel_values(framed))
        names = self._name(embeddings, threshold)
        return [
            {"box": face.box.tolist(), "confidence": face.confidence, "scores": scores, "embedding": embedding}
            for face, scores, embedding in zip(found, names, embeddings.float().cpu().numpy())
        ]

    @torch.inference_mode()
    def recognize_video(
        self,
        clip: str | Path,
        face: Face = None,
        progress: bool = True,
        each: Callable[[dict], None] | None = None,
    ) -> list[dict]:
        """
        Name the expression of a face of a clip over time.

        Args:
            clip: the video. face: which face of its first frame.
            progress: show a bar.
            each: called with every entry as it comes; what it raises ends the work.

        Returns:
            one entry per frame: `time` in seconds since the first, and `scores` as `recognize` gives them, `None`
            where the face is not seen. f(e) is smoothed over time, as `transfer_video` does, and not read from
            mirror images.

        Raises:
            ImportError, VideoInputError, NoFaceFoundError: as for `transfer_video`.
        """
        reader, timeline = ExpressionReader(self, face), []
        for time, interval, frame in read_frames(clip, progress, "recognize"):
            found = reader.frame_face(frame, interval)
            scores = None
            if found is not None:
                expression = self.model.encode_expression(self.pixel_values([found]))
                scores = self._name(reader.smooth(expression, interval))[0]
            timeline.append({"time": time, "scores": scores})
            if each is not None:
                each(timeline[-1])
        self._require_faces(clip, reader, len(timeline))
        return timeline

    def _name(self, embeddings: torch.Tensor, threshold: float = 0.0) -> list[list[dict]]:
        """(B, D) f(e) → labels and scores of each, best first; before them `UNSURE` below the threshold."""
        answers = []
        for scores in self.model.classify(embeddings).float().cpu().double().softmax(1).tolist():
            ranked = sorted(zip(self.labels, scores), key=lambda pair: pair[1], reverse=True)
            unsure = [(UNSURE, ranked[0][1])] if ranked[0][1] < threshold else []
            answers.append([{"label": label, "score": score} for label, score in unsure + ranked])
        return answers

    @torch.inference_mode()
    def embed(self, image: ImageLike | list[ImageLike], detect: bool = True, face: Face = None) -> dict | list[dict]:
        """
        The two embeddings of a face.

        Returns:
            `{"expression": f(e), "identity": f(i)}`, float32 arrays of the configuration's sizes (30 and 50); for a
            list, a list of those.
        """
        (images,), single = self._pair_up(("image", image))
        pixel_values = self.pixel_values(self._frame_all(images, detect, face))
        expression = self._in_batches(self.model.encode_expression, pixel_values).float().cpu().numpy()
        identity = self._in_batches(self.model.encode_identity, pixel_values).float().cpu().numpy()
        return self._finish([{"expression": e, "identity": i} for e, i in zip(expression, identity)], single)

    def faces(self, image: ImageLike) -> list[DetectedFace]:
        """The faces of a photo, the largest first: box, landmarks and confidence, in photo pixels."""
        return self._detect(full_name("image", image), read_image(image, "image"))

    def transfer_video(
        self,
        driving: str | Path,
        target: ImageLike,
        output: str | Path,
        intensity: float = 1.0,
        relative: bool = False,
        face: Face = None,
        source_face: Face = None,
        max_side: int = 1280,
        progress: bool = True,
        finish: Callable[[Image.Image], Image.Image] | None = None,
        metadata: dict[str, str] | None = None,
    ) -> VideoReport:
        """
        Animate a photo by a clip: frame by frame, its face is given the driving face's expression. The clip's sound
        is kept.

        Args:
            driving: the clip. target: the photo. output: the `.mp4` file to write.
            intensity: as for `transfer`.
            relative: carry what changes since the clip's first frame, onto the photo's own expression: right where the
                person in the clip looks stern or smiling by nature, and the clip begins with a calm face.
            face: which face of the photo. source_face: which face of the clip's first frame.
            max_side: larger photos are reduced to so many pixels.
            progress: show a bar.
            finish: called with every finished frame, for example to put a mark on it; what it raises ends the work.
            metadata: for the file's head (`comment`, `description`, …).

        Raises:
            ImportError: PyAV is missing.
            VideoInputError: the clip cannot be read.
            NoFaceFoundError: there is no face in the photo, or none in the whole clip; then nothing is written.
        """
        intensity = self._check_intensity(intensity)
        photo = read_image(target, "target")
        if isinstance(face, (tuple, list, np.ndarray)):
            face = tuple(min(1.0, max_side / max(photo.size)) * value for value in face)
        photo.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
        found = select_face(self._detect(full_name("target", target), photo), face, full_name("target", target))
        framed = self.cut_out(photo, found.framing)
        with torch.inference_mode():
            animator = PhotoAnimator(self, framed, intensity, relative, source_face)
        return self._map_video(driving, output, animator, progress, "transfer", finish, metadata)

    def edit_video(
        self,
        clip: str | Path,
        expression: str | ImageLike,
        output: str | Path,
        intensity: float = 1.0,
        face: Face = None,
        source_face: Face = None,
        progress: bool = True,
        finish: Callable[[Image.Image], Image.Image] | None = None,
        metadata: dict[str, str] | None = None,
    ) -> VideoReport:
        """
        Change the expression of a face in a clip; frames in which it is not seen stay as they are. The sound is kept.

        Args:
            clip: the video. output: the `.mp4` file to write.
            expression, intensity: as for `edit`.
            face: which face of the clip's first frame. source_face: of a photo that shows the expression.
            progress, finish, metadata: as for `transfer_video`.

        Raises:
            ImportError, VideoInputError, NoFaceFoundError: as for `transfer_video`.
        """
        intensity = self._check_intensity(intensity)
        with torch.inference_mode():
            wanted = self._expressions([("expression", expression)], True, source_face)[:, 0]
        editor = ClipEditor(self, wanted, intensity, face)
        return self._map_video(clip, output, editor, progress, "edit", finish, metadata)

    @classmethod
    def _map_video(cls, clip, output, change, progress: bool, description: str, finish, metadata) -> VideoReport:
        def check(frames: int):
            cls._require_faces(clip, change.reader, frames)

        frames = map_video(
            clip, output, change.read, change.change, change.paste, finish=finish, progress=progress,
            description=description, check=check, metadata=metadata,
        )  # fmt: skip
        return VideoReport(Path(output), frames, change.reader.frames_without_face)

    @staticmethod
    def _require_faces(clip, reader: ExpressionReader, frames: int):
        if reader.frames_without_face == frames:
            raise NoFaceFoundError(f"{clip}: no face was found in any of its {frames} frames")

    def _read_both_ways(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """f(e) of crops (B, C, S, S) and of their mirror images, (B, 2, D)."""
        views = [self._in_batches(self.model.encode_expression, view) for view in (pixel_values, pixel_values.flip(3))]
        return torch.stack(views, dim=1)

    def _synthesize(self, expressions, targets: list[FramedFace], intensity: float, paste_back: bool):
        """Results for (B, 2, D) f(e), the second for the mirrored target."""
        pixel_values = self.pixel_values(targets)
        wider = None
        if paste_back and self.model.config.decoder_type == "photo" and all(face.fades for face in targets):
            cut = {id(face): self.cut_out(face.photo, zoom_out(face.framing, WIDER_MARGIN)) for face in targets}
            targets = [cut[id(face)] for face in targets]
            wider = self.pixel_values(targets)
        results = []
        for start in range(0, len(targets), BATCH_SIZE):
            rows = slice(start, start + BATCH_SIZE)
            change = self._mean_change(
                expressions[rows], pixel_values[rows], None if wider is None else wider[rows], intensity
            )
            if paste_back:
                results += [self.paste(face, change, row) for row, face in enumerate(targets[rows])]
            else:
                results += self.image_processor.to_images(change.pixel_values)
        return results

    def _mean_change(
        self, expressions: torch.Tensor, crops: torch.Tensor, wider: torch.Tensor | None, intensity: float
    ) -> TerGanChange:
        """
        The mean of the changes that the network finds in a target, in its mirror image and, where they are given, in
        the wider crops, to which the change belongs then: on average it is nearer to the truth than any of them.

        Args:
            expressions: (B, 2, D), the second for the mirror image. crops, wider: (B, C, S, S).
        """
        if self.model.config.replaces_target:
            return self.model.change(expressions[:, 0], crops, intensity)
        # f(e) of the wider crop is the narrower one's, for x_s is read so as well: a photo given its own expression
        # stays as it is.
        own = self._read_both_ways(crops)
        change = self._symmetric_change(expressions, own, crops, intensity)
        if wider is None:
            return change
        further = self._symmetric_change(expressions, own, wider, intensity)
        return change.zoom_out(WIDER_MARGIN).mean_with(further, wider)

    def _symmetric_change(
        self, expressions: torch.Tensor, own: torch.Tensor, crops: torch.Tensor, intensity: float
    ) -> TerGanChange:
        """The mean of a target's change and its mirror image's; `own` are the target's f(e), (B, 2, D) as well."""
        changes = []
        for view, wanted, shown in zip((crops, crops.flip(3)), expressions.unbind(1), own.unbind(1)):
            target = self.model.encode_target(view, with_expression=False)
            target.expression_embedding = shown
            changes.append(self.model.change(wanted, target, intensity))
        straight, turned = changes
        return straight.mean_with(turned.mirror(), crops)

    @staticmethod
    def paste(face: FramedFace, change: TerGanChange, row: int) -> Image.Image:
        """The face's photo with one row of a batch of changes applied."""
        if change.residual is None:
            crop = (_channels_last(change.pixel_values[row]) + 1) * 127.5
            return paste_crop(face.photo, face.framing, crop, face.fades)
        # The network's coordinates span [-1, 1]: two of them are the crop's side.
        flow = None if change.flow is None else _channels_last(change.flow[row]) / 2
        residual = _channels_last(change.residual[row]) * 127.5
        return paste_change(face.photo, face.framing, residual, flow, face.fades)

    def _expressions(self, wanted: list[tuple[str, object]], detect: bool, face: Face) -> torch.Tensor:
        """Named labels and photos → (B, 2, D) f(e), as they are and mirrored; a label's is the same for both."""
        embeddings: list[torch.Tensor | None] = []
        photos = []
        for name, expression in wanted:
            label = self._as_label(expression, name)
            if label is None:
                photos.append((name, expression))
                embeddings.append(None)
            else:
                embeddings.append(self.model.expression_prototypes[self.labels.index(label)].expand(2, -1))
        if photos:
            found = iter(self._read_both_ways(self.pixel_values(self._frame_all(photos, detect, face))))
            embeddings = [next(found) if embedding is None else embedding for embedding in embeddings]
        return torch.stack(embeddings)

    def _frame_all(self, images: list[tuple[str, ImageLike]], detect: bool, face: Face) -> list[FramedFace]:
        # A single image beside a list appears once per pair; it is framed once.
        framed: dict[int, FramedFace] = {}
        for name, image in images:
            if id(image) not in framed:
                framed[id(image)] = self._frame(name, image, detect, face)
        return [framed[id(image)] for _, image in images]

    def _frame(self, name: str, image: ImageLike, detect: bool, face: Face) -> FramedFace:
        photo = read_image(image, name)
        if not detect:
            size = self.model.config.image_size
            framing = whole_image_framing(*photo.size)
            return FramedFace(photo, framing, photo.resize((size, size), Image.Resampling.BILINEAR), fades=False)
        found = self._detect(full_name(name, image), photo)
        return self.cut_out(photo, select_face(found, face, full_name(name, image)).framing)

    def _detect(self, name: str, photo: Image.Image) -> list[DetectedFace]:
        found = self.detector.detect(photo)
        if not found:
            raise NoFaceFoundError(
                f"{name}: no face was found. Use a photo that shows a whole face from the front, "
                "upright and at least about 40 pixels wide, or pass detect=False if it is a face crop already"
            )
        return found

    def cut_out(self, photo: Image.Image, framing: np.ndarray) -> FramedFace:
        """An RGB photo's face by its framing."""
        return FramedFace(photo, framing, crop_face(photo, framing, self.model.config.image_size))

    def pixel_values(self, faces: list[FramedFace]) -> torch.Tensor:
        """The network's input for framed faces, (B, C, image_size, image_size) in [-1, 1]."""
        batch = self.image_processor([face.crop for face in faces], return_tensors="pt")
        return batch["pixel_values"].to(self.model.device, self.model.dtype)

    @staticmethod
    def _in_batches(network, pixel_values: torch.Tensor) -> torch.Tensor:
        return torch.cat([network(batch) for batch in pixel_values.split(BATCH_SIZE)])

    def _as_label(self, wanted, name: str) -> str | None:
        if not isinstance(wanted, str):
            return None
        for label in self.labels:
            if wanted.strip().lower() == label.lower():
                return label
        if is_file(wanted):
            return None
        raise ValueError(
            f"{name}: {wanted!r} is neither a known expression nor an existing file. "
            f"Known expressions: {', '.join(self.labels)}"
        )

    @staticmethod
    def _check_intensity(intensity) -> float:
        is_number = isinstance(intensity, (int, float, np.number)) and not isinstance(intensity, bool)
        if not is_number or not math.isfinite(intensity):
            raise ValueError(f"intensity must be a finite number, for example 1.0, got {intensity!r}")
        return float(intensity)

    @staticmethod
    def _pair_up(*inputs: tuple[str, object]) -> tuple[list[list[tuple[str, object]]], bool]:
        """Named inputs, each a list or a single one → named lists of one length, and whether all were single."""
        lengths = {len(value) for _, value in inputs if isinstance(value, (list, tuple))}
        if len(lengths) > 1:
            sizes = ", ".join(f"{name}: {len(value)}" for name, value in inputs if isinstance(value, (list, tuple)))
            raise ValueError(f"lists must have the same length, got {sizes}")
        if lengths == {0}:
            raise ValueError("the list of images is empty")
        length = lengths.pop() if lengths else 1
        paired = [
            [(f"{name}[{index}]", item) for index, item in enumerate(value)]
            if isinstance(value, (list, tuple))
            else [(name, value)] * length
            for name, value in inputs
        ]
        return paired, not any(isinstance(value, (list, tuple)) for _, value in inputs)

    @staticmethod
    def _finish(results: list, single: bool):
        return results[0] if single else results


def _channels_last(image: torch.Tensor) -> np.ndarray:
    """(C, S, S) on any device → (S, S, C) float32 array."""
    return image.float().permute(1, 2, 0).cpu().numpy()
