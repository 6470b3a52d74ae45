"""Transfer: one photo's expression on another photo's face."""

import gradio as gr

from ..model.provenance_tergan import VIDEO_METADATA, draw_mark
from . import limits
from .components import (
    LIVE,
    LONG,
    PRIVATE,
    DownloadRow,
    clip_input,
    example_row,
    intensity_slider,
    new_file,
    photo_input,
    required,
    speaking_to_visitors,
    write_result,
)
from .edit_session import EncodedPhoto, TargetExpression
from .examples import captions_of, example_clip, example_expressions, example_photos, expression_of, numbered
from .models import Models
from .views import compare_view, compared, picture_row, row_of, row_of_faces, told
from .zero_gpu import LENT


ASK = "Add your photo and a photo that shows an expression: the result appears here."


def build(models: Models, chosen: gr.State):
    """Add the tab's contents to the Blocks context it is called in; `chosen` holds the model's name."""
    expressions = [path for path in example_expressions() if expression_of(path) != "neutral"]
    people = example_photos("neutral")
    smiling = example_photos("happiness")

    def open_source(model, path, point=None):
        if path is None:
            return None, {}
        wanted = models[model].read_expression(models[model].find_faces(path, "expression photo", point))
        return wanted, row_of_faces(wanted.photo)

    def open_target(model, path, point=None):
        if path is None:
            return None, {}
        encoded = models[model].encode_photo(models[model].find_faces(path, "your photo", point))
        return encoded, row_of_faces(encoded.photo)

    def choose_face(photo, number, reopen, model):
        return reopen(model, photo.path, middle_of(photo.faces[number])) if photo else (gr.skip(), gr.skip())

    def choose_source_face(model, wanted: TargetExpression | None, number):
        return choose_face(wanted and wanted.photo, number, open_source, model)

    def choose_target_face(model, encoded: EncodedPhoto | None, number):
        return choose_face(encoded and encoded.photo, number, open_target, model)

    def draw(model, wanted, encoded, intensity, mark, with_photo):
        if wanted is None or encoded is None:
            return told(ASK)
        drawn = models[model].draw(encoded, wanted, intensity)
        return compared(encoded.preview.photo if with_photo else None, drawn, f"intensity {intensity:g}", mark)

    def redraw(model, wanted, encoded, intensity, mark):
        return draw(model, wanted, encoded, intensity, mark, with_photo=False)

    def draw_anew(model, wanted, encoded, intensity, mark):
        return draw(model, wanted, encoded, intensity, mark, with_photo=True)

    def try_all(model, encoded):
        if encoded is None or not expressions:
            return {}
        session = models[model]
        expressions_to_show = [session.example(path) for path in expressions]
        pictures = session.draw_row(encoded, expressions_to_show, [1.0] * len(expressions_to_show))
        names = [expression_of(path) for path in expressions]
        return row_of("The example expressions on your photo: click one to use it", pictures, names)

    def make_file(model, wanted, encoded, intensity, mark, kind):
        required(wanted, "a photo that shows the expression")
        required(encoded, "the photo to change")
        drawn = models[model].draw_full(encoded, wanted, intensity)
        return write_result(drawn, mark, kind, encoded.photo.path)

    def transfer(source, target, intensity=1.0, mark=True):
        """Full resolution, for programs."""
        required(source, "a photo that shows the expression")
        required(target, "the photo to change")
        for path, what in ((source, "source"), (target, "target")):
            limits.check_photo(path, what)
        result = models[None].pipe.transfer(source, target, intensity=intensity)
        return write_result(result, mark, "PNG", target)

    def animate(model, clip, target, encoded, intensity, relative, mark, progress=gr.Progress(track_tqdm=True)):
        required(clip, "a clip that shows the expressions")
        required(target, "the photo to animate")
        limits.check_photo(target, "your photo")
        limits.check_clip(clip)
        allowance = limits.Allowance()

        def finish(frame):
            allowance()
            return draw_mark(frame) if mark else frame

        known = encoded is not None and encoded.photo.path == target
        output = new_file(f"{limits.stem_of(target)}_ter-gan.mp4")
        models[model].pipe.transfer_video(
            clip, target, output, intensity, relative, face=middle_of(encoded.photo.face) if known else None,
            max_side=720, finish=finish, metadata=VIDEO_METADATA,
        )  # fmt: skip
        return str(output)

    gr.Markdown("The face in **your photo** takes on the expression of the face in the **expression photo**.")
    first_source, first_target = (smiling[1], people[0]) if len(smiling) > 1 and people and not LENT else (None, None)
    first_expression, first_encoded = open_source(None, first_source)[0], open_target(None, first_target)[0]
    wanted, encoded = (_state(value) for value in (first_expression, first_encoded))
    with gr.Row():
        with gr.Column(min_width=280):
            target = photo_input(value=first_target, label="Your photo", height=250, elem_id="transfer-target")
            target_faces = picture_row(elem_id="transfer-target-faces")
            example_row("Example people", people, numbered("person", people), target, elem_id="transfer-people")
            swap = gr.Button("⇅ Swap the two photos", size="sm", elem_id="transfer-swap")
            source = photo_input(value=first_source, label="Expression photo", height=250, elem_id="transfer-source")
            source_faces = picture_row(elem_id="transfer-source-faces")
            sources = expressions + smiling
            example_row("Example expressions", sources, captions_of(sources), source, elem_id="transfer-expressions")
        with gr.Column(scale=2, min_width=300, elem_classes="result-column"):
            result = compare_view(
                draw(None, first_expression, first_encoded, 1.0, True, with_photo=True), elem_id="transfer-result"
            )
            intensity = intensity_slider(elem_id="transfer-intensity")
            row = picture_row(try_all(None, first_encoded), elem_id="transfer-all")
            download = DownloadRow("transfer")
    with gr.Accordion("Animate your photo with a clip", open=False, elem_id="transfer-animate"):
        gr.Markdown(
            f"Frame by frame, your photo takes on the expression of the face in the clip. Up to "
            f"{limits.MAX_CLIP_SECONDS} seconds; the sound is kept."
        )
        with gr.Row():
            clip = clip_input(label="Clip", elem_id="transfer-clip")
            moving = gr.Video(label="Result (synthetic)", height=280, interactive=False, elem_id="transfer-video")
        relative = gr.Checkbox(
            False, label="Only what changes since the clip's first frame",
            info="For a person who looks stern or smiling by nature, in a clip that begins calmly",
            elem_id="transfer-relative",
        )  # fmt: skip
        with gr.Row():
            taking = gr.Button(
                "Take the example clip", visible=example_clip() is not None, elem_id="transfer-example-clip"
            )
            animating = gr.Button("Animate", variant="primary", elem_id="transfer-run-clip")

    drawing = [chosen, wanted, encoded, intensity, download.mark]
    anew = (speaking_to_visitors(draw_anew, told), drawing, result)
    every = (speaking_to_visitors(try_all, lambda message: {}), [chosen, encoded], row)
    quiet = {"show_progress": "hidden", **PRIVATE}
    opening_source = speaking_to_visitors(open_source, lambda message: (None, {}))
    opening_target = speaking_to_visitors(open_target, lambda message: (None, {}))
    opened_source, opened_target = [wanted, source_faces], [encoded, target_faces]

    def draws(event, with_row: bool = False):
        event = event.then(*anew, **quiet)
        if with_row:
            event.then(*every, **quiet)

    draws(source.change(opening_source, [chosen, source], opened_source, **quiet))
    draws(target.change(opening_target, [chosen, target], opened_target, **quiet), with_row=True)
    reopened = chosen.change(opening_source, [chosen, source], opened_source, **quiet)
    draws(reopened.then(opening_target, [chosen, target], opened_target, **quiet), with_row=True)

    def clicked_source(model, path, event: gr.SelectData):
        return opening_source(model, path, tuple(event.index))

    def clicked_target(model, path, event: gr.SelectData):
        return opening_target(model, path, tuple(event.index))

    choosing_source = speaking_to_visitors(choose_source_face, lambda message: (None, {}))
    choosing_target = speaking_to_visitors(choose_target_face, lambda message: (None, {}))

    def picked_source(model, wanted, event: gr.EventData):
        return choosing_source(model, wanted, int(event.index))

    def picked_target(model, encoded, event: gr.EventData):
        return choosing_target(model, encoded, int(event.index))

    def picked_example(event: gr.EventData):
        return expressions[int(event.index) % len(expressions)]

    draws(source.select(clicked_source, [chosen, source], opened_source, **quiet))
    draws(target.select(clicked_target, [chosen, target], opened_target, **quiet), with_row=True)
    draws(source_faces.select(picked_source, [chosen, wanted], opened_source, **quiet))
    draws(target_faces.select(picked_target, [chosen, encoded], opened_target, **quiet), with_row=True)
    row.select(picked_example, None, source, **quiet)
    swap.click(lambda one, other: (one, other), [source, target], [target, source], **quiet)
    again = (speaking_to_visitors(redraw, told), drawing, result)
    intensity.input(*again, **LIVE)
    # Once more when it is let go: the page may drop a last move that comes just as an earlier redraw ends.
    intensity.release(*again, trigger_mode="multiple", **quiet)
    download.mark.change(*again, **quiet)
    download.connect(speaking_to_visitors(make_file), [chosen, wanted, encoded, intensity])
    taking.click(example_clip, None, clip, **PRIVATE)
    animating.click(
        speaking_to_visitors(animate), [chosen, clip, target, encoded, intensity, relative, download.mark], moving,
        **LONG, **PRIVATE,
    )  # fmt: skip
    made = gr.Image(visible=False, type="filepath", label="result")
    gr.Button(visible=False).click(
        speaking_to_visitors(transfer), [source, target, intensity, download.mark], made, api_name="transfer",
        api_description="Give the face of `target` the expression of `source`; a PNG in the photo's own resolution.",
    )  # fmt: skip


def middle_of(face) -> tuple[float, float]:
    """The middle of a face's box."""
    return tuple(face.box.reshape(2, 2).mean(0))


def _state(value=None) -> gr.State:
    return gr.State(value, time_to_live=limits.STATE_KEPT_SECONDS)
