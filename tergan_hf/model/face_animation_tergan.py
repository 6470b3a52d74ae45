"""From frame to frame: what a driving clip does to a photo, and what an expression does to a clip."""

import numpy as np
import torch
from PIL import Image

from .expression_requests_tergan import WantedExpressions
from .face_alignment_tergan import fit_crop_transform
from .face_tracking_tergan import FaceTracker, OneEuroFilter


# f(e) is read anew from every frame; what trembles in it would make the face twitch.
EXPRESSION_MIN_CUTOFF, EXPRESSION_SPEED = 2.0, 0.3


class ExpressionReader:
    """
    f(e) of the tracked face of every frame, smoothed over time.

    Args:
        pipeline: a `TerGanPipeline`.
        face: which face of the clip, as in `select_face`.
    """

    def __init__(self, pipeline, face=None):
        self.pipeline = pipeline
        self.tracker = FaceTracker(pipeline.detector, face, identify=self._identify)
        self._filter = OneEuroFilter(EXPRESSION_MIN_CUTOFF, EXPRESSION_SPEED)
        self.frames_without_face = 0

    def find_face(self, frame: Image.Image, interval: float):
        """The frame's `CroppedFace`, `None` where the face is not seen."""
        landmarks = self.tracker(frame, interval)
        if landmarks is None:
            self.frames_without_face += 1
            return None
        if self.tracker.restarted:
            self._filter = OneEuroFilter(EXPRESSION_MIN_CUTOFF, EXPRESSION_SPEED)
        return self.pipeline.cut_out(frame, fit_crop_transform(landmarks))

    def smooth(self, expression: torch.Tensor, interval: float) -> torch.Tensor:
        """(1, D) as it comes → (1, D) smoothed."""
        return torch.from_numpy(self._filter(expression.float().cpu().numpy(), interval)).to(expression)

    @torch.inference_mode()
    def _identify(self, frame: Image.Image, landmarks: np.ndarray) -> np.ndarray:
        """f(i) of a face of a frame, (D,)."""
        face = self.pipeline.cut_out(frame, fit_crop_transform(landmarks))
        return self.pipeline.model.encode_identity(self.pipeline.pixel_values([face]))[0].float().cpu().numpy()


class PhotoAnimator:
    """
    Frame of a driving clip → the photo with its expression, in three steps: `read` follows the driving face, `change`
    finds what it does to the photo's, `paste` puts that into the photo.

    Args:
        photo: the `CroppedFace` to animate.
        intensity: as for `TerGanPipeline.transfer`.
        relative: carry what changes since the clip's first face, onto the photo's own expression.
    """

    def __init__(self, pipeline, photo, intensity: float, relative: bool, face=None):
        self.pipeline, self.photo, self.intensity, self.relative = pipeline, photo, intensity, relative
        self.reader = ExpressionReader(pipeline, face)
        self.target = pipeline.model.encode_target(pipeline.pixel_values([photo]), for_many=True)
        self._first: torch.Tensor | None = None
        self._wanted: torch.Tensor | None = None

    @torch.inference_mode()
    def read(self, frame: Image.Image, interval: float) -> torch.Tensor | None:
        """→ (1, D) the f(e) to show: the last one where the face is not seen, `None` before it was seen first."""
        found = self.reader.find_face(frame, interval)
        if found is not None:
            model = self.pipeline.model
            expression = model.encode_expression(self.pipeline.pixel_values([found]))
            expression = self.reader.smooth(expression, interval)
            if self.relative:
                self._first = expression if self._first is None else self._first
                expression = self.target.expression_embedding + expression - self._first
            self._wanted = expression
        return self._wanted

    @torch.inference_mode()
    def change(self, wanted: torch.Tensor | None):
        """→ the `TerGanChange` to that f(e), `None` where there is none to show."""
        return None if wanted is None else self.pipeline.model.change(wanted, self.target, self.intensity)

    @torch.inference_mode()
    def paste(self, change) -> Image.Image:
        """The photo with that change."""
        return self.photo.photo.copy() if change is None else self.pipeline.paste(self.photo, change, 0)


class ClipEditor:
    """
    Frame of a clip → the frame with another expression, in three steps: `read` follows the face, `change` finds how it
    changes, `paste` changes it. A frame without the face stays as it is.

    Args:
        wanted: the expression to show, a batch of one.
        intensity: as for `TerGanPipeline.edit`.
    """

    def __init__(self, pipeline, wanted: WantedExpressions, intensity: float, face=None):
        self.pipeline, self.wanted, self.intensity = pipeline, wanted, intensity
        self.reader = ExpressionReader(pipeline, face)

    @torch.inference_mode()
    def read(self, frame: Image.Image, interval: float):
        """→ frame, its `CroppedFace` and `TerGanTarget`; these are `None` where the face is not seen."""
        found = self.reader.find_face(frame, interval)
        if found is None:
            return frame, None, None
        target = self.pipeline.model.encode_target(self.pipeline.pixel_values([found]))
        target.expression_embedding = self.reader.smooth(target.expression_embedding, interval)
        return frame, found, target

    @torch.inference_mode()
    def change(self, seen):
        """→ frame, its `CroppedFace` and the `TerGanChange` to the expression."""
        frame, found, target = seen
        if found is None:
            return seen
        model = self.pipeline.model
        expression = self.wanted.resolve(model, target.expression_embedding[:, None])[:, 0]
        return frame, found, model.change(expression, target, self.intensity)

    @torch.inference_mode()
    def paste(self, changed) -> Image.Image:
        """The frame with the expression."""
        frame, found, change = changed
        return frame if found is None else self.pipeline.paste(found, change, 0)
