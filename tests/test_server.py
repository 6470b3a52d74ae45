"""The app as a public server: strange values, many requests, many sessions, large photos, and what is left behind."""

import asyncio
import base64
import json
import os
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import psutil
import pytest
from gradio.state_holder import SessionState
from PIL import Image

from tergan_hf.demo import limits, sessions
from tergan_hf.demo.capacity import PixelBudget
from tergan_hf.demo.inputs import open_frame
from tergan_hf.demo.interface import build_demo, serve
from tergan_hf.demo.limits import LimitError
from tergan_hf.demo.server import take_turns, visitor_has_left

from .app_handlers import handlers_of
from .awkward_inputs import png_head
from .conftest import NEUTRAL, ROOT
from .pictures import encoded
from .ports import free_port
from .tiny_models import pipeline_of, tiny_model


STRANGE = [float("nan"), -1e300, "x" * 10_000, [1.0] * 20_000, {"path": 5}, None]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The app with a tiny model, served on a free port."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("files")))
        patch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
        patch.setattr(limits, "LOOK_FOR_LEFT_EVERY", 0.5)
        app = build_demo(pipeline_of(tiny_model()), str(ROOT))
        serve(app, prevent_thread_lock=True, quiet=True, server_port=free_port())
        yield app
        app.close()


def post(demo, route: str, body) -> tuple[int, str]:
    """The status and the text of an answer."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"{demo.local_url}gradio_api/{route}", data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def get(demo, route: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"{demo.local_url}{route}", timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def function_named(demo, name: str):
    return next(function for function in demo.fns.values() if function.api_name == name)


def starts_by_selection(function) -> bool:
    return "select" in {event for _, event in function.targets}


def distinct_functions(demo) -> list:
    """The functions of all events. Events alike in handler, inputs and outputs count once."""
    distinct = {}
    for function in demo.fns.values():
        if function.fn is not None:
            blocks = (tuple(block._id for block in side) for side in (function.inputs, function.outputs))
            distinct[function.fn, *blocks, starts_by_selection(function)] = function
    return list(distinct.values())


def opened_page(demo) -> SessionState:
    """The session of a visitor who has opened the page."""
    session = SessionState(demo)
    for function in demo.fns.values():
        if "load" in {event for _, event in function.targets}:
            asyncio.run(demo.process_api(function, [], session))
    return session


def test_a_forgotten_visit_shows_no_example_as_the_visitors_photo(demo):
    handlers = [function for function in demo.fns.values() if function.fn and function.fn.__name__ == "redraw"]
    assert len(handlers) > 2
    for function in handlers:
        inputs = [True if block.get_block_name() == "checkbox" else 1.0 for block in function.inputs]
        inputs = [
            None if block.get_block_name() in ("state", "textbox") else value
            for block, value in zip(function.inputs, inputs)
        ]
        shown, forgotten = (
            asyncio.run(demo.process_api(function, inputs, session))["data"][0]
            for session in (opened_page(demo), SessionState(demo))
        )
        assert "after" in json.dumps(shown) and "after" not in json.dumps(forgotten)
        assert "Add your photo" in json.dumps(forgotten)


def test_every_event_answers_strange_values_with_a_sentence(demo, capfd, tmp_path):
    wrong, answered = [], 0
    for function in distinct_functions(demo):
        session = opened_page(demo)
        for value in STRANGE:
            data = gr.EventData(None, {"index": value, "x": value, "y": value, "value": value})
            inputs = [value] * len(function.inputs)
            if starts_by_selection(function):
                data = gr.SelectData(None, data._data)
            try:
                asyncio.run(demo.process_api(function, inputs, session, event_data=data))
            except gr.Error as error:
                answered += 1
                text = str(error.message)
                if error.print_exception or not text.endswith(".") or len(text) > 400 or " /" in text or "<" in text:
                    wrong.append((function.name, str(value)[:20], text[:300]))
            except Exception as error:
                wrong.append((function.name, str(value)[:20], repr(error)[:300]))
    assert wrong == []
    assert answered > 50
    log = "".join(capfd.readouterr())
    assert "xxxx" not in log and str(tmp_path.parent) not in log


@pytest.mark.parametrize("intensity", [1000, 1e30, float("nan"), "1", None, [1.0], True])
def test_an_intensity_out_of_range_is_one_sentence_everywhere(demo, intensity):
    handlers = handlers_of(demo)
    sentences = set()
    for name, inputs in {
        "edit": (NEUTRAL, "happiness", intensity, True),
        "transfer": (NEUTRAL, NEUTRAL, intensity, True),
        "animate": (None, NEUTRAL, NEUTRAL, None, intensity, "automatic", True),
    }.items():
        with pytest.raises(gr.Error) as error:
            handlers[name](*inputs)
        sentences.add(error.value.message)
    assert len(sentences) == 1 and "ntensity must be a number from -3 to 3" in sentences.pop()


def test_answers_name_no_path_outside_of_the_upload_folder(demo):
    for route in ("config", "gradio_api/info", ""):
        text = get(demo, route)[1]
        assert str(ROOT) not in text and os.path.expanduser("~") + "/" not in text, route


@pytest.mark.parametrize(
    "route", ["monitoring", "monitoring/summary", "gradio_api/deep_link?session_hash=x", "gradio_api/runs"]
)
def test_nothing_about_other_visitors_is_public(demo, route):
    assert get(demo, route)[0] in (403, 404)


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"data": 5}', b'{"data": [], "fn_index": {}, "session_hash": "a"}'])
def test_requests_that_make_no_sense_are_refused(demo, body, capfd):
    lost = json.dumps({"data": [], "fn_index": 9999, "session_hash": "a"}).encode()
    for route, sent in [("queue/join", body), ("queue/join", lost), ("call/no_such", body), ("run/edit", body)]:
        status, text = post(demo, route, sent)
        assert 400 <= status < 500 and "Traceback" not in text and "site-packages" not in text, (route, text)
    assert "Traceback" not in "".join(capfd.readouterr())


def test_one_visitor_cannot_shut_others_out(demo, monkeypatch):
    clips = next(function for function in demo.fns.values() if function.concurrency_id == "long")
    monkeypatch.setattr(demo._queue.event_queue_per_concurrency_id.setdefault("long", _blocked("long")), "queue", [])
    demo._queue.event_queue_per_concurrency_id["long"].concurrency_limit = 0
    demo._queue.event_queue_per_concurrency_id["slow"] = _blocked("slow")
    monkeypatch.setattr(function_named(demo, "edit"), "concurrency_id", "slow")
    edit = function_named(demo, "edit")
    try:
        flood = [
            post(demo, "queue/join", {"data": [None] * 9, "fn_index": edit._id, "session_hash": "flood"})
            for _ in range(65)
        ]
        statuses = [status for status, _ in flood]
        assert statuses.count(200) == limits.MAX_WAITING_OF_VISITOR and set(statuses) == {200, 429}
        assert "requests in the queue" in flood[-1][1]
        join = {"data": [None] * 9, "fn_index": edit._id}
        assert post(demo, "queue/join", {**join, "session_hash": "other"})[0] == 200
        for number in range(65):  # programs that name no session, and invented sessions
            post(demo, "call/edit", {"data": [None] * 4})
            post(demo, "queue/join", {"data": [], "fn_index": clips._id, "session_hash": f"made up {number}"})
        recognize = function_named(demo, "recognize")
        status, _ = post(demo, "queue/join", {"data": [None], "fn_index": recognize._id, "session_hash": "third"})
        assert status == 200
    finally:
        demo._queue.event_queue_per_concurrency_id.pop("slow")
        demo._queue.event_queue_per_concurrency_id.pop("long")


def _blocked(name: str):
    from gradio.queueing import EventQueue

    return EventQueue(name, 0)


def test_sliders_and_recognition_do_not_wait_behind_clips(demo):
    groups = {}
    for function in demo.fns.values():
        if function.fn is not None:
            groups.setdefault(function.concurrency_id, set()).add(function.name)
    assert groups["long"] == {"animate", "recognize_clip"}
    assert {"redraw", "draw_with_photo"} <= groups["sliders"]
    assert "recognize" in groups["recognition"]


def test_work_of_visitors_who_left_is_dropped(demo, monkeypatch):
    monkeypatch.setattr(limits, "UNREAD_SECONDS", 0)
    queue, recognize = demo._queue, function_named(demo, "recognize")
    queue.event_queue_per_concurrency_id["left"] = _blocked("left")
    monkeypatch.setattr(recognize, "concurrency_id", "left")
    try:
        post(demo, "queue/join", {"data": [None], "fn_index": recognize._id, "session_hash": "gone"})
        for _ in range(100):
            if not queue.event_queue_per_concurrency_id["left"].queue:
                break
            time.sleep(0.1)
        assert queue.event_queue_per_concurrency_id["left"].queue == []
    finally:
        queue.event_queue_per_concurrency_id.pop("left")


def test_a_clip_is_ended_when_its_visitor_leaves(demo):
    from gradio.context import LocalContext
    from gradio.queueing import Event

    event = Event("leaving", function_named(demo, "recognize"), None, None)

    def work(answers: list):
        LocalContext.blocks.set(demo)
        LocalContext.event_id.set(event._id)
        answers.append(visitor_has_left())

    answers = []
    demo._queue.active_jobs.append([event])
    try:
        handler = threading.Thread(target=work, args=[answers])
        handler.start()
        handler.join()
        allowance = limits.Allowance(answers[0])
        allowance()
        asyncio.run(demo._queue.clean_events(session_hash="leaving"))
        with pytest.raises(LimitError, match="left"):
            allowance()
    finally:
        demo._queue.active_jobs.remove([event])


def test_visitors_take_turns(demo):
    from gradio.queueing import Event

    function = function_named(demo, "recognize")
    line = [Event(name, function, None, None) for name in ("a", "a", "a", "b", "c", "b")]
    take_turns(line)
    assert [event.session_hash for event in line] == ["a", "b", "c", "a", "b", "a"]


def test_invented_sessions_get_no_more_turns(demo):
    from gradio.queueing import Event

    function = function_named(demo, "recognize")

    def event(session, host):
        return Event(session, function, SimpleNamespace(client=SimpleNamespace(host=host), headers={}), None)

    line = [event(f"invented {number}", "8.8.8.8") for number in range(3)] + [event("honest", "9.9.9.9")]
    take_turns(line)
    assert [event.session_hash for event in line] == ["invented 0", "honest", "invented 1", "invented 2"]


def test_a_full_disk_takes_no_uploads(demo, monkeypatch):
    def upload() -> int:
        body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.txt"\r\n\r\na\r\n--x--\r\n'
        request = urllib.request.Request(
            f"{demo.local_url}gradio_api/upload", body, {"Content-Type": "multipart/form-data; boundary=x"}
        )
        return urllib.request.urlopen(request, timeout=60).status

    assert upload() == 200
    monkeypatch.setattr(limits, "LEAST_FREE_BYTES", 10**18)
    with pytest.raises(urllib.error.HTTPError) as refused:
        upload()
    assert refused.value.code == 507 and "no room" in refused.value.read().decode()


def test_memory_stays_flat_over_many_sessions(demo, monkeypatch):
    opening = next(function for function in demo.fns.values() if function.name == "redraw")
    body = {"data": [None, None, None, 1.0, True], "fn_index": opening._id}
    holder = demo._queue.server_app.state_holder if demo._queue.server_app else demo.app.state_holder
    monkeypatch.setattr(limits, "STATELESS_SESSION_KEPT_SECONDS", 1000)

    def visit(number: int):
        session = f"visitor {number}"
        post(demo, "queue/join", {**body, "session_hash": session})
        url = f"{demo.local_url}gradio_api/queue/data?session_hash={session.replace(' ', '%20')}"
        urllib.request.urlopen(url, timeout=60).read()

    for number in range(5):
        visit(number)
    before = psutil.Process().memory_info().rss
    for number in range(5, 55):
        visit(number)
    per_session = (psutil.Process().memory_info().rss - before) / 50
    assert per_session < 2e6, "the default states are shared"
    assert len(holder.session_data) > 50
    for name in ("STATELESS_SESSION_KEPT_SECONDS", "STATE_KEPT_SECONDS"):
        monkeypatch.setattr(limits, name, -1)
    demo._queue.forget_sessions()
    assert not holder.session_data and not holder.time_last_used


def test_full_resolution_work_waits_for_room(tmp_path):
    Image.new("RGB", (3000, 2000)).save(tmp_path / "large.png")
    budget, at_once, most = PixelBudget(10_000_000, patience=20), [0], [0]

    def work():
        with budget.reserve(str(tmp_path / "large.png")):
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
            time.sleep(0.05)
            at_once[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    with budget.reserve(str(tmp_path / "large.png")):
        with (
            pytest.raises(LimitError, match="busy"),
            PixelBudget.reserve(_impatient(budget), str(tmp_path / "large.png")),
        ):
            pass
        with pytest.raises(LimitError), budget.reserve(str(tmp_path / "large.png"), has_left=lambda: True):
            pass
    with budget.reserve(str(tmp_path / "large.png")):
        pass


def _impatient(budget: PixelBudget) -> PixelBudget:
    budget.patience = 0
    return budget


def test_a_webcam_picture_is_not_decoded_if_it_declares_too_much(demo):
    photo = encoded(Image.new("1", (20_000, 20_000)))
    assert len(photo) < 100_000
    handler = next(function for function in demo.fns.values() if function.name == "recognize_frame")
    before = psutil.Process().memory_info().rss
    for content, told in ((photo, "too large for this server"), (png_head(9, 9), "cannot be read")):
        url = "data:image/png;base64," + base64.b64encode(content).decode()
        payload = {"path": None, "url": url, "meta": {"_type": "gradio.FileData"}}
        answer = asyncio.run(demo.process_api(handler, [None, payload], SessionState(demo)))
        assert told in answer["data"][0]
    assert psutil.Process().memory_info().rss - before < 50e6
    with pytest.raises(ValueError, match="cannot be read"):
        open_frame(b"no picture")
    photo = Image.open(NEUTRAL)
    assert open_frame(encoded(photo, "JPEG")).size == photo.size


def test_files_are_deleted_after_their_time(tmp_path, monkeypatch):
    for name in ("upload/photo.png", "deep_links/a/state.json", "tmpabc", "example/kept.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert sessions.delete_old_files(tmp_path, 100) == 0
    later = time.time() + 101
    monkeypatch.setattr(sessions.time, "time", lambda: later)
    assert sessions.delete_old_files(tmp_path, 100, [tmp_path / "example" / "kept.jpg"]) == 3
    assert [path.name for path in sorted(tmp_path.rglob("*"))] == ["example", "kept.jpg"]


def test_results_hold_nothing_of_the_photo_but_the_picture(demo, tmp_path):
    exif = Image.Exif()
    exif[0x010E], exif[0x013B] = "my secret place", "my name"
    path = tmp_path / "me.jpg"
    Image.open(NEUTRAL).save(path, exif=exif, comment=b"my secret comment")
    handlers = handlers_of(demo)
    for made in (handlers["edit"](str(path), demo_label(demo), 1.0, True), handlers["transfer"](NEUTRAL, str(path))):
        content = Path(made).read_bytes()
        assert b"secret" not in content and b"my name" not in content and b"Synthetic" in content


def demo_label(demo) -> str:
    return next(block.choices[0][1] for block in demo.blocks.values() if getattr(block, "elem_id", "") == "edit-label")
