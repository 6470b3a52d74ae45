"""f(e) of the tracked faces of a clip, frame by frame."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from .errors_tergan import InvalidInputError
from .face_alignment_tergan import fit_crop_transform
from .face_detection_tergan import Face
from .face_tracking_tergan import FaceTracker, OneEuroFilter, SharedDetector


# f(e) is read anew from every frame; what trembles in it would make the face twitch. See `OneEuroFilter`; the speed is
# in expressions per second, so that the filter does not depend on the scale of f(e). Tuned on a talking portrait and a
# range of motion, with and without noise: the filter keeps 95 % of a blink, delays it by less than a frame, and leaves
# 8 % of the energy above 4 Hz in still frames. With a derivative cutoff of 1 Hz it delays a blink by a frame.
MIN_CUTOFF, SPEED, DERIVATIVE_CUTOFF = 1.0, 2.5, 4.0


class ExpressionReader:
    """
    f(e) of the tracked face of every frame, smoothed over time.

    Args:
        pipeline: a `TerGanPipeline`.
        face: which face of the clip, as in `select_face`.
        detector: default: the pipeline's.
    """

    def __init__(self, pipeline, face: Face = None, detector: SharedDetector | None = None):
        self.pipeline, self.face = pipeline, face
        self.tracker = FaceTracker(detector or pipeline.detector, face, identify=self._identify)
        self._scale = expression_scale(pipeline.model)
        self._filter = self._new_filter()
        self.frames_without_face = 0

    def find_face(self, frame: Image.Image, interval: float):
        """The frame's `CroppedFace`, `None` where the face is not seen."""
        landmarks = self.tracker(frame, interval)
        if landmarks is None:
            self.frames_without_face += 1
            return None
        if self.tracker.restarted:
            self._filter = self._new_filter()
        return self.pipeline.cut_out(frame, fit_crop_transform(landmarks))

    def smooth(self, expression: torch.Tensor, interval: float) -> torch.Tensor:
        """(1, D) as it comes → (1, D) smoothed."""
        return torch.from_numpy(self._filter(expression.float().cpu().numpy(), interval)).to(expression)

    def _new_filter(self) -> OneEuroFilter:
        return OneEuroFilter(MIN_CUTOFF, SPEED / self._scale, DERIVATIVE_CUTOFF)

    @torch.inference_mode()
    def _identify(self, frame: Image.Image, landmarks: np.ndarray) -> np.ndarray:
        """f(i) of a face of a frame, (D,)."""
        face = self.pipeline.cut_out(frame, fit_crop_transform(landmarks))
        return self.pipeline.model.encode_identity(self.pipeline.pixel_values([face]))[0].float().cpu().numpy()


class ExpressionReaders:
    """
    An `ExpressionReader` for each of several faces of a clip. They share the search of a frame, and none takes a face
    that is more like another's person.

    Args:
        faces: of the clip's first frame with a face, as in `select_face`.

    Attributes:
        frames_without_face: frames that show none of the faces.
    """

    def __init__(self, pipeline, faces: Sequence[Face]):
        detector = SharedDetector(pipeline.detector)
        self.readers = [ExpressionReader(pipeline, face, detector) for face in faces]
        self.frames_without_face = 0
        self._begun = False
        for reader in self.readers:
            reader.tracker.rivals = [other.tracker for other in self.readers if other is not reader]

    def find_faces(self, frame: Image.Image, interval: float) -> list:
        """
        The `CroppedFace` of each face, `None` where it is not seen.

        Raises:
            InvalidInputError: the clip has no such face, or two of `faces` are the same.
        """
        found = [reader.find_face(frame, interval) for reader in self.readers]
        seen = [face for face in found if face is not None]
        self.frames_without_face += not seen
        if seen and not self._begun:
            self._begun = True
            transforms = [face.crop_transform for face in seen]
            require_different_faces("video", [reader.face for reader in self.readers], transforms)
        return found


def expression_scale(model) -> float:
    """The size of an expression in f(e): the root mean square distance of the prototypes from their mean. 1 for a
    model without prototypes."""
    prototypes = model.expression_prototypes.float()
    scale = float((prototypes - prototypes.mean(0)).square().sum(1).mean().sqrt())
    return scale if scale > 0 else 1.0


def require_different_faces(name: str, faces: Sequence[Face], crop_transforms: Sequence[np.ndarray]):
    """
    Check that faces are not the same.

    Args:
        name: of the photo or clip. faces: as the user names them. crop_transforms: (2, 3) of each.

    Raises:
        InvalidInputError: two of them are.
    """
    for number, (face, transform) in enumerate(zip(faces, crop_transforms)):
        for other, earlier in zip(faces[:number], crop_transforms):
            if np.array_equal(transform, earlier):
                raise InvalidInputError(f"{name}: {other} and {face} are the same face; name each face once")


__all__ = ["ExpressionReader", "ExpressionReaders", "require_different_faces"]
