"""The Transfer tab: give a photo the expression of another photo, or animate it with a driving clip."""

from dataclasses import replace

import gradio as gr

from ..model.pipeline_base_tergan import check_intensity
from ..model.provenance_tergan import draw_mark
from ..provenance.saving import signed_clip
from ..provenance.signing import environment_signer
from . import limits
from .components import (
    LONG,
    PRIVATE,
    RUN_EACH,
    RUN_LAST,
    SLIDERS,
    DownloadRow,
    clip_input,
    example_row,
    intensity_slider,
    new_file,
    photo_input,
    require_input,
    states_of_a_visit,
    with_error_messages,
    write_result,
)
from .examples import (
    example_clip,
    example_expressions,
    example_photos,
    expression_captions,
    expression_of,
    numbered_captions,
)
from .inputs import FreeRadio, check_choice, chosen_index, chosen_pixel
from .models import Models
from .server import visitor_has_left
from .session_values import DetectedFaces, EncodedPhoto, TargetExpression, shows, still_shown
from .views import compare_data, compare_view, face_row_data, message_data, picture_row, row_data
from .zero_gpu import CLIP_SECONDS, ON_ZERO_GPU


# What of the driving clip is carried, as `relative` in `transfer_video`.
CARRIED = {"automatic": None, "changes": True, "expression": False}
CLIP_SIDE = 720  # longest side in pixels of a clip that is made
PROMPT = "Add your photo and a photo that shows an expression: the result appears here."


def build(models: Models, model_name: gr.Textbox):
    """Build the tab in the current Blocks context. `model_name` holds the chosen model's name."""
    expression_paths = [path for path in example_expressions() if expression_of(path) != "neutral"]
    people = example_photos("neutral")
    smiling = example_photos("happiness")

    def open_source(model, path, point=None):
        if path is None:
            return None, {}
        return read(model, models[model].find_faces(path, "expression photo", point))

    def open_target(model, path, point=None):
        if path is None:
            return None, {}
        return encode(model, models[model].find_faces(path, "your photo", point))

    def read(model, detected: DetectedFaces):
        return models[model].read_expression(detected), face_row_data(detected)

    def encode(model, detected: DetectedFaces):
        return models[model].encode_photo(detected), face_row_data(detected)

    # The server may have forgotten the other photo of an idle visit; the page still shows it.
    def open_new_source(model, path, expression, photo, target_path):
        if shows(expression, path):
            return (gr.skip(),) * 4
        other = open_target(model, target_path) if photo is None and path is not None else (gr.skip(), gr.skip())
        return *open_source(model, path), *other

    def open_new_target(model, path, photo, expression, source_path):
        if shows(photo, path):
            return (gr.skip(),) * 4
        other = open_source(model, source_path) if expression is None and path is not None else (gr.skip(), gr.skip())
        return *open_target(model, path), *other

    def choose_source_face(model, expression: TargetExpression | None, number):
        if expression is None or expression.detected is None:
            return None, {}
        return read(model, replace(expression.detected, chosen=number))

    def choose_target_face(model, photo: EncodedPhoto | None, number):
        return (None, {}) if photo is None else encode(model, replace(photo.detected, chosen=number))

    def draw(model, expression, photo, intensity, mark, with_photo):
        if expression is None or photo is None:
            return message_data(PROMPT)
        result = models[model].draw_preview(photo, expression, intensity)
        return compare_data(photo.preview.photo if with_photo else None, result, f"intensity {intensity:g}", mark)

    def redraw(model, expression, photo, intensity, mark):
        return draw(model, expression, photo, intensity, mark, with_photo=False)

    def draw_with_photo(model, expression, photo, intensity, mark):
        return draw(model, expression, photo, intensity, mark, with_photo=True)

    def draw_examples(model, photo):
        if photo is None or not expression_paths:
            return {}
        session = models[model]
        expressions = [session.example_expression(path) for path in expression_paths]
        pictures = session.draw_closeups(photo, expressions, [1.0] * len(expressions))
        names = [expression_of(path) for path in expression_paths]
        return row_data("The example expressions on your photo: click one to use it", pictures, names)

    def make_file(model, expression, photo, intensity, mark, file_type):
        require_input(expression, "a photo that shows the expression")
        require_input(photo, "the photo to change")

        inputs = [expression.detected.path] if expression.detected else []

        def write(result):
            return write_result(result, mark, file_type, photo.detected.path, inputs)

        return models[model].draw_full_size(photo, expression, intensity, write=write)

    def animate(model, driving, target, photo, intensity, carried, mark, progress=gr.Progress(track_tqdm=True)):
        require_input(driving, "a clip that shows the expressions")
        require_input(target, "the photo to animate")
        check_intensity(intensity)
        relative = CARRIED[check_choice(carried, CARRIED, "what is carried")]
        limits.check_clip(driving)
        allowance = limits.Allowance(visitor_has_left())

        def finish(frame):
            allowance()
            return draw_mark(frame) if mark else frame

        is_open = photo is not None and photo.detected.path == target
        reduced, scale = models[model].reduced_photo(target, CLIP_SIDE)
        face = tuple(scale * value for value in box_centre(photo.detected.chosen_face)) if is_open else None
        output = new_file(f"{limits.file_stem(target)}_ter-gan.mp4")
        with signed_clip(output, environment_signer(), target, [driving]) as path:
            report = models[model].pipe.transfer_video(
                driving, reduced, path, intensity, relative, face=face, max_side=CLIP_SIDE, finish=finish,
                limits=limits.CLIP_LIMITS,
            )  # fmt: skip
        return gr.update(value=str(output), label=f"Result (synthetic), {_describe_choice(report)}")

    gr.Markdown("The face in **your photo** takes on the expression of the face in the **expression photo**.")
    has_examples = len(smiling) > 1 and people and not ON_ZERO_GPU
    first_source, first_target = (smiling[1], people[0]) if has_examples else (None, None)
    first_expression, first_photo = open_source(None, first_source)[0], open_target(None, first_target)[0]
    expression, photo = states_of_a_visit(first_expression, first_photo)
    clicked_source, clicked_target = gr.State(), gr.State()
    with gr.Row():
        with gr.Column(min_width=280):
            target = photo_input(value=first_target, label="Your photo", height=250, elem_id="transfer-target")
            target_faces = picture_row(elem_id="transfer-target-faces")
            captions = numbered_captions("person", people)
            example_row("Example people", people, captions, target, elem_id="transfer-people")
            swap = gr.Button("⇅ Swap the two photos", size="sm", elem_id="transfer-swap")
            source = photo_input(value=first_source, label="Expression photo", height=250, elem_id="transfer-source")
            source_faces = picture_row(elem_id="transfer-source-faces")
            sources = expression_paths + smiling
            captions = expression_captions(sources)
            example_row("Example expressions", sources, captions, source, elem_id="transfer-expressions")
        with gr.Column(scale=2, min_width=300, elem_classes="result-column"):
            result = compare_view(
                draw(None, first_expression, first_photo, 1.0, True, with_photo=True), elem_id="transfer-result"
            )
            intensity = intensity_slider(elem_id="transfer-intensity")
            examples = picture_row(draw_examples(None, first_photo), elem_id="transfer-all")
            download = DownloadRow("transfer")
    with gr.Accordion("Animate your photo with a clip", open=False, elem_id="transfer-animate"):
        gr.Markdown(
            f"Frame by frame, your photo takes on the expression of the face in the driving clip. Up to "
            f"{limits.MAX_CLIP_SECONDS} seconds; the sound is kept."
        )
        with gr.Row():
            driving = clip_input(label="Driving clip", elem_id="transfer-clip")
            video = gr.Video(label="Result (synthetic)", height=280, interactive=False, elem_id="transfer-video")
        carried = FreeRadio(
            [("Automatic", "automatic"), ("Only changes", "changes"), ("The expression itself", "expression")],
            value="automatic", label="What your photo takes from the clip",
            info="Only changes: what moves since the calmest frame of the first 1.5 seconds. Automatic: only changes "
            "if that frame is calm",
            elem_id="transfer-relative",
        )  # fmt: skip
        with gr.Row():
            use_example_clip = gr.Button(
                "Use the example clip", visible=example_clip() is not None, elem_id="transfer-example-clip"
            )
            run = gr.Button("Animate", variant="primary", elem_id="transfer-run-clip")

    settings = [model_name, expression, photo, intensity, download.mark]
    drawing_with_photo = (with_error_messages(draw_with_photo, message_data), settings, result)
    redrawing = (with_error_messages(redraw, message_data), settings, result)
    drawing_examples = (with_error_messages(draw_examples, lambda message: {}), [model_name, photo], examples)
    opening_source = with_error_messages(open_source, lambda message: (None, {}))
    opening_target = with_error_messages(open_target, lambda message: (None, {}))
    opened_source, opened_target = [expression, source_faces], [photo, target_faces]

    def then_draw(event, with_examples: bool = False):
        event = event.then(*drawing_with_photo, **SLIDERS, **RUN_LAST)
        if with_examples:
            event.then(*drawing_examples, **RUN_LAST)

    opening_new = [
        with_error_messages(function, lambda message: (None, {}, gr.skip(), gr.skip()))
        for function in (open_new_source, open_new_target)
    ]
    inputs = [model_name, source, expression, photo, target]
    then_draw(source.change(opening_new[0], inputs, [*opened_source, *opened_target], **RUN_LAST))
    inputs = [model_name, target, photo, expression, source]
    then_draw(target.change(opening_new[1], inputs, [*opened_target, *opened_source], **RUN_LAST), with_examples=True)
    reopened = model_name.change(opening_source, [model_name, source], opened_source, **RUN_LAST)
    then_draw(reopened.then(opening_target, [model_name, target], opened_target, **RUN_LAST), with_examples=True)

    def click_source(model, path, event: gr.SelectData):
        return opening_source(model, path, chosen_pixel(event))

    def click_target(model, path, event: gr.SelectData):
        return opening_target(model, path, chosen_pixel(event))

    choosing_source_face = with_error_messages(choose_source_face, lambda message: (None, {}))
    choosing_target_face = with_error_messages(choose_target_face, lambda message: (None, {}))

    def click_source_face(model, expression, event: gr.EventData):
        return choosing_source_face(model, expression, chosen_index(event, _count(expression)))

    def click_target_face(model, photo, event: gr.EventData):
        return choosing_target_face(model, photo, chosen_index(event, _count(photo)))

    def click_example(event: gr.EventData):
        return expression_paths[chosen_index(event, len(expression_paths))]

    for event in (
        source.select(with_error_messages(click_source, gpu=False), [model_name, source], clicked_source, **RUN_EACH),
        source_faces.select(
            with_error_messages(click_source_face, gpu=False), [model_name, expression], clicked_source, **RUN_EACH
        ),
    ):
        then_draw(event.then(still_shown, [clicked_source, source], opened_source, **RUN_LAST))
    for event in (
        target.select(with_error_messages(click_target, gpu=False), [model_name, target], clicked_target, **RUN_EACH),
        target_faces.select(
            with_error_messages(click_target_face, gpu=False), [model_name, photo], clicked_target, **RUN_EACH
        ),
    ):
        then_draw(event.then(still_shown, [clicked_target, target], opened_target, **RUN_LAST), with_examples=True)
    examples.select(with_error_messages(click_example, gpu=False), None, source, **RUN_EACH)
    swap.click(lambda source, target: (target, source), [source, target], [source, target], **RUN_LAST)
    intensity.input(*redrawing, **SLIDERS, **RUN_LAST)
    # Redraw once more on release: the page may drop a last move that comes just as an earlier redraw ends.
    intensity.release(*redrawing, **SLIDERS, **RUN_EACH)
    download.mark.change(*redrawing, **SLIDERS, **RUN_LAST)
    download.connect(with_error_messages(make_file), [model_name, expression, photo, intensity])
    use_example_clip.click(example_clip, None, driving, **PRIVATE)
    run.click(
        with_error_messages(animate, gpu_seconds=CLIP_SECONDS),
        [model_name, driving, target, photo, intensity, carried, download.mark], video, **LONG, **PRIVATE,
    )  # fmt: skip


def _describe_choice(report) -> str:
    """What was carried from the driving clip, in a few words."""
    face = report.faces[0]
    if not face.relative:
        return "the expression itself"
    return f"changes since {face.reference_seconds:.1f} s"


def box_centre(face) -> tuple[float, float]:
    """The centre (x, y) of a face's box."""
    return tuple(face.box.reshape(2, 2).mean(0))


def _count(opened: EncodedPhoto | TargetExpression | None) -> int:
    """The number of faces to choose from."""
    return 0 if opened is None or opened.detected is None else len(opened.detected.faces)
