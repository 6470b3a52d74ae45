"""The app without a server, and its event handlers, to call them as the page calls them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import gradio as gr
import pytest

from tergan_hf import TerGanPipeline
from tergan_hf.demo.interface import build_demo


def handlers_of(app: gr.Blocks) -> dict[str, Callable]:
    """The event handlers by name."""
    return {block.fn.__name__: block.fn for block in app.fns.values() if block.fn is not None}


@contextmanager
def built_app(pipe: TerGanPipeline, model: str | Path, files: Path) -> Iterator[gr.Blocks]:
    """An app that keeps visitors' files in a folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(files))
        yield build_demo(pipe, str(model))


def shows_sliders(app: gr.Blocks) -> bool:
    """Whether the Editing tab has its section of single movements."""
    (section,) = [block for block in app.blocks.values() if block.elem_id == "edit-single"]
    return section.visible
