"""The built page, a browser whose webcam shows a clip, and visits."""

import io
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from tergan_hf.evaluation.expression_map import ExpressionMap
from tergan_hf.publishing.web_export import export_web

from ..browser import launch_browser
from ..conftest import EXAMPLES, ROOT
from ..controls import watch_controls
from ..web_model import small_web_pipeline


WEB = ROOT / "web"
PATIENCE = 60_000 * int(os.environ.get("TERGAN_PATIENCE", "1"))  # milliseconds
DESKTOP, PHONE = {"width": 1280, "height": 1000}, {"width": 360, "height": 740}
READY = "document.documentElement.dataset.ready || !document.querySelector('#failure').hidden"


@pytest.fixture(scope="package")
def pipe():
    """The model of the page in Python, in floats as in the browser."""
    return small_web_pipeline()


@pytest.fixture(scope="package")
def site(pipe, tmp_path_factory) -> Path:
    """The built page with the small model."""
    node = shutil.which("node") or shutil.which("node", path=str(Path(sys.executable).parent))
    if not (node and (WEB / "node_modules" / "onnxruntime-web").is_dir()):
        assert not os.environ.get("TERGAN_REQUIRE_BROWSER"), "TERGAN_REQUIRE_BROWSER is set, but `npm ci` did not run"
        pytest.skip("the page cannot be built: run `make web/node_modules/.installed`")
    model, page = tmp_path_factory.mktemp("model"), tmp_path_factory.mktemp("page")
    labels = pipe.labels
    places = np.random.default_rng(0).normal(size=(40, pipe.model.config.expression_embedding_size))
    export_web(pipe.model, model, "small", ExpressionMap.fit(places, np.arange(40) % len(labels), labels))
    subprocess.run([node, str(WEB / "build.mjs"), "--model", str(model), "--out", str(page)], check=True)
    return page


@pytest.fixture(scope="package")
def server(site):
    """The server of the page; it can be closed."""
    sys.path.insert(0, str(WEB))
    from serve import make_server

    server = make_server(site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="package")
def url(server) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/"


@pytest.fixture(scope="package")
def playwright():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="package")
def webcam(tmp_path_factory) -> Path:
    """The example clip as a file for Chromium's webcam."""
    webcam = tmp_path_factory.mktemp("webcam") / "webcam.mjpeg"
    with av.open(str(ROOT / "assets" / "expressions" / "avatar_clip.mp4")) as clip, webcam.open("wb") as file:
        for frame in list(clip.decode(video=0))[:30]:
            buffer = io.BytesIO()
            frame.to_image().resize((320, 320)).crop((0, 40, 320, 280)).save(buffer, "JPEG", quality=92)
            file.write(buffer.getvalue())
    return webcam


@pytest.fixture(scope="package")
def chromium(playwright, webcam):
    """A browser whose webcam shows the example clip."""
    browser = launch_browser(playwright, webcam)
    yield browser
    browser.close()


@pytest.fixture(scope="package")
def visit(chromium, url):
    """
    A function that opens the page and waits for its first result.

    Afterwards no request may have gone to another host, and no script may have failed.
    """
    contexts, foreign, failures = [], [], []

    def open_page(viewport=DESKTOP, scheme="light"):
        # The page's own rules forbid the evaluated functions of these tests.
        context = chromium.new_context(
            viewport=viewport, color_scheme=scheme, bypass_csp=True,
            permissions=["camera", "clipboard-read", "clipboard-write"],
        )  # fmt: skip
        contexts.append(context)
        page = context.new_page()
        watch_controls(page)
        page.set_default_timeout(PATIENCE)
        page.on(
            "request",
            lambda request: None if request.url.startswith((url, "data:", "blob:")) else foreign.append(request.url),
        )
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.on("console", lambda line: failures.append(line.text) if line.type == "error" else None)
        page.goto(f"{url}?backend=wasm")
        page.wait_for_function(READY)
        assert page.locator("#failure").inner_text() == ""
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert foreign == []
    assert failures == []


@pytest.fixture(scope="package")
def page(visit):
    """The page on a desktop."""
    return visit()


@pytest.fixture(scope="package")
def couple(tmp_path_factory) -> Path:
    """A photo of two people. The one on the right is larger."""
    photo = Image.new("RGB", (1100, 700), (200, 200, 205))
    photo.paste(Image.open(EXAMPLES / "london_014_neutral.jpg").resize((420, 420)), (20, 200))
    photo.paste(Image.open(EXAMPLES / "london_099_happiness.jpg"), (450, 40))
    path = tmp_path_factory.mktemp("couple") / "two people.png"
    photo.save(path)
    return path
