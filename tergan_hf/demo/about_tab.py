"""About: the model card with its measured numbers, other ways to use the model, what happens to photos."""

from pathlib import Path

import gradio as gr

from . import limits


ROOT = Path(__file__).resolve().parents[2]
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


def build():
    """Add the tab's contents to the Blocks context it is called in."""
    minutes = (limits.FILES_KEPT_SECONDS + limits.CHECK_FILES_EVERY) // 60
    gr.Markdown(
        OTHER_WAYS.format(
            address="http://127.0.0.1:7860", minutes=minutes, size=limits.MAX_FILE_SIZE.upper().replace("MB", " MB"),
            pixels=limits.MAX_PIXELS // 10**6, seconds=limits.MAX_CLIP_SECONDS,
        )
    )  # fmt: skip
    card = model_card()
    if card:
        gr.Markdown(card, elem_id="model-card")


def model_card() -> str:
    """The card of the weights in this repository, without its front matter; empty where there is none."""
    path = ROOT / "weights" / "ter-gan" / "README.md"
    if not path.is_file():
        return ""
    text = path.read_text(encoding="utf-8")
    return text.split("---\n", 2)[2].strip() if text.startswith("---\n") else text
