"""FER: which expression a face shows."""

import gradio as gr

from ..pipeline_tergan import TerGanPipeline
from .components import photo_input, required, speaking_to_visitors
from .examples import example_photos


def build(pipe: TerGanPipeline):
    """Add the tab's contents to the Blocks context it is called in."""

    @speaking_to_visitors
    def recognize(image):
        required(image, "a photo")
        return {answer["label"]: answer["score"] for answer in pipe.recognize(image)}

    gr.Markdown("What a face *shows* is not what a person *feels*: take the answer as a description of the photo.")
    with gr.Row():
        image = photo_input(label="Your photo", height=360, elem_id="fer-image")
        answer = gr.Label(num_top_classes=len(pipe.labels), label="Expression", elem_id="fer-answer")
    button = gr.Button("Recognise the expression", variant="primary", elem_id="fer-run")
    button.click(recognize, image, answer, api_name="recognize")
    photos = example_photos()
    if photos:
        gr.Examples(photos, image, answer, recognize, run_on_click=True, cache_examples=False, label="Examples")
