"""What the tabs share."""

import functools
import logging

import gradio as gr

from .zero_gpu import on_gpu


logger = logging.getLogger(__name__)


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
    return Photo(type="filepath", image_mode=None, sources=["upload", "webcam", "clipboard"], **settings)


def result_image(**settings) -> gr.Image:
    """Where a result is shown, with a way to download it."""
    return gr.Image(
        label="Result (synthetic)", height=320, format="png", interactive=False, buttons=["download", "fullscreen"],
        **settings,
    )  # fmt: skip


def intensity_slider() -> gr.Slider:
    """How much of the expression is wanted."""
    return gr.Slider(0, 1.5, value=1, step=0.05, label="Intensity", info="0 changes nothing, above 1 exaggerates")


def speaking_to_visitors(function):
    """Show what the pipeline says of a bad input as a message; of anything else, say that it is our fault. The
    function runs on a GPU where the Space lends one."""
    on_device = on_gpu(function)

    @functools.wraps(function)
    def wrapped(*inputs):
        try:
            return on_device(*inputs)
        except gr.Error:
            raise
        except (ValueError, FileNotFoundError) as error:
            raise gr.Error(visitors_words(str(error)), duration=12, print_exception=False) from error
        except Exception as error:
            logger.exception("%s failed", function.__name__)
            raise gr.Error(
                "Something went wrong on our side. Please try another photo.", print_exception=False
            ) from error

    return wrapped


def visitors_words(message: str) -> str:
    """The pipeline's message without server paths and hints meant for programmers."""
    head, separator, rest = message.partition(": ")
    message = f"{head.split(' (')[0].capitalize()} photo: {rest}" if separator else message
    return message.split(", or pass detect=False")[0].rstrip(".") + "."


def required(photo, what: str):
    """The photo, or a message that asks for it."""
    if photo is None:
        raise gr.Error(f"Please add {what} first: upload one, use your webcam, or click an example.", duration=8)
    return photo
