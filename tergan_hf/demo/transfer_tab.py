"""Transfer: one photo's expression on another photo's face."""

import gradio as gr

from ..pipeline_tergan import TerGanPipeline
from .components import intensity_slider, photo_input, required, result_image, speaking_to_visitors
from .examples import example_photos


def build(pipe: TerGanPipeline):
    """Add the tab's contents to the Blocks context it is called in."""

    @speaking_to_visitors
    def transfer(source, target, intensity):
        required(source, "a photo that shows the expression")
        required(target, "the photo to change")
        return pipe.transfer(source, target, intensity=intensity)

    gr.Markdown("The face in **your photo** takes on the expression of the face in **the expression photo**.")
    with gr.Row():
        source = photo_input(label="Expression photo", height=320, elem_id="transfer-source")
        target = photo_input(label="Your photo", height=320, elem_id="transfer-target")
        result = result_image(elem_id="transfer-result")
    intensity = intensity_slider()
    button = gr.Button("Transfer the expression", variant="primary", elem_id="transfer-run")
    inputs = [source, target, intensity]
    button.click(transfer, inputs, result, api_name="transfer")
    intensity.release(transfer, inputs, result, api_name=False)
    smiling, neutral = example_photos("happiness"), example_photos("neutral")
    pairs = [[s, t, 1.0] for s, t in zip(smiling, neutral)] + [[neutral[-1], smiling[0], 1.0]] if neutral else []
    if pairs:
        gr.Examples(pairs, inputs, result, transfer, run_on_click=True, cache_examples=False, label="Examples")
