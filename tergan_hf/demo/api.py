"""The endpoints for programs and agents: `gradio_client`, HTTP and MCP. All other events belong to the page alone."""

import gradio as gr

from ..model.pipeline_base_tergan import INTENSITIES
from .components import FULL_SIZE, RECOGNITION, photo_input, require_input, with_error_messages, write_result
from .inputs import FreeRadio, FreeSlider
from .models import Models
from .recognition_tab import recognize_faces


class BlendshapeValues(gr.JSON):
    """
    An input of numbers by name, which the handler checks.

    Create it with `blendshape_values`. Gradio reads a component's settings from the signature of its `__init__`,
    which must stay that of `gr.JSON`.
    """

    is_template = True
    ranges: dict[str, tuple[float, float]] = {}

    def preprocess(self, payload):
        return getattr(payload, "root", payload)

    def api_info(self):
        known = {
            name: {"type": "number", "minimum": low, "maximum": high} for name, (low, high) in self.ranges.items()
        }
        return {"type": "object", "properties": known, "additionalProperties": {"type": "number"}}


def blendshape_values(ranges: dict[str, tuple[float, float]], **settings) -> BlendshapeValues:
    """A `BlendshapeValues` whose schema names the blendshapes that can be set, each with its range."""
    values = BlendshapeValues(**settings)
    values.ranges = ranges
    return values


def build(models: Models):
    """Build the endpoints in the current Blocks context. They use the server's own model."""
    session = models[None]
    labels = session.pipe.labels

    def transfer(source: str, target: str, intensity: float = 1.0, mark: bool = True) -> str:
        """
        Give the face of one photo the facial expression of the face in another photo. The person, pose, hair and
        background of `target` stay. The result is synthetic and says so in its metadata.

        Args:
            source: photo whose largest face shows the wanted expression.
            target: photo of the person whose expression changes. The largest face is changed.
            intensity: 0 changes nothing, 1 is the full expression, above 1 exaggerates it. From -3 to 3.
            mark: draw a small "synthetic" note in the lower right corner.

        Returns:
            a PNG in the resolution of `target`.
        """
        require_input(source, "a photo that shows an expression")
        require_input(target, "the photo to change")
        return session.transfer(
            source, target, intensity, lambda made: write_result(made, mark, "PNG", target, [source])
        )

    def edit(
        image: str,
        expression: str | None = None,
        intensity: float = 1.0,
        mark: bool = True,
        blendshapes: dict[str, float] | None = None,
    ) -> str:
        """
        Change the facial expression of a photo to a named expression, to ARKit blendshapes, or to both: blendshapes
        are set on top of the expression. Name at least one. Left and right in the names of blendshapes are the
        person's own, and a name without its side sets both sides. Blendshapes that are not named stay as they are.
        The result is synthetic and says so in its metadata.

        Args:
            image: photo of a person. The largest face is changed.
            expression: name of the wanted expression.
            intensity: 0 changes nothing, 1 is the full expression, above 1 exaggerates it. From -3 to 3.
            mark: draw a small "synthetic" note in the lower right corner.
            blendshapes: weights by ARKit name, for example {"jawOpen": 0.4, "eyeBlinkLeft": 1}.

        Returns:
            a PNG in the resolution of the photo.
        """
        require_input(image, "the photo to change")
        return session.edit(
            image, expression, intensity, lambda made: write_result(made, mark, "PNG", image), blendshapes
        )

    def recognize(image: str) -> list[dict]:
        """
        Recognize the facial expression of every face in a photo. The scores say what a face shows, not what the person
        feels. Each face has its `box` ([left, top, right, bottom] in pixels), its `scores` (the probability of each
        expression) and, if the model reads them, its `blendshapes`.

        Args:
            image: photo with one or more faces.

        Returns:
            the faces, the largest first.
        """
        return [
            {
                "box": [round(value, 1) for value in face["box"]],
                "scores": {entry["label"]: round(entry["score"], 5) for entry in face["scores"]},
                **({"blendshapes": _rounded(face["blendshapes"])} if "blendshapes" in face else {}),
            }
            for face in read_faces(image)
        ]

    def blendshapes(image: str) -> dict[str, float]:
        """
        Read the ARKit blendshapes of the largest face in a photo: how far each movement of the face has gone. They
        describe the expression in numbers that `edit` takes.

        Args:
            image: photo of a person.

        Returns:
            the weight of each blendshape by name, from 0 to 1, and the gaze in degrees.
        """
        require_input(image, "a photo")
        session.pipe.model.require_blendshapes()
        return _rounded(read_faces(image)[0]["blendshapes"])

    def read_faces(image: str) -> list[dict]:
        require_input(image, "a photo")
        with session.open_photo(image, "your photo") as photo:
            return recognize_faces(session.pipe, photo)

    source, target, image = (
        photo_input(visible=False, label=label)
        for label in ("photo that shows the expression", "photo to change", "photo")
    )
    expression = FreeRadio(labels, visible=False, label="expression")
    intensity = FreeSlider(*INTENSITIES, value=1, visible=False, label="intensity")
    mark = gr.Checkbox(True, visible=False, label="visible mark")
    values = blendshape_values(session.settable_ranges, visible=False, label="blendshapes")
    for endpoint, inputs, output, group in (
        (transfer, [source, target, intensity, mark], gr.Image(visible=False, type="filepath"), FULL_SIZE),
        (edit, [image, expression, intensity, mark, values], gr.Image(visible=False, type="filepath"), FULL_SIZE),
        (recognize, [image], gr.JSON(visible=False, label="faces"), RECOGNITION),
        (blendshapes, [image], gr.JSON(visible=False, label="blendshapes"), RECOGNITION),
    ):
        gr.Button(visible=False).click(
            with_error_messages(endpoint), inputs, output, api_name=endpoint.__name__, **group
        )


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in values.items()}
