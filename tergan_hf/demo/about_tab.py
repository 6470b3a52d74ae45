"""About: the choice of a model, its card with the measured numbers, other ways to use it, what happens to photos."""

import os
from pathlib import Path

import gradio as gr
from huggingface_hub import hf_hub_download

from . import limits
from .components import PRIVATE, speaking_to_visitors
from .models import Models


OTHER_WAYS = """
## Without this page

```python
from gradio_client import Client, handle_file

client = Client("{address}")  # this page's address, or a Space's name
client.predict(handle_file("smiling.jpg"), handle_file("me.jpg"), 1.0, True, api_name="/transfer")
client.predict(handle_file("me.jpg"), "surprise", 1.0, True, api_name="/edit")
client.predict(handle_file("me.jpg"), api_name="/recognize")
```

The last but one argument is the intensity, the last one whether a visible mark is drawn. “Use via API” at the foot of
the page shows every endpoint. In Python the same is `TerGanPipeline`, on the command line `tergan --help`.

## What happens to your photos

They are worked on in this server's memory, and deleted from its disk {minutes} minutes after they came at the latest.
They are neither kept, nor logged, nor trained on. Every file made here says in its metadata that it is synthetic
(EXIF, XMP with IPTC's digital source type, and PNG text).

This server takes files of up to {size}, photos of up to {pixels} megapixels, and clips of up to {seconds} seconds.
"""


def build(models: Models, chosen: gr.State):
    """Add the tab's contents to the Blocks context it is called in; `chosen` holds the model's name."""

    def choose_model(name):
        # Loading it here says what is wrong with it, before a tab asks for it.
        try:
            return models[name].name
        except ValueError as error:
            raise gr.Error(f"{error}.", duration=12, print_exception=False) from None

    def tell_model(name):
        return f"This page now uses **{name}**.", model_card(models.place_of(name))

    with gr.Row():
        offered = f"{', '.join(models.names)}, or " if len(models.names) > 1 else ""
        name = gr.Textbox(
            models.own, label="Model", max_lines=1, elem_id="model",
            info=f"{offered}the id of any TER-GAN on the Hub: owner/name",
        )  # fmt: skip
        loading = gr.Button("Use this model", elem_id="model-load")
    loaded = gr.Markdown(elem_id="model-loaded")
    minutes = (limits.FILES_KEPT_SECONDS + limits.CHECK_FILES_EVERY) // 60
    gr.Markdown(
        OTHER_WAYS.format(
            address=own_address(), minutes=minutes, size=limits.MAX_FILE_SIZE.upper().replace("MB", " MB"),
            pixels=limits.MAX_PIXELS // 10**6, seconds=limits.MAX_CLIP_SECONDS,
        )
    )  # fmt: skip
    card = gr.Markdown(model_card(models.place_of(models.own)), elem_id="model-card")
    event = gr.on([loading.click, name.submit], speaking_to_visitors(choose_model), name, chosen, **PRIVATE)
    event.success(tell_model, chosen, [loaded, card], **PRIVATE)


def own_address() -> str:
    """What `gradio_client` calls this server: a Space's name, or an address on this machine."""
    return os.environ.get("SPACE_ID") or f"http://127.0.0.1:{os.environ.get('GRADIO_SERVER_PORT', 7860)}"


def model_card(place: str) -> str:
    """The card of the model in a folder or on the Hub, without its front matter; empty where there is none."""
    try:
        path = Path(place) / "README.md" if Path(place).is_dir() else Path(hf_hub_download(place, "README.md"))
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):  # the Hub's errors are among them
        return ""
    return text.split("---\n", 2)[2].strip() if text.startswith("---\n") else text
