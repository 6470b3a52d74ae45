"""Editing: another expression for a photo, by label, by example, or by a place on the expression map."""

from dataclasses import dataclass

import gradio as gr

from . import limits
from .components import (
    LIVE,
    PRIVATE,
    DownloadRow,
    example_row,
    intensity_slider,
    photo_input,
    required,
    speaking_to_visitors,
    write_result,
)
from .edit_session import WHOLE_FACE, EncodedPhoto, TargetExpression
from .examples import captions_of, example_expressions, example_photos, expression_of, numbered
from .models import Models
from .transfer_tab import middle_of
from .views import compare_view, compared, map_view, mapped, picture_row, row_of, row_of_faces, told
from .zero_gpu import LENT


ASK = "Add your photo: the result appears here."
STRIP = (-1.0, -0.5, 0.0, 0.5, 1.0, 1.5)  # intensities shown side by side
MOST_STEPS = 30  # that can be undone
FIRST_LABEL = "happiness"


@dataclass(frozen=True)
class Step:
    """One state of the controls, to come back to."""

    wanted: TargetExpression
    intensity: float
    parts: tuple[float, float, float]


def build(models: Models, chosen: gr.State):
    """Add the tab's contents to the Blocks context it is called in; `chosen` holds the model's name."""
    people = example_photos("neutral")
    labels = models[None].pipe.labels
    first_label = FIRST_LABEL if FIRST_LABEL in labels else labels[0]

    def open_photo(model, path, point=None):
        if path is None:
            return None, {}
        encoded = models[model].encode_photo(models[model].find_faces(path, "your photo", point))
        return encoded, row_of_faces(encoded.photo)

    def choose_face(model, encoded: EncodedPhoto | None, number):
        if encoded is None:
            return gr.skip(), gr.skip()
        return open_photo(model, encoded.photo.path, middle_of(encoded.photo.faces[number]))

    def draw(model, wanted, encoded, intensity, brows, eyes, mouth, mark, with_photo):
        if encoded is None or wanted is None:
            return told(ASK)
        drawn = models[model].draw(encoded, wanted, intensity, (brows, eyes, mouth))
        text = f"{wanted.name}, intensity {intensity:g}"
        return compared(encoded.preview.photo if with_photo else None, drawn, text, mark)

    def redraw(*settings):
        return draw(*settings, with_photo=False)

    def draw_anew(*settings):
        return draw(*settings, with_photo=True)

    def draw_strip(model, wanted, encoded, intensity):
        if encoded is None or wanted is None:
            return {}
        pictures = models[model].draw_row(encoded, [wanted] * len(STRIP), list(STRIP))
        captions = [f"{value:g}".replace("-", "−") for value in STRIP]
        title = "From its opposite to more of it: click an intensity"
        return row_of(title, pictures, captions, STRIP.index(intensity) if intensity in STRIP else -1)

    def draw_map(model, wanted, encoded):
        session = models[model]
        if session.expression_map is None:
            return {}
        own = encoded and session.place_of(encoded.target.expression_embedding[0].float().numpy())
        marks = [("your photo", own)] if own else []
        return mapped(session.expression_map, marks, wanted and session.place_of(wanted.embedding))

    def read_example(model, path, point=None):
        if path is None:
            return gr.skip(), {}
        wanted = models[model].read_expression(models[model].find_faces(path, "expression photo", point))
        return wanted, row_of_faces(wanted.photo)

    def edit(image, expression, intensity=1.0, mark=True):
        """Full resolution, for programs."""
        required(image, "the photo to change")
        limits.check_photo(image, "your photo")
        return write_result(models[None].pipe.edit(image, expression, intensity=intensity), mark, "PNG", image)

    def make_file(model, wanted, encoded, intensity, brows, eyes, mouth, mark, kind):
        required(encoded, "the photo to change")
        drawn = models[model].draw_full(encoded, wanted, intensity, (brows, eyes, mouth))
        return write_result(drawn, mark, kind, encoded.photo.path)

    def remember(steps, wanted, intensity, brows, eyes, mouth):
        step = Step(wanted, intensity, (brows, eyes, mouth))
        if wanted is None or (steps and _same(steps[-1], step)):
            return steps
        return [*steps, step][-MOST_STEPS:]

    def undo(steps, wanted, intensity, *parts):
        # What was changed a moment ago may not be noted yet.
        steps = remember(steps, wanted, intensity, *parts)
        if len(steps) < 2:
            gr.Info("There is nothing to undo.", duration=4)
            return [gr.skip()] * 7
        step = steps[-2]
        label = step.wanted.name if step.wanted.name in labels else None
        # Gradio moves sliders that are folded away when they are unfolded: then they may be in use already.
        moved = [gr.skip() if now == before else before for now, before in zip(parts, step.parts, strict=True)]
        return steps[:-1], step.wanted, label, step.intensity, *moved

    gr.Markdown("Choose an expression by its name, on the **map**, or by an **example photo** that shows it.")
    first_photo = people[1] if len(people) > 1 and not LENT else None
    first_encoded, _ = open_photo(None, first_photo)
    first_expression = models[None].named(first_label)
    wanted, encoded, steps = (
        gr.State(value, time_to_live=limits.STATE_KEPT_SECONDS)
        for value in (first_expression, first_encoded, [Step(first_expression, 1.0, WHOLE_FACE)])
    )
    with gr.Row():
        with gr.Column(min_width=280):
            image = photo_input(value=first_photo, label="Your photo", height=250, elem_id="edit-image")
            faces = picture_row(elem_id="edit-faces")
            example_row("Example people", people, numbered("person", people), image, elem_id="edit-people")
            map_shown = map_view(draw_map(None, first_expression, first_encoded), pickable=True, elem_id="edit-map")
            with gr.Accordion("Or by example photo", open=False):
                example = photo_input(label="Expression photo", height=220, elem_id="edit-example")
                example_faces = picture_row(elem_id="edit-example-faces")
                shipped = [path for path in example_expressions() if expression_of(path) != "neutral"]
                example_row("Example expressions", shipped, captions_of(shipped), example, elem_id="edit-expressions")
        with gr.Column(scale=2, min_width=300, elem_classes="result-column"):
            first = [None, first_expression, first_encoded, 1.0, *WHOLE_FACE, True]
            result = compare_view(draw_anew(*first), elem_id="edit-result")
            label = gr.Radio(labels, value=first_label, label="Expression", elem_id="edit-label")
            intensity = intensity_slider(-1.0, elem_id="edit-intensity")
            strip = picture_row(draw_strip(None, first_expression, first_encoded, 1.0), elem_id="edit-strip")
            with gr.Accordion("Brows, eyes and mouth apart", open=False, elem_id="edit-parts"):
                brows, eyes, mouth = (
                    gr.Slider(0, 1.5, value=1, step=0.05, label=name, buttons=[], elem_id=f"edit-{name.lower()}")
                    for name in ("Brows", "Eyes", "Mouth")
                )
            undoing = gr.Button("↶ Undo", size="sm", elem_id="edit-undo")
            download = DownloadRow("edit")

    quiet = {"show_progress": "hidden", **PRIVATE}
    parts = [brows, eyes, mouth]
    drawing = [chosen, wanted, encoded, intensity, *parts, download.mark]
    drawn_anew = (speaking_to_visitors(draw_anew, told), drawing, result)
    drawn_again = (speaking_to_visitors(redraw, told), drawing, result)
    drawn_strip = (speaking_to_visitors(draw_strip, _nothing), [chosen, wanted, encoded, intensity], strip)
    drawn_map = (speaking_to_visitors(draw_map, _nothing), [chosen, wanted, encoded], map_shown)
    remembered = (remember, [steps, wanted, intensity, *parts], steps)
    opening = speaking_to_visitors(open_photo, lambda message: (None, {}))
    reading = speaking_to_visitors(read_example, lambda message: (gr.skip(), {}))
    opened, read = [encoded, faces], [wanted, example_faces]

    def settles(event):
        event = event.then(*drawn_again, **quiet).then(*drawn_strip, **quiet)
        event.then(*drawn_map, **quiet).then(*remembered, **quiet)

    def reopens(event):
        event.then(*drawn_anew, **quiet).then(*drawn_strip, **quiet).then(*drawn_map, **quiet)

    def clicked_photo(model, path, event: gr.SelectData):
        return opening(model, path, tuple(event.index))

    choosing = speaking_to_visitors(choose_face, lambda message: (None, {}))

    def picked_face(model, encoded, event: gr.EventData):
        return choosing(model, encoded, int(event.index))

    def clicked_example(model, path, event: gr.SelectData):
        return reading(model, path, tuple(event.index))

    def picked_example_face(model, wanted, event: gr.EventData):
        if wanted is None or wanted.photo is None:
            return gr.skip(), gr.skip()
        return reading(model, wanted.photo.path, middle_of(wanted.photo.faces[int(event.index)]))

    def picked_place(model, event: gr.EventData):
        return models[model].at_place((float(event.x), float(event.y))), None

    def picked_intensity(event: gr.EventData):
        return STRIP[int(event.index) % len(STRIP)]

    def change_model(model):
        session = models[model]
        name = first_label if first_label in session.pipe.labels else session.pipe.labels[0]
        return session.named(name), gr.update(choices=session.pipe.labels, value=name), []

    reopens(image.change(opening, [chosen, image], opened, **quiet))
    reopens(image.select(clicked_photo, [chosen, image], opened, **quiet))
    reopens(faces.select(picked_face, [chosen, encoded], opened, **quiet))
    settles(label.input(lambda model, name: models[model].named(name), [chosen, label], wanted, **quiet))
    settles(example.change(reading, [chosen, example], read, **quiet))
    settles(example.select(clicked_example, [chosen, example], read, **quiet))
    settles(example_faces.select(picked_example_face, [chosen, wanted], read, **quiet))
    map_shown.input(picked_place, chosen, [wanted, label], **LIVE).then(*drawn_again, **quiet)
    settles(map_shown.select(picked_place, chosen, [wanted, label], **LIVE))
    intensity.input(*drawn_again, **LIVE)
    settles(intensity.release(lambda: None, None, None, **quiet))
    for part in parts:
        part.input(*drawn_again, **LIVE)
        settles(part.release(lambda: None, None, None, **quiet))
    settles(strip.select(picked_intensity, None, intensity, **quiet))
    undone = undoing.click(undo, remembered[1], [steps, wanted, label, intensity, *parts], **quiet)
    undone.then(*drawn_again, **quiet).then(*drawn_strip, **quiet).then(*drawn_map, **quiet)
    changed = chosen.change(change_model, chosen, [wanted, label, steps], **quiet)
    reopens(changed.then(opening, [chosen, image], opened, **quiet))
    download.mark.change(*drawn_again, **quiet)
    download.connect(speaking_to_visitors(make_file), [chosen, wanted, encoded, intensity, *parts])
    made = gr.Image(visible=False, type="filepath", label="result")
    gr.Button(visible=False).click(
        speaking_to_visitors(edit), [image, label, intensity, download.mark], made, api_name="edit",
        api_description="Give the face of `image` an expression by name; a PNG in the photo's own resolution.",
    )  # fmt: skip


def _nothing(message: str) -> dict:
    return {}


def _same(one: Step, other: Step) -> bool:
    same_wish = one.wanted is other.wanted or (one.wanted.embedding == other.wanted.embedding).all()
    return bool(same_wish) and (one.intensity, one.parts) == (other.intensity, other.parts)
