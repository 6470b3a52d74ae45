"""The built page, a browser whose webcam shows a clip, and visits."""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tergan_hf.evaluation.expression_map import ExpressionMap

from ..browser import DESKTOP, PATIENCE, SOFTWARE_WEBGL, SOFTWARE_WEBGPU, launch_browser, write_webcam
from ..conftest import ROOT
from ..watched_pages import watched_pages
from ..web_model import small_expression_map, small_web_export, small_web_pipeline


WEB = ROOT / "web"
sys.path.insert(0, str(WEB))
from serve import make_server  # noqa: E402


READY = "document.documentElement.dataset.ready || !document.querySelector('#failure').hidden"


def address_of(server) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/"


@pytest.fixture(scope="package")
def pipe():
    """The model of the page in Python, in floats as in the browser."""
    return small_web_pipeline()


@pytest.fixture(scope="package")
def expression_map(pipe) -> ExpressionMap:
    return small_expression_map(pipe.model)


@pytest.fixture(scope="package")
def build(tmp_path_factory):
    """A function that builds the page with the small model into a folder, by default from the files in `web/`."""
    node = shutil.which("node") or shutil.which("node", path=str(Path(sys.executable).parent))
    if not (node and (WEB / "node_modules" / "onnxruntime-web").is_dir()):
        assert not os.environ.get("TERGAN_REQUIRE_BROWSER"), "TERGAN_REQUIRE_BROWSER is set, but `npm ci` did not run"
        pytest.skip("the page cannot be built: run `make web/node_modules/.installed`")
    model = small_web_export(tmp_path_factory)

    def build_page(page: Path, web: Path = WEB) -> Path:
        subprocess.run([node, str(web / "build.mjs"), "--model", str(model), "--out", str(page)], check=True)
        return page

    return build_page


@pytest.fixture(scope="package")
def site(build, tmp_path_factory) -> Path:
    """The built page with the small model."""
    return build(tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="package")
def serve():
    """A function that serves a folder until the tests end."""
    servers = []

    def start(folder):
        servers.append(make_server(folder))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="package")
def url(serve, site) -> str:
    return address_of(serve(site))


@pytest.fixture(scope="package")
def playwright():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="package")
def webcam(tmp_path_factory) -> Path:
    """The example clip as a file for Chromium's webcam."""
    clip = ROOT / "assets" / "expressions" / "avatar_clip.mp4"
    return write_webcam(clip, tmp_path_factory.mktemp("webcam") / "webcam.mjpeg", width=320, frames=30)


@pytest.fixture(scope="package")
def chromium(playwright, webcam):
    """A browser whose webcam shows the example clip."""
    browser = launch_browser(playwright, webcam)
    yield browser
    browser.close()


@pytest.fixture(scope="package")
def module_page(playwright, webcam, url):
    """
    A function that opens the page without starting it, so that a test can import its modules.

    Chromium's software renderer stands for a GPU.
    """
    browser = launch_browser(playwright, webcam, (*SOFTWARE_WEBGPU, *SOFTWARE_WEBGL))

    def open_page():
        page = browser.new_page(bypass_csp=True)
        page.set_default_timeout(PATIENCE)
        page.route("**/src/page/app.js", lambda route: route.fulfill(body="", content_type="text/javascript"))
        page.goto(url)
        return page

    yield open_page
    browser.close()


@pytest.fixture(scope="package")
def visit(chromium, url):
    """A function that opens the page and waits for its first result."""
    allowed = ["camera", "clipboard-read", "clipboard-write"]
    with watched_pages(chromium, url) as new_page:

        def open_page(viewport=DESKTOP, scheme="light"):
            # The page's own rules forbid the evaluated functions of these tests.
            page = new_page(viewport, color_scheme=scheme, bypass_csp=True, permissions=allowed)
            page.goto(f"{url}?backend=wasm")
            page.wait_for_function(READY)
            assert page.locator("#failure").inner_text() == ""
            return page

        yield open_page


@pytest.fixture(scope="package")
def page(visit):
    """The page on a desktop."""
    return visit()
