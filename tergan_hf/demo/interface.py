"""The page around the tabs."""

import gradio as gr
from starlette.middleware import Middleware

from ..model.pipeline_tergan import TerGanPipeline
from . import about_tab, api, editing_tab, file_fetching, limits, mcp_server, recognition_tab, transfer_tab
from .examples import ASSETS, ATTRIBUTION
from .models import Models
from .server import ClosedRoutes, PublicBlocks
from .views import KEYS, STYLE


TITLE = "TER-GAN: facial expression transfer, editing and recognition"
NOTE = (
    "Everything this page makes is **synthetic**: do not pass it off as a real photo, and change only photos of "
    "people who agreed to it. Your photos are deleted within the hour and never kept."
)
# No web fonts: the page looks the same without a network. Text and borders are a little darker than in Gradio's theme,
# for readers who see contrast less well.
THEME = gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]).set(
    body_background_fill="*neutral_100",
    input_border_color="*neutral_300",
    checkbox_border_color="*neutral_500",
    block_label_text_color="*primary_700",
    block_title_text_color="*primary_700",
    block_info_text_color="*neutral_600",
    body_text_color_subdued="*neutral_600",
    link_text_color_dark="*secondary_400",
    link_text_color_visited_dark="*secondary_400",
    checkbox_label_background_fill_selected="*primary_600",
)
TABS = {"Transfer": transfer_tab, "Editing": editing_tab, "FER": recognition_tab, "About": about_tab}
# Programs wait in line like everybody (`api_open`).
QUEUE = {"max_size": limits.MAX_WAITING_IN_ALL, "default_concurrency_limit": 2, "api_open": False}
LAUNCH = {
    "theme": THEME,
    "css_paths": [STYLE],
    "js": KEYS.read_text(encoding="utf-8"),
    "allowed_paths": [str(ASSETS)],
    "max_file_size": limits.MAX_FILE_SIZE,
    "state_session_capacity": limits.MAX_SESSIONS,
    "mcp_server": True,
    "enable_monitoring": False,
    "run_history": False,  # it would keep photos in the browser
}


def build_demo(pipe: TerGanPipeline, model: str = "ter-gan") -> gr.Blocks:
    """
    Build the app for one pipeline. `serve` starts it.

    Args:
        model: the folder or Hub id that the pipeline was loaded from.
    """
    mcp_server.install()
    file_fetching.install()
    models = Models(model, pipe)
    cache = (limits.CHECK_FILES_EVERY, limits.FILES_KEPT_SECONDS)
    with PublicBlocks(title=TITLE, analytics_enabled=False, delete_cache=cache) as demo:
        gr.Markdown(f"# {TITLE}")
        gr.Markdown(NOTE)
        # On the page, which still knows it when the server has forgotten the visit.
        model_name = gr.Textbox(models.own, visible="hidden", elem_id="model-name")
        with gr.Tabs():
            for name, tab in TABS.items():
                with gr.Tab(name, id=name.lower()):
                    tab.build(models, model_name)
        gr.Markdown(ATTRIBUTION, elem_id="attribution")
        api.build(models)
    return demo


def serve(demo: gr.Blocks, **options):
    """Start the app. `options` go to Gradio's `launch`."""
    # A dictionary of its own for each app: Gradio adds the app's lifespan to it.
    own = {"middleware": [Middleware(ClosedRoutes)]}
    demo.queue(**QUEUE).launch(**LAUNCH, app_kwargs=own, **options)
