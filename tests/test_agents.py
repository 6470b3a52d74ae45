"""The app as a tool for agents and programs: MCP over HTTP, and `gradio_client`."""

import asyncio
import base64
import gzip
import io
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client
from PIL import Image

from tergan_hf.demo import file_fetching, limits, server
from tergan_hf.demo.file_fetching import own_file
from tergan_hf.demo.interface import build_demo, serve
from tergan_hf.model.provenance_tergan import is_marked_synthetic

from .conftest import EXAMPLES
from .ports import free_port


SMILING, NEUTRAL = (EXAMPLES / f"london_{name}.jpg" for name in ("099_happiness", "014_neutral"))
TOOLS = {"transfer", "edit", "recognize", "blendshapes"}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="module")
def demo(settable_pipeline, files):
    """The app on a free port, with a small model that sets blendshapes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(files))
        patch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
        app = build_demo(settable_pipeline, "settable")
        serve(app, prevent_thread_lock=True, quiet=True, server_port=free_port())
        yield app
        app.close()


@pytest.fixture(scope="module")
def client(demo):
    return Client(demo.local_url, verbose=False)


def data_url(path) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode()


def with_session(demo, use, headers=None):
    """The answer of `use(session)` for a session of an MCP client."""

    async def connect():
        async with (
            streamablehttp_client(f"{demo.local_url}gradio_api/mcp/", headers) as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            return await use(session)

    return asyncio.run(connect())


def call(demo, tool: str, headers=None, **arguments):
    return with_session(demo, lambda session: session.call_tool(tool, arguments), headers)


def test_agents_see_four_described_tools(demo):
    tools = {tool.name: tool for tool in with_session(demo, lambda session: session.list_tools()).tools}
    assert set(tools) == TOOLS
    for tool in tools.values():
        assert len(tool.description) > 80
        assert all(value.get("description") and value.get("type") for value in tool.inputSchema["properties"].values())
    edit = tools["edit"].inputSchema
    assert edit["required"] == ["image"]
    assert set(edit["properties"]["expression"]["enum"]) == set(demo_labels(demo))
    assert edit["properties"]["blendshapes"]["properties"]["jawOpen"] == {
        "type": "number", "minimum": 0.0, "maximum": 1.2
    }  # fmt: skip
    assert edit["properties"]["intensity"]["default"] == 1
    assert tools["transfer"].inputSchema["required"] == ["source", "target"]


def demo_labels(demo) -> list[str]:
    return [value for _, value in next(b for b in demo.blocks.values() if b.elem_id == "edit-label").choices]


def test_only_the_four_endpoints_are_public(demo, client):
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(endpoints) == {f"/{name}" for name in TOOLS}
    assert {fn.api_name for fn in demo.fns.values() if fn.api_visibility != "private"} == TOOLS


def test_an_agent_edits_a_photo(demo, files):
    answer = call(demo, "edit", image=data_url(NEUTRAL), blendshapes={"jawOpen": 0.5}, mark=False)
    assert not answer.isError, answer.content
    picture, text = answer.content
    preview = io.BytesIO(base64.b64decode(picture.data))
    assert Image.open(preview).size == (640, 640) and is_marked_synthetic(preview)
    address = text.text.removeprefix("In full resolution: ")
    assert address.startswith(demo.local_url) and str(files) in address


def test_a_result_is_a_photo_for_the_next_call(demo):
    unchanged = call(demo, "edit", image=data_url(SMILING), expression="anger", intensity=0).content[1].text
    address = unchanged.removeprefix("In full resolution: ")
    faces = json.loads(call(demo, "recognize", image=address).content[0].text)
    assert len(faces[0]["box"]) == 4 and set(faces[0]["scores"]) == set(demo_labels(demo))
    values = json.loads(call(demo, "blendshapes", image=data_url(SMILING)).content[0].text)
    assert values == pytest.approx(faces[0]["blendshapes"], abs=0.02)


def test_errors_reach_an_agent_as_a_sentence(demo, tmp_path):
    Image.new("RGB", (200, 200)).save(tmp_path / "wall.jpg")
    (tmp_path / "huge.jpg").write_bytes(Path(NEUTRAL).read_bytes() + bytes(21 * 2**20))
    (tmp_path / "large.jpg").write_bytes(Path(NEUTRAL).read_bytes() + bytes(12 * 2**20))
    answer = call(demo, "recognize", image=data_url(tmp_path / "large.jpg"))
    assert not answer.isError, answer.content
    for tool, arguments, message in (
        ("edit", {"image": data_url(NEUTRAL)}, "Name an expression"),
        ("edit", {"image": data_url(NEUTRAL), "blendshapes": {"jawOpne": 1}}, "jawOpen"),
        ("edit", {"image": "me.jpg", "expression": "anger"}, "address of a photo"),
        ("edit", {"image": "data:image/png;base64,x", "expression": "anger"}, "address of a photo"),
        ("edit", {"image": data_url(tmp_path / "huge.jpg"), "expression": "anger"}, "up to 20mb"),
        ("recognize", {"image": data_url(tmp_path / "wall.jpg")}, "no face was found"),
        ("recognize", {"image": "http://127.0.0.1:9/secret"}, "cannot be fetched"),
    ):
        answer = call(demo, tool, **arguments)
        text = answer.content[0].text
        assert answer.isError and message in text and "/tmp" not in text and "Traceback" not in text, text


def test_programs_name_expressions_and_blendshapes(client, tmp_path):
    photo = handle_file(str(NEUTRAL))
    marked, plain = (
        client.predict(photo, "anger", 0.8, mark, {"jawOpen": 0.4}, api_name="/edit") for mark in (True, False)
    )
    assert all(map(is_marked_synthetic, (marked, plain)))
    label_only = client.predict(photo, expression="anger", mark=False, api_name="/edit")
    assert Image.open(label_only).tobytes() != Image.open(plain).tobytes()
    neither = client.predict(photo, expression="anger", intensity=0, mark=False, api_name="/edit")
    assert Image.open(neither).tobytes() == Image.open(NEUTRAL).convert("RGB").tobytes()
    made = client.predict(handle_file(str(SMILING)), photo, api_name="/transfer")
    assert Image.open(made).size == (640, 640)
    for values in ({"jawOpen": "wide"}, {"jawOpen": 7}, [1], "jawOpen"):
        with pytest.raises(AppError, match=r"(?i)blendshapes|cannot be read"):
            client.predict(photo, blendshapes=values, api_name="/edit")


@pytest.fixture
def photo_server(monkeypatch):
    """The address of a public server, whose files are a photo, a redirect into this machine, and one without end."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(302 if "redirect" in self.path else 200)
            self.send_header("Location", f"http://127.0.0.1:{served.server_port}/photo.jpg")
            if "packed" in self.path:
                self.send_header("Content-Encoding", "gzip")
            self.end_headers()
            try:
                content = NEUTRAL.read_bytes()
                self.wfile.write(gzip.compress(content) if "packed" in self.path else content)
                while "endless" in self.path:
                    self.wfile.write(bytes(1_000_000))
            except OSError:
                ended.append(self.path)

        def log_message(self, *_):
            pass

    async def resolve(host: str) -> str:
        assert host == "photos.example"
        return "127.0.0.1"

    ended: list[str] = []
    served = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=served.serve_forever, daemon=True).start()
    monkeypatch.setattr(file_fetching, "public_address", resolve)
    yield f"http://photos.example:{served.server_port}", ended
    served.shutdown()


def test_a_photo_at_an_address_has_the_limits_of_an_upload(demo, files, photo_server):
    address, ended = photo_server
    found = call(demo, "recognize", image=f"{address}/photo.jpg")
    assert not found.isError and json.loads(found.content[0].text)
    refused = (
        ("endless.jpg", "up to 20MB"),
        ("redirect.jpg", "cannot be fetched"),
        ("packed.jpg", "cannot be fetched"),
    )
    for name, message in refused:
        answer = call(demo, "recognize", image=f"{address}/{name}")
        assert answer.isError and message in answer.content[0].text
    assert ended == ["/endless.jpg"]
    assert not [path for path in files.rglob("*") if "endless" in path.name or "redirect" in path.name]


@pytest.mark.parametrize("address", ["100.100.100.200", "192.0.2.1", "fd00::1"])
def test_addresses_inside_a_providers_network_are_refused(monkeypatch, address):
    async def resolve(_):
        return address

    monkeypatch.setattr(file_fetching, "async_validate_url", resolve)
    with pytest.raises(ValueError, match=r"metadata\.example is not public"):
        asyncio.run(file_fetching.public_address("metadata.example"))


def test_another_server_cannot_name_files_of_this_machine(tmp_path):
    (tmp_path / "uploads").mkdir()
    inside, outside = tmp_path / "uploads" / "a b.jpg", tmp_path / "secret.jpg"
    for path in (inside, outside):
        path.write_bytes(b"x")
    address = "https://server.example/gradio_api/file="
    named = {path: own_file(f"{address}{quote(str(path))}", str(tmp_path / "uploads")) for path in (inside, outside)}
    assert named == {inside: str(inside), outside: None}
    assert own_file(f"{address}{inside.parent}/../secret.jpg", str(tmp_path / "uploads")) is None
    assert own_file("https://server.example/photo.jpg", str(tmp_path / "uploads")) is None


def test_an_agent_cannot_shut_others_out(demo, monkeypatch):
    from gradio.queueing import EventQueue

    recognize = next(fn for fn in demo.fns.values() if fn.api_name == "recognize")
    held = demo._queue.event_queue_per_concurrency_id["held"] = EventQueue("held", 1)
    held.current_concurrency = 1  # as if it were at work
    monkeypatch.setattr(recognize, "concurrency_id", "held")
    photo, refused = data_url(NEUTRAL), []

    def ask(address: str):
        answer = call(demo, "recognize", {"X-Forwarded-For": address}, image=photo)
        refused.append((address, answer.content[0].text))

    count = limits.MAX_WAITING_OF_VISITOR + 3
    agents = [threading.Thread(target=ask, args=[address]) for address in ["8.8.8.8"] * count + ["9.9.9.9"]]
    try:
        for agent in agents:
            agent.start()
        deadline = time.monotonic() + 120
        while len(refused) + len(held.queue) < len(agents) and time.monotonic() < deadline:
            time.sleep(0.2)
        addresses = [server.address_of(event.request) for event in held.queue]
        assert addresses.count("8.8.8.8") == limits.MAX_WAITING_OF_VISITOR and addresses.count("9.9.9.9") == 1
        assert len(refused) == 3 and all("requests in the queue" in text for _, text in refused), refused
    finally:
        monkeypatch.undo()
        held.current_concurrency = 0
        for agent in agents:
            agent.join(120)
        demo._queue.event_queue_per_concurrency_id.pop("held")


@pytest.mark.parametrize("route", ["sse", "messages/"])
def test_the_older_transport_is_closed(demo, route):
    import httpx

    assert httpx.get(f"{demo.local_url}gradio_api/mcp/{route}").status_code == 404
