"""What the tabs share."""

import functools
import logging
import os
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

import gradio as gr
from gradio.utils import get_upload_folder
from PIL import Image

from ..model.provenance_tergan import draw_mark, save_synthetic
from .edit_session import THUMBNAIL_SIDE
from .limits import stem_of
from .views import picture_row, row_of
from .zero_gpu import on_gpu


logger = logging.getLogger(__name__)

PRIVATE = {"api_visibility": "private"}  # of events that only this page needs
LIVE = {"trigger_mode": "always_last", "show_progress": "hidden", **PRIVATE}  # a redraw while something is moved
LONG = {"concurrency_limit": 1, "concurrency_id": "long"}  # one clip at a time
KINDS = {"PNG": ".png", "JPEG": ".jpg"}
# A moment later, when the hidden button has got its file.
CLICK_HIDDEN = "() => {{ setTimeout(() => document.querySelector('#{0}')?.click(), 200); }}"


class Photo(gr.Image):
    """An image input that hands the uploaded file on as it is, so that the pipeline reads it, honours its EXIF
    rotation, and words the error where it cannot be read. Make one with `photo_input`: Gradio reads a component's
    settings off the signature of its `__init__`, which must stay `gr.Image`'s."""

    is_template = True

    def preprocess(self, payload):
        if payload is not None and payload.path is not None:
            return payload.path
        return super().preprocess(payload)


def photo_input(**settings) -> Photo:
    """A `Photo` for upload, webcam and clipboard."""
    return Photo(
        type="filepath", image_mode=None, sources=["upload", "webcam", "clipboard"], buttons=["fullscreen"],
        alt_text=settings.get("label"), **settings,
    )  # fmt: skip


def clip_input(**settings) -> gr.Video:
    """A clip by upload or webcam."""
    return gr.Video(sources=["upload", "webcam"], buttons=[], height=280, elem_classes="clip", **settings)


def intensity_slider(lowest: float = 0.0, **settings) -> gr.Slider:
    """How much of the expression is wanted."""
    info = "0 changes nothing, above 1 exaggerates" + (", below 0 goes the other way" if lowest < 0 else "")
    return gr.Slider(lowest, 1.5, value=1, step=0.05, label="Intensity", info=info, buttons=[], **settings)


def example_row(title: str, paths: list[str], captions: list[str], photo: Photo, **settings):
    """Example photos as buttons; a click puts one into `photo`."""
    if not paths:
        return
    pictures = []
    for path in paths:
        with Image.open(path) as opened:
            opened.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
            pictures.append(opened.convert("RGB"))
    row = picture_row(row_of(title, pictures, captions), elem_classes="examples", **settings)

    def picked(event: gr.EventData):
        return paths[int(event.index) % len(paths)]

    row.select(picked, None, photo, show_progress="hidden", **PRIVATE)


class DownloadRow:
    """A button that makes the file in full resolution when it is asked for, its kind, and the visible mark.

    Args:
        name: of the tab, for element ids.
    """

    def __init__(self, name: str):
        with gr.Row(elem_classes="download-row"):
            self.mark = gr.Checkbox(
                True, label="Visible mark", info="A small “synthetic” note in a corner", elem_id=f"{name}-mark"
            )
            self.kind = gr.Radio(list(KINDS), value="PNG", label="File", elem_id=f"{name}-kind")
            self.button = gr.Button("Download in full resolution", elem_id=f"{name}-download")
        self.file = gr.DownloadButton(visible="hidden", elem_id=f"{name}-file")
        self._click = CLICK_HIDDEN.format(f"{name}-file")

    def connect(self, make: Callable, inputs: list):
        """`make(*inputs, mark, kind)` gives the file's path."""
        made = self.button.click(make, [*inputs, self.mark, self.kind], self.file, **PRIVATE)
        made.success(None, None, None, js=self._click)


def write_result(image: Image.Image, mark: bool, kind: str, photo: str) -> str:
    """A result as a file that Gradio deletes in time; returns its path."""
    folder = tempfile.mkdtemp(dir=_files_folder())
    path = Path(folder) / f"{stem_of(photo)}_ter-gan{KINDS[kind]}"
    return str(save_synthetic(draw_mark(image) if mark else image, path))


def new_file(name: str) -> Path:
    """Where to write a file that Gradio deletes in time."""
    return Path(tempfile.mkdtemp(dir=_files_folder())) / name


def _files_folder() -> str:
    folder = Path(get_upload_folder())
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


def speaking_to_visitors(function, otherwise: Callable[[str], object] | None = None):
    """
    Say what the pipeline says of a bad input; of anything else, that it is our fault. The function runs on a GPU where
    the Space lends one.

    Args:
        otherwise: message → what the event puts out instead; without it, the outputs stay as they were.
    """
    on_device = on_gpu(function)

    @functools.wraps(function)
    def wrapped(*inputs):
        try:
            return on_device(*inputs)
        except gr.Error:
            raise
        except (ValueError, FileNotFoundError) as error:
            message = visitors_words(str(error), _paths_in(inputs))
        except Exception as error:
            # Where it was, but not its words: they may name a visitor's file.
            where = "".join(traceback.format_tb(error.__traceback__))
            logger.error("%s failed with %s\n%s", function.__name__, type(error).__name__, where)
            message = "Something went wrong on our side. Please try another photo."
        if otherwise is None:
            raise gr.Error(message, duration=12, print_exception=False)
        gr.Warning(message, duration=12)
        return otherwise(message)

    return wrapped


def visitors_words(message: str, paths: list[str] = ()) -> str:
    """
    The pipeline's message without hints meant for programmers.

    Args:
        paths: of files on the server, which are none of a visitor's business.
    """
    for path in sorted(paths, key=len, reverse=True):
        message = message.replace(f" ({path})", "").replace(path, "the clip")
    head, separator, rest = message.partition(": ")
    if separator:
        head = {"source": "expression photo", "target": "your photo", "image": "your photo"}.get(head, head)
        message = f"{head}: {rest}"
    for technical in (", or pass detect=False", " ([Errno"):
        message = message.split(technical)[0]
    return message[:1].upper() + message[1:].rstrip(".") + "."


def _paths_in(inputs) -> list[str]:
    paths = [value for value in inputs if isinstance(value, str) and os.path.isabs(value)]
    return paths + [value.photo.path for value in inputs if getattr(value, "photo", None) is not None]


def required(photo, what: str):
    """The photo, or a message that asks for it."""
    if photo is None:
        message = f"Please add {what} first: upload one, use your webcam, or click an example."
        raise gr.Error(message, duration=8, print_exception=False)
    return photo
