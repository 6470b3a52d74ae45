"""Components and helpers that the tabs share."""

import functools
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import gradio as gr
from PIL import Image

from ..model.errors_tergan import CROP_HINT, TerGanError
from ..provenance.saving import save_synthetic
from ..provenance.signing import environment_signer
from .edit_session import THUMBNAIL_SIDE
from .inputs import FreeRadio, FreeSlider, check_choice, chosen_index, decode_data_url
from .limits import MAX_FILE_SIZE_BYTES, file_stem
from .server import LONG_GROUP, OUR_FAULT, log_place, sentence
from .upload_folder import made_upload_folder
from .views import picture_row, row_data
from .zero_gpu import PHOTO_SECONDS, on_gpu


PRIVATE = {"api_visibility": "private"}  # events that only this page uses
# Groups of events that wait in line together. Nothing waits behind clips.
SLIDERS = {"concurrency_limit": 3, "concurrency_id": "sliders"}
RECOGNITION = {"concurrency_limit": 2, "concurrency_id": "recognition"}
FULL_SIZE = {"concurrency_limit": 2, "concurrency_id": "full-size"}
LONG = {"concurrency_limit": 1, "concurrency_id": LONG_GROUP}  # one clip at a time
# Gradio drops an event while an earlier one of the same handler runs. "always_last" makes it wait and reads the inputs
# anew, but gives it the event data of the earlier one. So events with data must all run.
RUN_LAST = {"show_progress": "hidden", "trigger_mode": "always_last", **PRIVATE}
RUN_EACH = {"show_progress": "hidden", "trigger_mode": "multiple", **PRIVATE}
IN_ORDER = {"concurrency_limit": 1, "concurrency_id": "expression"}  # quick handlers that all set an expression
FILE_TYPES = {"PNG": ".png", "JPEG": ".jpg"}
# The delay gives the hidden button time to receive its file.
CLICK_HIDDEN_BUTTON = "() => {{ setTimeout(() => document.querySelector('#{0}')?.click(), 200); }}"


class Photo(gr.Image):
    """
    An image input that passes the file on unchanged, also one that is sent as base64. The pipeline then reads it,
    applies its EXIF rotation, and words the error if it is unreadable.

    Create it with `photo_input`. Gradio reads a component's settings from the signature of its `__init__`, which must
    stay that of `gr.Image`.
    """

    is_template = True

    def preprocess(self, payload):
        if payload is not None and payload.url and payload.url.startswith("data:"):
            return save_data_url(payload.url)
        return None if payload is None else payload.path


def photo_input(**settings) -> Photo:
    """A `Photo` with upload, webcam and clipboard."""
    return Photo(
        type="filepath", image_mode=None, sources=["upload", "webcam", "clipboard"], buttons=["fullscreen"],
        alt_text=settings.get("label"), **settings,
    )  # fmt: skip


def clip_input(**settings) -> gr.Video:
    """A video input with upload and webcam."""
    return gr.Video(sources=["upload", "webcam"], buttons=[], height=280, elem_classes="clip", **settings)


def intensity_slider(lowest: float = 0.0, **settings) -> gr.Slider:
    """A slider for the intensity of the expression, up to 1.5."""
    info = "0 changes nothing, above 1 exaggerates" + (", below 0 goes the other way" if lowest < 0 else "")
    return FreeSlider(lowest, 1.5, value=1, step=0.05, label="Intensity", info=info, buttons=[], **settings)


def states_of_a_visit(*first) -> list[gr.State]:
    """
    What the server remembers of a visit. `sessions.forget_idle_sessions` ends an idle one: then each state is `None`,
    and not its first value, which would pass for the visitor's own photo.

    Args:
        first: the states' values when the page opens, at least two.
    """
    states = [gr.State() for _ in first]
    gr.on(None, lambda: first, None, states, queue=False, **RUN_LAST)
    return states


def example_row(title: str, paths: list[str], captions: list[str], photo: Photo, **settings):
    """Example photos as buttons. A click puts one into `photo`."""
    if not paths:
        return
    pictures = []
    for path in paths:
        with Image.open(path) as opened:
            opened.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
            pictures.append(opened.convert("RGB"))
    row = picture_row(row_data(title, pictures, captions), elem_classes="examples", **settings)

    def use_example(event: gr.EventData):
        return paths[chosen_index(event, len(paths))]

    row.select(with_error_messages(use_example, gpu=False), None, photo, **RUN_EACH)


class DownloadRow:
    """
    A download button with the file type and the visible mark. The file is made in full resolution on a click.

    Args:
        name: of the tab, for element ids.
    """

    def __init__(self, name: str):
        with gr.Row(elem_classes="download-row"):
            self.mark = gr.Checkbox(
                True, label="Visible mark", info="A small “synthetic” note in a corner", elem_id=f"{name}-mark"
            )
            self.file_type = FreeRadio(list(FILE_TYPES), value="PNG", label="File", elem_id=f"{name}-kind")
            self.button = gr.Button("Download in full resolution", elem_id=f"{name}-download")
        self.file = gr.DownloadButton(visible="hidden", elem_id=f"{name}-file")
        self._click = CLICK_HIDDEN_BUTTON.format(f"{name}-file")

    def connect(self, make_file: Callable, inputs: list):
        """Call `make_file(*inputs, mark, file_type)` on a click. It returns the file's path."""
        made = self.button.click(make_file, [*inputs, self.mark, self.file_type], self.file, **FULL_SIZE, **PRIVATE)
        made.success(None, None, None, js=self._click)


def write_result(image: Image.Image, mark: bool, file_type: str, photo: str, inputs: Sequence[str] = ()) -> str:
    """
    Write a result to a file that Gradio deletes later. It is signed if the environment names a certificate.

    Args:
        mark: draw the visible mark.
        file_type: a key of `FILE_TYPES`.
        photo: path of the photo, which names the file.
        inputs: paths of the photos that show the expression.

    Returns:
        path of the file.
    """
    ending = FILE_TYPES[check_choice(file_type, FILE_TYPES, "the kind of file")]
    path = new_file(f"{file_stem(photo)}_ter-gan{ending}")
    save_synthetic(image, path, mark=mark, signer=environment_signer(), parent=photo, inputs=inputs)
    return str(path)


def new_file(name: str) -> Path:
    """A path for a new file that Gradio deletes later."""
    return Path(tempfile.mkdtemp(dir=made_upload_folder())) / name


def save_data_url(url: str) -> str:
    """
    Write a photo that is sent as a `data:` URL, byte by byte, to a file that Gradio deletes later.

    Returns:
        path of the file.

    Raises:
        LimitError, ImageInputError: as for `decode_data_url`.
    """
    path = new_file("photo")
    path.write_bytes(decode_data_url(url, MAX_FILE_SIZE_BYTES, "photo"))
    return str(path)


def with_error_messages(
    function, fallback: Callable[[str], object] | None = None, gpu: bool = True, gpu_seconds: int = PHOTO_SECONDS
):
    """
    Wrap an event handler so that its errors become messages for visitors.

    A foreseen error shows its own message. Any other error is logged and shows that the fault is ours. On a ZeroGPU
    Space the handler runs on a GPU.

    Args:
        fallback: message → the outputs to show instead; default: the outputs stay as they are.
        gpu: whether the handler runs the model itself.
        gpu_seconds: how long it may hold the GPU.
    """

    @functools.wraps(function)
    def answer(*inputs):
        """The outputs and no message, or no outputs and the message of an error, which would not leave a GPU."""
        try:
            return function(*inputs), None
        except gr.Error:
            raise
        except TerGanError as error:
            return None, message_for_visitors(str(error), _paths_in(inputs))
        except Exception as error:
            log_place(function.__name__, error)
            return None, OUR_FAULT

    on_device = on_gpu(answer, gpu_seconds) if gpu else answer

    @functools.wraps(function)
    def wrapped(*inputs):
        outputs, message = on_device(*inputs)
        if message is None:
            return outputs
        if fallback is None:
            raise gr.Error(message, duration=12, print_exception=False)
        gr.Warning(message, duration=12)
        return fallback(message)

    return wrapped


def message_for_visitors(message: str, paths: Sequence[str] = ()) -> str:
    """
    Reword a message of the pipeline, without the hints for programmers.

    Args:
        paths: of files on the server, to remove from the message.
    """
    for path in sorted(paths, key=len, reverse=True):
        message = message.replace(f" ({path})", "").replace(path, "the clip")
    name, separator, rest = message.partition(": ")
    if separator:
        name = {"source": "expression photo", "target": "your photo", "image": "your photo"}.get(name, name)
        message = f"{name}: {rest}"
    for technical in (CROP_HINT, " ([Errno", " `tergan names`"):
        message = message.split(technical)[0]
    return sentence(message)


def _paths_in(inputs) -> list[str]:
    paths = [value for value in inputs if isinstance(value, str) and os.path.isabs(value)]
    return paths + [value.detected.path for value in inputs if getattr(value, "detected", None) is not None]


def require_input(value, description: str):
    """
    Check that a visitor has added a photo or clip.

    Args:
        description: with its article, for example "a clip".

    Raises:
        gr.Error: `value` is `None`; the message asks for it.
    """
    if value is None:
        message = f"Please add {description} first: upload one, use your webcam, or click an example."
        raise gr.Error(message, duration=8, print_exception=False)
