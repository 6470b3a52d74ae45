"""What a visitor's session keeps between events: found faces, encoded photos and wanted expressions."""

from dataclasses import dataclass

import gradio as gr
import numpy as np
from PIL import Image

from ..model.expression_requests_tergan import ExpressionRequest
from ..model.face_detection_tergan import DetectedFace
from ..model.outputs_tergan import TerGanTarget
from ..model.pipeline_base_tergan import CroppedFace


class Shared:
    """A value that is never changed, so that sessions which begin with it share one."""

    def __deepcopy__(self, memo):
        return self


@dataclass
class DetectedFaces(Shared):
    """
    The faces of a visitor's photo, and the one to work on.

    Args:
        path: of the photo.
        faces: in photo pixels, the largest first.
        chosen: index of the face to work on.
        thumbnails: one per face; empty if there is only one face.
    """

    path: str
    faces: list[DetectedFace]
    chosen: int
    thumbnails: list[Image.Image]

    @property
    def chosen_face(self) -> DetectedFace:
        """The face to work on."""
        return self.faces[self.chosen]


@dataclass
class EncodedPhoto(Shared):
    """
    A visitor's photo whose face is encoded.

    Args:
        detected: the faces of the photo.
        preview: the reduced photo with its crop.
        closeup: a small picture of the face alone, with the same crop.
        target: the encoded face, on the CPU.
    """

    detected: DetectedFaces
    preview: CroppedFace
    closeup: CroppedFace
    target: TerGanTarget


@dataclass
class TargetExpression(Shared):
    """
    The expression that a photo takes on.

    Args:
        embedding: f(e), (D,); `None` if it depends on the photo.
        name: shown on the page.
        detected: the faces of the photo it was read from, if there is one.
        request: what is set by name, if it depends on the photo.
    """

    embedding: np.ndarray | None
    name: str
    detected: DetectedFaces | None = None
    request: ExpressionRequest | None = None


def shows(state: EncodedPhoto | TargetExpression | None, path: str | None) -> bool:
    """Whether a state was made from the photo at a path. Gradio reports some changes twice, and the second report must
    not undo the choice of a face that came in between."""
    return path is not None and state is not None and state.detected is not None and state.detected.path == path


def still_shown(opened: tuple | None, path: str | None):
    """An opened photo and its row of faces, if the page still shows the photo of this path, or no change. A click on a
    face takes seconds, and the visitor may choose another photo meanwhile."""
    return opened if opened is not None and shows(opened[0], path) else (gr.skip(), gr.skip())


def is_same_expression(one: TargetExpression | None, other: TargetExpression | None) -> bool:
    """Whether two states hold the same expression, whatever its name."""
    if one is None or other is None:
        return one is other
    if one.embedding is None or other.embedding is None:
        return one.request == other.request
    return np.array_equal(one.embedding, other.embedding)
