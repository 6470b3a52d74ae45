"""The Editing tab: give a photo another expression by label, by example, on the expression map, or with sliders."""

from dataclasses import dataclass, replace

import gradio as gr

from ..model.pipeline_base_tergan import check_intensity
from .blendshape_sliders import BlendshapeSliders
from .components import (
    IN_ORDER,
    RUN_EACH,
    RUN_LAST,
    SLIDERS,
    DownloadRow,
    example_row,
    intensity_slider,
    photo_input,
    require_input,
    states_of_a_visit,
    with_error_messages,
    write_result,
)
from .edit_session import LARGEST_STRENGTH, WHOLE_FACE, check_strengths
from .examples import (
    example_expressions,
    example_photos,
    expression_captions,
    expression_of,
    numbered_captions,
)
from .inputs import FreeRadio, FreeSlider, check_index, chosen_index, chosen_pixel, chosen_point
from .models import Models
from .session_values import (
    DetectedFaces,
    EncodedPhoto,
    TargetExpression,
    is_same_expression,
    shows,
    still_shown,
)
from .views import compare_data, compare_view, face_row_data, map_data, map_view, message_data, picture_row, row_data
from .zero_gpu import ON_ZERO_GPU


PROMPT = "Add your photo: the result appears here."
STRIP_INTENSITIES = (-1.0, -0.5, 0.0, 0.5, 1.0, 1.5)
MAX_UNDO_STEPS = 30
FIRST_LABEL = "happiness"


@dataclass(frozen=True)
class Step:
    """A state of the controls that undo can restore."""

    expression: TargetExpression
    intensity: float
    strengths: tuple[float, float, float]


def build(models: Models, model_name: gr.Textbox):
    """Build the tab in the current Blocks context. `model_name` holds the chosen model's name."""
    people = example_photos("neutral")
    labels = models[None].pipe.labels
    first_label = FIRST_LABEL if FIRST_LABEL in labels else labels[0]

    def open_photo(model, path, point=None):
        if path is None:
            return None, {}
        return encode(model, models[model].find_faces(path, "your photo", point))

    def open_new_photo(model, path, photo, expression, name):
        if shows(photo, path):
            return (gr.skip(),) * 3
        # The server may have forgotten the expression of an idle visit; the page still shows the label.
        if expression is None:
            expression = models[model].label_expression(name if name in models[model].pipe.labels else first_label)
        else:
            expression = gr.skip()
        return *open_photo(model, path), expression

    def encode(model, detected: DetectedFaces):
        return models[model].encode_photo(detected), face_row_data(detected)

    def choose_face(model, photo: EncodedPhoto | None, number):
        return (None, {}) if photo is None else encode(model, replace(photo.detected, chosen=number))

    def draw(model, expression, photo, intensity, brows, eyes, mouth, mark, with_photo):
        if photo is None or expression is None:
            return message_data(PROMPT)
        result = models[model].draw_preview(photo, expression, intensity, (brows, eyes, mouth))
        text = f"{expression.name}, intensity {intensity:g}"
        return compare_data(photo.preview.photo if with_photo else None, result, text, mark)

    def redraw(*settings):
        return draw(*settings, with_photo=False)

    def draw_with_photo(*settings):
        return draw(*settings, with_photo=True)

    def draw_strip(model, expression, photo, intensity):
        if photo is None or expression is None:
            return {}
        expressions = [expression] * len(STRIP_INTENSITIES)
        pictures = models[model].draw_closeups(photo, expressions, list(STRIP_INTENSITIES))
        captions = [f"{value:g}".replace("-", "−") for value in STRIP_INTENSITIES]
        chosen = STRIP_INTENSITIES.index(intensity) if intensity in STRIP_INTENSITIES else -1
        return row_data("From the opposite to the exaggerated expression: click one", pictures, captions, chosen)

    def draw_map(model, expression, photo):
        session = models[model]
        if session.expression_map is None:
            return {}
        own = photo and session.locate(photo.target.expression_embedding[0].float().numpy())
        marks = [("your photo", own)] if own else []
        chosen = None
        if expression is not None and (photo is not None or expression.request is None):
            chosen = session.locate(session.embedding_of(photo, expression))
        return map_data(session.expression_map, marks, chosen)

    # Reading takes seconds, in which the visitor may choose otherwise. So the handlers return the expression from
    # before and the new one, and `take_read` uses the new one if it is still wanted.
    def read_nothing(message=""):
        return None, {}

    def read_example(model, path, before, point=None):
        if path is None:
            return read_nothing()
        return read(model, before, models[model].find_faces(path, "expression photo", point))

    def read_new_example(model, path, before):
        return (None, gr.skip()) if shows(before, path) else read_example(model, path, before)

    def read(model, before, detected: DetectedFaces):
        return (before, models[model].read_expression(detected)), face_row_data(detected)

    def read_example_face(model, path, before, number):
        if path is None:
            return read_nothing()
        detected = models[model].find_faces(path, "expression photo")
        return read(model, before, replace(detected, chosen=check_index(number, len(detected.faces))))

    def take_read(found, path, now):
        if found is None or not shows(found[1], path):
            return gr.skip(), gr.skip()
        before, new = found
        by_hand = now is not None and now.detected is None  # by label, map or slider
        if by_hand and not is_same_expression(before, now):
            return gr.skip(), gr.skip()
        return new, None  # no label is chosen

    def make_file(model, expression, photo, intensity, brows, eyes, mouth, mark, file_type):
        require_input(photo, "the photo to change")

        def write(result):
            return write_result(result, mark, file_type, photo.detected.path)

        return models[model].draw_full_size(photo, expression, intensity, (brows, eyes, mouth), write)

    def remember(steps, expression, intensity, brows, eyes, mouth):
        steps = steps or []  # of a forgotten visit
        step = Step(expression, check_intensity(intensity), check_strengths((brows, eyes, mouth)))
        if expression is None or (steps and _is_same(steps[-1], step)):
            return steps
        return [*steps, step][-MAX_UNDO_STEPS:]

    def undo(model, steps, expression, intensity, *strengths):
        # The last change may not be remembered yet.
        steps = remember(steps, expression, intensity, *strengths)
        if len(steps) < 2:
            gr.Info("There is nothing to undo.", duration=4)
            return [gr.skip()] * 7
        step = steps[-2]
        label = step.expression.name if step.expression.name in models[model].pipe.labels else None
        # Gradio sets sliders in a closed accordion only when it opens, perhaps after a visitor has moved them.
        changed = [
            gr.skip() if now == before else before for now, before in zip(strengths, step.strengths, strict=True)
        ]
        return steps[:-1], step.expression, label, step.intensity, *changed

    gr.Markdown("Choose an expression by its name, on the **map**, or by an **expression photo** that shows it.")
    first_path = people[1] if len(people) > 1 and not ON_ZERO_GPU else None
    first_photo, _ = open_photo(None, first_path)
    first_expression = models[None].label_expression(first_label)
    first_step = Step(first_expression, 1.0, WHOLE_FACE)
    expression, photo, steps = states_of_a_visit(first_expression, first_photo, [first_step])
    clicked, found = gr.State(), gr.State()
    with gr.Row():
        with gr.Column(min_width=280):
            image = photo_input(value=first_path, label="Your photo", height=250, elem_id="edit-image")
            faces = picture_row(elem_id="edit-faces")
            captions = numbered_captions("person", people)
            example_row("Example people", people, captions, image, elem_id="edit-people")
            first_map = draw_map(None, first_expression, first_photo)
            expression_map = map_view(first_map, pickable=True, elem_id="edit-map")
            with gr.Accordion("Or by expression photo", open=False):
                example = photo_input(label="Expression photo", height=220, elem_id="edit-example")
                example_faces = picture_row(elem_id="edit-example-faces")
                paths = [path for path in example_expressions() if expression_of(path) != "neutral"]
                captions = expression_captions(paths)
                example_row("Example expressions", paths, captions, example, elem_id="edit-expressions")
        with gr.Column(scale=2, min_width=300, elem_classes="result-column"):
            first_settings = [None, first_expression, first_photo, 1.0, *WHOLE_FACE, True]
            result = compare_view(draw_with_photo(*first_settings), elem_id="edit-result")
            label = FreeRadio(labels, value=first_label, label="Expression", elem_id="edit-label")
            intensity = intensity_slider(-1.0, elem_id="edit-intensity")
            strip = picture_row(draw_strip(None, first_expression, first_photo, 1.0), elem_id="edit-strip")
            with gr.Accordion("Brows, eyes and mouth separately", open=False, elem_id="edit-parts"):
                strengths = [
                    FreeSlider(
                        0, LARGEST_STRENGTH, value=1, step=0.05, label=name, buttons=[], elem_id=f"edit-{name.lower()}"
                    )
                    for name in ("Brows", "Eyes", "Mouth")
                ]
            sliders = BlendshapeSliders(models, first_photo, first_expression)
            undo_button = gr.Button("↶ Undo", size="sm", elem_id="edit-undo")
            download = DownloadRow("edit")

    settings = [model_name, expression, photo, intensity, *strengths, download.mark]
    drawing_with_photo = (with_error_messages(draw_with_photo, message_data), settings, result)
    redrawing = (with_error_messages(redraw, message_data), settings, result)
    drawing_strip = (with_error_messages(draw_strip, _empty), [model_name, expression, photo, intensity], strip)
    drawing_map = (with_error_messages(draw_map, _empty), [model_name, expression, photo], expression_map)
    controls = [expression, intensity, *strengths]
    remembering = (with_error_messages(remember, gpu=False), [steps, *controls], steps)
    opening = with_error_messages(open_photo, lambda message: (None, {}))
    reading = with_error_messages(read_example, read_nothing)
    reading_new = with_error_messages(read_new_example, read_nothing)
    reading_face = with_error_messages(read_example_face, read_nothing)
    choosing_face = with_error_messages(choose_face, lambda message: (None, {}))
    opened, example_read = [photo, faces], [found, example_faces]
    showing_sliders = sliders.showing(model_name, photo, expression)

    def then_redraw(event):
        event.then(*remembering, **RUN_LAST)  # beside the drawing, during which the controls may change again
        event = event.then(*redrawing, **SLIDERS, **RUN_LAST).then(*drawing_strip, **RUN_LAST)
        return event.then(*drawing_map, **RUN_LAST)

    def then_redraw_and_show_sliders(event):
        then_redraw(event).then(*showing_sliders, **RUN_LAST)

    def then_draw_photo(event):
        event = event.then(*drawing_with_photo, **SLIDERS, **RUN_LAST).then(*drawing_strip, **RUN_LAST)
        event.then(*drawing_map, **RUN_LAST).then(*showing_sliders, **RUN_LAST)

    def click_photo(model, path, event: gr.SelectData):
        return opening(model, path, chosen_pixel(event))

    def click_face(model, photo, event: gr.EventData):
        count = 0 if photo is None else len(photo.detected.faces)
        return choosing_face(model, photo, chosen_index(event, count))

    def click_example(model, path, before, event: gr.SelectData):
        return reading(model, path, before, chosen_pixel(event))

    def click_example_face(model, path, before, event: gr.EventData):
        return reading_face(model, path, before, chosen_index(event))

    def choose_label(model, name):
        return models[model].label_expression(name)

    def choose_point(model, event: gr.EventData):
        return models[model].map_expression(chosen_point(event)), None

    def choose_intensity(event: gr.EventData):
        return STRIP_INTENSITIES[chosen_index(event, len(STRIP_INTENSITIES))]

    def change_model(model, intensity, *strengths):
        session = models[model]
        name = first_label if first_label in session.pipe.labels else session.pipe.labels[0]
        expression = session.label_expression(name)
        steps = [Step(expression, intensity, strengths)]
        return expression, gr.update(choices=session.pipe.labels, value=name), steps

    opening_new = with_error_messages(open_new_photo, lambda message: (None, {}, gr.skip()))
    inputs = [model_name, image, photo, expression, label]
    then_draw_photo(image.change(opening_new, inputs, [*opened, expression], **RUN_LAST))
    for event in (
        image.select(with_error_messages(click_photo, gpu=False), [model_name, image], clicked, **RUN_EACH),
        faces.select(with_error_messages(click_face, gpu=False), [model_name, photo], clicked, **RUN_EACH),
    ):
        then_draw_photo(event.then(still_shown, [clicked, image], opened, **RUN_LAST))
    choosing_label = with_error_messages(choose_label, gpu=False)
    then_redraw_and_show_sliders(label.input(choosing_label, [model_name, label], expression, **IN_ORDER, **RUN_LAST))
    inputs = [model_name, example, expression]
    clicking_example = with_error_messages(click_example, gpu=False)
    clicking_example_face = with_error_messages(click_example_face, gpu=False)
    taking = (take_read, [found, example, expression], [expression, label])
    for event in (
        example.change(reading_new, inputs, example_read, **RUN_LAST),
        example.select(clicking_example, inputs, example_read, **RUN_EACH),
        example_faces.select(clicking_example_face, inputs, example_read, **RUN_EACH),
    ):
        then_redraw_and_show_sliders(event.then(*taking, **IN_ORDER, **RUN_LAST))
    choosing_point = with_error_messages(choose_point, gpu=False)
    pointing = (choosing_point, model_name, [expression, label])
    moved = expression_map.input(*pointing, **IN_ORDER, **RUN_EACH)
    moved.then(*redrawing, **SLIDERS, **RUN_LAST)
    then_redraw_and_show_sliders(expression_map.select(*pointing, **IN_ORDER, **RUN_EACH))
    moved, released, others = sliders.connect(model_name, expression, label)
    moved.then(*redrawing, **SLIDERS, **RUN_LAST)
    then_redraw(released)
    for event in others:
        then_redraw(event.then(*remembering, **RUN_LAST).then(*showing_sliders, **RUN_LAST))
    for slider in (intensity, *strengths):
        slider.input(*redrawing, **SLIDERS, **RUN_LAST)
        then_redraw(slider.release(lambda: None, None, None, **RUN_LAST))
    then_redraw(strip.select(with_error_messages(choose_intensity, gpu=False), None, intensity, **RUN_EACH))
    undone = undo_button.click(
        with_error_messages(undo, gpu=False),
        [model_name, steps, *controls],
        [steps, expression, label, intensity, *strengths],
        **RUN_LAST,
    )
    undone = undone.then(*redrawing, **SLIDERS, **RUN_LAST).then(*showing_sliders, **RUN_LAST)
    undone.then(*drawing_strip, **RUN_LAST).then(*drawing_map, **RUN_LAST)
    changed = model_name.change(
        with_error_messages(change_model, gpu=False),
        [model_name, intensity, *strengths],
        [expression, label, steps],
        **RUN_LAST,
    )
    then_draw_photo(changed.then(opening, [model_name, image], opened, **RUN_LAST))
    download.mark.change(*redrawing, **SLIDERS, **RUN_LAST)
    download.connect(with_error_messages(make_file), [model_name, expression, photo, intensity, *strengths])


def _empty(message: str) -> dict:
    return {}


def _is_same(one: Step, other: Step) -> bool:
    same = is_same_expression(one.expression, other.expression)
    return same and (one.intensity, one.strengths) == (other.intensity, other.strengths)
