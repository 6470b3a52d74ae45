"""The part of the Editing tab that sets single blendshapes with sliders, and presets of them."""

import json

import gradio as gr

from ..expressions.slider_regions import slider_regions
from ..model.expression_requests_tergan import ExpressionRequest, read_preset
from .components import CLICK_HIDDEN_BUTTON, IN_ORDER, RUN_EACH, RUN_LAST, new_file, with_error_messages
from .edit_session import EditSession
from .inputs import chosen_values
from .models import Models
from .session_values import EncodedPhoto, TargetExpression
from .views import sliders_data, sliders_view


NEUTRAL = "neutral"
NOTE = (
    "Each slider starts at what the photo shows and changes only this movement. **Left and right are the person's "
    "own.** Intensity scales the whole change."
)
COMMAND = "Apply a preset to a folder of photos and clips: `tergan edit folder/ --set @preset.json -o results/`"


def show_photo(session: EditSession, photo: EncodedPhoto | None, expression: TargetExpression | None) -> dict:
    """The value of the view of sliders for a photo and what is set. Empty without a photo, or if the model can set no
    blendshapes."""
    names = session.settable_blendshapes
    if photo is None or not names:
        return {}
    request = request_of(expression)
    start = session.read_blendshapes(photo, request.labels)
    return sliders_data(slider_regions(names), start, request.blendshapes)


def request_of(expression: TargetExpression | None) -> ExpressionRequest:
    """What an expression sets by name; an empty request for nothing."""
    request = expression.request if expression is not None else None
    return request or ExpressionRequest({}, {})


def starts_from_neutral(expression: TargetExpression | None) -> bool:
    """Whether an expression is set on top of a neutral face."""
    return request_of(expression).labels.get(NEUTRAL) == 1


class BlendshapeSliders:
    """
    An accordion with a slider for each blendshape, by region. It is hidden if the model can set none. The sliders set
    the tab's `expression`.

    Args:
        models: the app's models.
        photo, expression: first values of the states that `connect` is given.
    """

    def __init__(self, models: Models, photo: EncodedPhoto | None, expression: TargetExpression | None):
        self.models = models
        shown = bool(models[None].settable_blendshapes)
        self.section = gr.Accordion("Single movements (blendshapes)", open=False, visible=shown, elem_id="edit-single")
        with self.section:
            gr.Markdown(NOTE)
            with gr.Row():
                has_neutral = NEUTRAL in models[None].pipe.labels
                self.neutral = gr.Checkbox(
                    False, label="Start from neutral", visible=has_neutral, elem_id="edit-from-neutral"
                )
                self.reset = gr.Button("Reset", size="sm", elem_id="edit-reset")
            self.view = sliders_view(show_photo(models[None], photo, expression), elem_id="edit-sliders")
            with gr.Row():
                self.save = gr.Button("Save preset", size="sm", elem_id="edit-save-preset")
                self.load = gr.UploadButton("Load preset", file_types=[".json"], size="sm", elem_id="edit-load-preset")
            gr.Markdown(COMMAND)
        self.file = gr.DownloadButton(visible="hidden", elem_id="edit-preset-file")

    def showing(self, model_name: gr.Textbox, photo: gr.State, expression: gr.State) -> tuple:
        """Handler, inputs and outputs of an event after which the sliders show photo and expression again."""

        def show(model, photo, expression):
            session = self.models[model]
            has_neutral = NEUTRAL in session.pipe.labels
            return (
                gr.update(visible=bool(session.settable_blendshapes)),
                show_photo(session, photo, expression),
                gr.update(value=starts_from_neutral(expression), visible=has_neutral),
            )

        handler = with_error_messages(show, lambda message: (gr.skip(), {}, gr.skip()))
        return handler, [model_name, photo, expression], [self.section, self.view, self.neutral]

    def connect(self, model_name: gr.Textbox, expression: gr.State, label: gr.Radio) -> tuple:
        """
        Let the controls set `expression` and clear `label`.

        Returns:
            the event while a slider moves, the one when it is released, and those that set several sliders.
        """

        def move(model, expression, event: gr.EventData):
            values = {**request_of(expression).labels, **chosen_values(event)}
            return self.models[model].named_expression(values), None

        def toggle_neutral(model, expression, checked):
            labels = {NEUTRAL: 1.0} if checked else {}
            return self.models[model].named_expression({**labels, **request_of(expression).blendshapes}), None

        def reset(model):
            return self.models[model].named_expression({}), None

        def load_preset(model, path):
            return self.models[model].named_expression(read_preset(path, "the preset")), None

        def save_preset(expression):
            request = request_of(expression)
            values = {**request.labels, **request.blendshapes}
            if not values:
                raise gr.Error("Move a slider first: a preset holds what you set.", duration=8, print_exception=False)
            path = new_file("preset.json")
            path.write_text(json.dumps({name: round(value, 4) for name, value in values.items()}, indent=2) + "\n")
            return str(path)

        def quick(handler):
            return with_error_messages(handler, gpu=False)

        set_outputs = [expression, label]
        moving = (quick(move), [model_name, expression], set_outputs)
        moved = self.view.input(*moving, **IN_ORDER, **RUN_EACH)
        released = self.view.select(*moving, **IN_ORDER, **RUN_EACH)
        toggling = (quick(toggle_neutral), [model_name, expression, self.neutral], set_outputs)
        others = [
            self.neutral.input(*toggling, **IN_ORDER, **RUN_LAST),
            self.reset.click(quick(reset), model_name, set_outputs, **IN_ORDER, **RUN_LAST),
            self.load.upload(quick(load_preset), [model_name, self.load], set_outputs, **IN_ORDER, **RUN_LAST),
        ]
        saved = self.save.click(quick(save_preset), expression, self.file, **RUN_LAST)
        saved.success(None, None, None, js=CLICK_HIDDEN_BUTTON.format("edit-preset-file"))
        return moved, released, others
