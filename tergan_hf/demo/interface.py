"""The page around the tabs."""

import gradio as gr

from ..pipeline_tergan import TerGanPipeline
from . import editing_tab, recognition_tab, transfer_tab


TITLE = "TER-GAN: facial expression transfer, editing and recognition"
NOTE = (
    "Everything this page makes is **synthetic**: do not pass it off as a real photo, and change only photos of "
    "people who agreed to it. Uploaded photos are deleted from the server within two hours. Example photos: Face "
    "Research Lab London Set, DeBruine & Jones 2017, CC BY 4.0."
)
# No web fonts: the page must look the same without a network.
THEME = gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
TABS = {"Transfer": transfer_tab, "Editing": editing_tab, "FER": recognition_tab}


def build_demo(pipe: TerGanPipeline) -> gr.Blocks:
    """The whole app over one pipeline."""
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(3600, 3600)) as demo:
        gr.Markdown(f"# {TITLE}")
        gr.Markdown(NOTE)
        with gr.Tabs():
            for name, tab in TABS.items():
                with gr.Tab(name, id=name.lower()):
                    tab.build(pipe)
    return demo
