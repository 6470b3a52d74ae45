"""Editing: another expression for a photo, by label or by example."""

import gradio as gr

from ..pipeline_tergan import TerGanPipeline
from .components import intensity_slider, photo_input, required, result_image, speaking_to_visitors
from .examples import example_photos


def build(pipe: TerGanPipeline):
    """Add the tab's contents to the Blocks context it is called in."""

    @speaking_to_visitors
    def edit(image, label, example, intensity):
        required(image, "the photo to change")
        return pipe.edit(image, example if example is not None else label, intensity=intensity)

    gr.Markdown(
        "Choose an expression by its name, or add a photo that shows it: the photo counts where both are given."
    )
    with gr.Row():
        image = photo_input(label="Your photo", height=320, elem_id="edit-image")
        with gr.Column():
            label = gr.Radio(pipe.labels, value="happiness", label="Expression", elem_id="edit-label")
            with gr.Accordion("Or by example photo", open=False):
                example = photo_input(label="Expression photo", height=220, elem_id="edit-example")
        result = result_image(elem_id="edit-result")
    intensity = intensity_slider()
    button = gr.Button("Edit the expression", variant="primary", elem_id="edit-run")
    inputs = [image, label, example, intensity]
    button.click(edit, inputs, result, api_name="edit")
    intensity.release(edit, inputs, result, api_name=False)
    wanted = [name for name in ("happiness", "surprise", "sadness", "anger") if name in pipe.labels]
    rows = [[photo, name, None, 1.0] for photo, name in zip(example_photos("neutral"), wanted)]
    if rows:
        gr.Examples(rows, inputs, result, edit, run_on_click=True, cache_examples=False, label="Examples")
