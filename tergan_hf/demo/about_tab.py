"""The About tab: choose a model, read its card, use it elsewhere, and what happens to photos."""

import os

import gradio as gr

from . import limits
from .components import PRIVATE, with_error_messages
from .models import Models


OTHER_WAYS = """
## Without this page

```python
from gradio_client import Client, handle_file

client = Client("{address}")  # this page's address, or a Space's name
client.predict(handle_file("smiling.jpg"), handle_file("me.jpg"), api_name="/transfer")
client.predict(handle_file("me.jpg"), "surprise", intensity=0.8, api_name="/edit")
client.predict(handle_file("me.jpg"), blendshapes={{"jawOpen": 0.4}}, api_name="/edit")
client.predict(handle_file("me.jpg"), api_name="/recognize")
client.predict(handle_file("me.jpg"), api_name="/blendshapes")
```

“Use via API” at the foot of the page describes every endpoint. Agents call the same endpoints over MCP, at
`/gradio_api/mcp/` of this page's address. In Python use `TerGanPipeline`, on the command line `tergan --help`.

## What happens to your photos

This server works on them in memory, and deletes them from its disk after {minutes} minutes at the latest. It does not
keep them or train on them. Every file made here says in its metadata that it is synthetic (EXIF, XMP with
IPTC's digital source type, PNG text, and the tags of a clip).

This server takes files of up to {size}, photos of up to {pixels} megapixels, and clips of up to {seconds} seconds.
"""


def build(models: Models, model_name: gr.Textbox):
    """Build the tab in the current Blocks context. `model_name` holds the chosen model's name."""

    def load_model(name):
        # Load the model now, so that an error shows here and not in another tab.
        try:
            return models.load(name).name
        except ValueError as error:
            raise gr.Error(f"{error}.", duration=12, print_exception=False) from None

    def show_model(name):
        return f"This page now uses **{name}**.", models[name].card

    with gr.Row():
        offered = f"{', '.join(models.names)}, or " if len(models.names) > 1 else ""
        name = gr.Textbox(
            models.own, label="Model", max_lines=1, elem_id="model",
            info=f"{offered}the id of any TER-GAN on the Hub: owner/name",
        )  # fmt: skip
        load = gr.Button("Use this model", elem_id="model-load")
    loaded = gr.Markdown(elem_id="model-loaded")
    minutes = (limits.FILES_KEPT_SECONDS + limits.CHECK_FILES_EVERY) // 60
    gr.Markdown(
        OTHER_WAYS.format(
            address=own_address(), minutes=minutes, size=limits.MAX_FILE_SIZE.upper().replace("MB", " MB"),
            pixels=limits.MAX_PIXELS // 10**6, seconds=limits.MAX_CLIP_SECONDS,
        )
    )  # fmt: skip
    card = gr.Markdown(models[None].card, elem_id="model-card")
    event = gr.on([load.click, name.submit], with_error_messages(load_model, gpu=False), name, model_name, **PRIVATE)
    event.success(with_error_messages(show_model, gpu=False), model_name, [loaded, card], **PRIVATE)


def own_address() -> str:
    """This server's address for `gradio_client`: a Space's name, or an address on this machine."""
    return os.environ.get("SPACE_ID") or f"http://127.0.0.1:{os.environ.get('GRADIO_SERVER_PORT', 7860)}"
