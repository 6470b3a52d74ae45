"""Visits that the server has forgotten, and programs beside the visitors of the page."""

import base64
import contextlib
import http.client
import threading
from datetime import datetime, timedelta
from types import SimpleNamespace
from urllib.parse import urlsplit

import gradio as gr
import numpy as np
import pytest
from gradio.data_classes import ImageData
from PIL import Image

from tergan_hf import InvalidInputError
from tergan_hf.demo import limits, server
from tergan_hf.demo.components import Photo
from tergan_hf.demo.session_values import EncodedPhoto, TargetExpression
from tergan_hf.demo.sessions import forget_idle_sessions

from .app_handlers import handlers_of
from .conftest import NEUTRAL, SMILING
from .pictures import encoded
from .test_server import demo  # noqa: F401 (a fixture)


def test_a_photo_that_is_added_after_a_forgotten_visit_is_drawn(demo):  # noqa: F811
    known = TargetExpression(None, "set by name")
    photo, _, expression = handlers_of(demo)["open_new_photo"](None, NEUTRAL, None, None, "surprise")
    assert isinstance(photo, EncodedPhoto) and expression.name == "surprise"
    *_, expression = handlers_of(demo)["open_new_photo"](None, NEUTRAL, None, known, "surprise")
    assert not isinstance(expression, TargetExpression)  # it stays as it is
    opened, _, other, _ = handlers_of(demo)["open_new_target"](None, NEUTRAL, None, None, SMILING)
    assert isinstance(opened, EncodedPhoto) and isinstance(other, TargetExpression)
    opened, _, other, _ = handlers_of(demo)["open_new_source"](None, SMILING, None, None, NEUTRAL)
    assert isinstance(opened, TargetExpression) and isinstance(other, EncodedPhoto)
    for name, path, state in (("open_new_target", NEUTRAL, known), ("open_new_source", None, None)):
        *_, other, _ = handlers_of(demo)[name](None, path, None, state, NEUTRAL)
        assert not isinstance(other, (TargetExpression, EncodedPhoto))


def test_a_change_that_is_reported_twice_keeps_the_face_chosen_in_between(demo):  # noqa: F811
    photo, *_ = handlers_of(demo)["open_new_target"](None, NEUTRAL, None, None, None)
    expression, *_ = handlers_of(demo)["open_new_source"](None, SMILING, None, photo, NEUTRAL)
    label = TargetExpression(None, "surprise")
    for name, path, others in (
        ("open_new_target", NEUTRAL, (photo, expression, SMILING)),
        ("open_new_source", SMILING, (expression, photo, NEUTRAL)),
        ("open_new_photo", NEUTRAL, (photo, label, "surprise")),
    ):
        answers = handlers_of(demo)[name](None, path, *others)
        assert all(answer == gr.skip() for answer in answers), name
    assert isinstance(handlers_of(demo)["open_new_target"](None, SMILING, photo, expression, SMILING)[0], EncodedPhoto)
    assert handlers_of(demo)["read_new_example"](None, SMILING, expression) == (None, gr.skip())
    before, new = handlers_of(demo)["read_new_example"](None, SMILING, label)[0]
    assert before is label and isinstance(new, TargetExpression)


def test_an_answer_that_comes_late_does_not_undo_a_newer_choice(demo):  # noqa: F811
    take, before = handlers_of(demo)["take_read"], TargetExpression(np.zeros(4), "surprise")
    (_, read), _ = found, _ = handlers_of(demo)["read_new_example"](None, SMILING, before)
    assert take(found, SMILING, before) == (read, None)
    nothing = (gr.skip(), gr.skip())
    assert take(found, SMILING, TargetExpression(np.ones(4), "anger")) == nothing  # a label, chosen meanwhile
    assert take(found, NEUTRAL, before) == nothing  # the page shows another photo
    assert take(None, SMILING, before) == nothing
    other, _ = handlers_of(demo)["open_source"](None, NEUTRAL)
    assert take(found, SMILING, other) == (read, None)  # of the photo before, read just now
    photo, row = handlers_of(demo)["open_target"](None, NEUTRAL)
    keep = handlers_of(demo)["still_shown"]
    assert keep((photo, row), NEUTRAL) == (photo, row)
    assert keep((photo, row), SMILING) == keep((None, {}), NEUTRAL) == keep(None, NEUTRAL) == nothing


def test_a_program_leaves_its_session_soon_and_a_visitor_keeps_his():
    ago = datetime.now() - timedelta(seconds=limits.STATELESS_SESSION_KEPT_SECONDS + 5)
    holder = SimpleNamespace(
        lock=threading.Lock(), time_last_used={"program": ago, "visitor": ago, "busy program": ago},
        session_data={
            name: SimpleNamespace(is_closed=False, state_data=states)
            for name, states in (("program", {}), ("visitor", {7: None}), ("busy program", {}))
        },
    )  # fmt: skip
    assert forget_idle_sessions(holder, {"busy program"}) == 1
    assert set(holder.session_data) == {"visitor", "busy program"}


def data_url(content: bytes) -> ImageData:
    return ImageData(path=None, url="data:image/png;base64," + base64.b64encode(content).decode())


def test_a_photo_in_base64_is_kept_byte_by_byte_and_not_decoded(monkeypatch, tmp_path):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    content = encoded(Image.new("1", (20_000, 20_000)))  # 400 megapixels
    with open(Photo().preprocess(data_url(content)), "rb") as file:
        assert file.read() == content
    monkeypatch.setattr("tergan_hf.demo.components.MAX_FILE_SIZE_BYTES", 1000)
    with pytest.raises(InvalidInputError, match="photo: its picture has more than"):
        Photo().preprocess(data_url(content))
    with pytest.raises(InvalidInputError, match="photo: its picture cannot be read"):
        Photo().preprocess(ImageData(path=None, url="data:image/png;base64,x"))
    assert Photo().preprocess(None) is None


@pytest.mark.parametrize("megabytes", [1, 15])
def test_a_body_in_chunks_has_the_same_limit(demo, megabytes):  # noqa: F811
    address = urlsplit(demo.local_url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
    chunks = (b" " * 1_000_000 for _ in range(megabytes))
    try:
        connection.request(
            "POST", "/gradio_api/queue/join", chunks, {"Content-Type": "application/json"}, encode_chunked=True
        )
        answer = connection.getresponse()
        status, text = answer.status, answer.read().decode()
    except ConnectionError:
        assert megabytes > 10, "the server hung up"
        return
    assert 400 <= status < 500 and "Traceback" not in text
    assert ("JSON" in text) == (megabytes < 10)  # which the server says if it has read all of it


@pytest.mark.parametrize(
    ("route", "kind", "head", "chunk"),
    [
        (
            "upload", "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="no file"\r\n\r\n', b"-" * 1_000_000,
        ),
        ("queue/join", "application/json", b'{"data": [', b"[]," * 100_000),
    ],
    ids=["a form without a file", "many small values"],
)  # fmt: skip
def test_a_body_that_would_fill_the_memory_is_not_read(demo, monkeypatch, route, kind, head, chunk):  # noqa: F811
    monkeypatch.setattr(limits, "MAX_FILE_SIZE_BYTES", 1_000_000)
    monkeypatch.setattr(limits, "MAX_REQUEST_BYTES", 10**9)
    errors = []
    monkeypatch.setattr(server, "log_place", lambda place, error: errors.append(str(error)))
    address = urlsplit(demo.local_url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
    chunks = (head if number == 0 else chunk for number in range(12))
    with contextlib.suppress(ConnectionError):  # the server may hang up
        connection.request("POST", f"/gradio_api/{route}", chunks, {"Content-Type": kind}, encode_chunked=True)
        assert connection.getresponse().status == 400
    # FastAPI answers the other one by itself.
    assert errors == ["the body of a request is too large"] * (route == "upload")
