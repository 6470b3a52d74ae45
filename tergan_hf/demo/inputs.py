"""Check what a visitor's browser or program sends. Every error is a sentence for visitors."""

import binascii
import io
import reprlib
from base64 import b64decode

import gradio as gr
from PIL import Image

from ..model.configuration_checks_tergan import is_finite_number
from ..model.errors_tergan import ImageInputError, InvalidInputError
from ..model.image_loading_tergan import open_unlimited
from .limits import MAX_FRAME_BYTES, MAX_FRAME_PIXELS, MAX_VALUES, LimitError


def check_number(value, lowest: float, highest: float, name: str) -> float:
    """
    The value as a float.

    Raises:
        InvalidInputError: it is not a finite number from `lowest` to `highest`.
    """
    if not is_finite_number(value) or not lowest <= value <= highest:
        raise InvalidInputError(f"{name} must be a number from {lowest:g} to {highest:g}, got {shortened(value)}")
    return float(value)


def check_choice(value, choices, name: str):
    """
    The value itself.

    Raises:
        InvalidInputError: it is not one of the choices.
    """
    if not isinstance(value, str) or value not in choices:
        raise InvalidInputError(f"{name} must be one of {', '.join(choices)}, got {shortened(value)}")
    return value


def chosen_index(event: gr.EventData, count: int | None = None) -> int:
    """
    Which of `count` pictures was clicked. `None` leaves the check of the count to `check_index`.

    Raises:
        InvalidInputError: there is no such picture.
    """
    return check_index(_detail(event, "index"), count)


def check_index(index, count: int | None = None) -> int:
    """
    The index as a whole number from 0 to `count` − 1.

    Raises:
        InvalidInputError: it is none.
    """
    if not is_finite_number(index) or int(index) != index or index < 0 or (count is not None and index >= count):
        only = "" if count is None else f", only {count}"
        raise InvalidInputError(f"there is no picture number {shortened(index)}{only}, counted from 0")
    return int(index)


def chosen_pixel(event: gr.EventData) -> tuple[float, float]:
    """
    Where a photo was clicked, (x, y) in photo pixels.

    Raises:
        InvalidInputError: the place is not two finite numbers.
    """
    place = _detail(event, "index")
    if not isinstance(place, (list, tuple)) or len(place) != 2 or not all(map(is_finite_number, place)):
        raise InvalidInputError(f"a place in a photo is two numbers, x and y, got {shortened(place)}")
    return float(place[0]), float(place[1])


def chosen_point(event: gr.EventData) -> tuple[float, float]:
    """
    Which point of the expression map was chosen.

    Raises:
        InvalidInputError: it is not two finite numbers.
    """
    place = _detail(event, "x"), _detail(event, "y")
    if not all(map(is_finite_number, place)):
        raise InvalidInputError(f"a place on the map is two numbers, x and y, got {shortened(place)}")
    return float(place[0]), float(place[1])


def chosen_values(event: gr.EventData) -> dict[str, float]:
    """
    The values that sliders were moved to, by name.

    Raises:
        InvalidInputError: they are no finite numbers by name, or too many.
    """
    return check_values(_detail(event, "values"), "the sliders")


def check_values(values, name: str) -> dict[str, float]:
    """
    Numbers by name, as floats.

    Raises:
        InvalidInputError: they are no finite numbers by name, or too many.
    """
    if not isinstance(values, dict) or len(values) > MAX_VALUES or not all(map(is_finite_number, values.values())):
        raise InvalidInputError(f"{name} must be numbers by name, got {shortened(values)}")
    return {str(key): float(value) for key, value in values.items()}


def shortened(value) -> str:
    """A value for a message."""
    return reprlib.repr(value)


def open_frame(payload: bytes | str) -> Image.Image:
    """
    Read the picture of a webcam, after a look at its declared size.

    Args:
        payload: the file's bytes, or its path.

    Raises:
        LimitError: it is too large. ImageInputError: it cannot be read.
    """
    try:
        with open_unlimited(io.BytesIO(payload) if isinstance(payload, bytes) else payload) as opened:
            if opened.width * opened.height > MAX_FRAME_PIXELS:
                raise LimitError(
                    f"webcam: its picture is too large for this server, which takes up to "
                    f"{MAX_FRAME_PIXELS // 10**6} megapixels"
                )
            return opened.convert("RGB")
    except InvalidInputError:
        raise
    except Exception as error:  # Pillow's readers raise errors of many kinds
        raise ImageInputError("webcam: its picture cannot be read") from error


def decode_data_url(url: str, most: int, name: str) -> bytes:
    """
    The bytes of a picture that is sent as a `data:` URL.

    Args:
        most: bytes. name: of the picture in messages.

    Raises:
        LimitError: it has more.
        ImageInputError: it is no base64.
    """
    content = url.partition(",")[2]
    if len(content) > most * 4 / 3 + 4:
        raise LimitError(f"{name}: its picture has more than {most // 10**6} MB")
    try:
        return b64decode(content)
    except (binascii.Error, ValueError) as error:
        raise ImageInputError(f"{name}: its picture cannot be read") from error


class WebcamFrame(gr.Image):
    """
    The stream of a webcam. It passes the file's bytes, or its path, on unread: a small file may declare a picture that
    fills the memory.
    """

    is_template = True

    def preprocess(self, payload):
        if payload is None:
            return None
        if payload.url and payload.url.startswith("data:"):
            return decode_data_url(payload.url, MAX_FRAME_BYTES, "webcam")
        return payload.path


class FreeSlider(gr.Slider):
    """A slider whose values the handlers check, so that page and endpoint answer with the same sentence."""

    is_template = True

    def preprocess(self, payload):
        return payload


class FreeRadio(gr.Radio):
    """Choices that the handlers check, which know the labels of the chosen model."""

    is_template = True

    def preprocess(self, payload):
        return payload


def _detail(event: gr.EventData, name: str):
    data = event._data
    return data.get(name) if isinstance(data, dict) else None
