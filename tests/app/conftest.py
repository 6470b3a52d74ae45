"""The running app, a browser, and pages in it."""

import os
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager

import pytest
from PIL import Image

from ..browser import DESKTOP, PATIENCE, PHONE, launch_browser
from ..conftest import ROOT, SMILING
from ..ports import free_port
from ..watched_pages import watched_pages


# Gradio answers so to a page that asks for the progress of an upload, or stops an event, just as it ends.
ENDED = r"status of 404.* at .*/gradio_api/(upload_progress\?|stream/\w+/close)"


@pytest.fixture(scope="package")
def url(tmp_path_factory):
    """The app in its own process, or the running app that `TERGAN_URL` names."""
    if running := os.environ.get("TERGAN_URL"):
        yield running
        return
    with serve_app(tmp_path_factory.mktemp("files")) as address:
        yield address


@contextmanager
def serve_app(files, **settings: str):
    """
    Run the app in its own process. Yields its address.

    Args:
        files: empty folder for visitors' files.
        settings: environment variables.
    """
    port = free_port()
    environment = {**os.environ, "GRADIO_SERVER_PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False", **settings}
    environment |= {"HF_HUB_OFFLINE": "1", "GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_TEMP_DIR": str(files)}
    app = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=environment)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(PATIENCE // 250):
            assert app.poll() is None, "app.py ended"
            try:
                urllib.request.urlopen(address, timeout=2)
                break
            except OSError:
                time.sleep(0.5)
        yield address
        app.terminate()
        app.wait(PATIENCE / 3000)
        assert not any(path.is_file() for path in files.rglob("*")), "visitors' files outlived the app"
    finally:
        app.kill()


@pytest.fixture(scope="package")
def chromium(tmp_path_factory):
    """A browser whose webcam shows a smiling person."""
    from playwright.sync_api import sync_playwright

    webcam = tmp_path_factory.mktemp("webcam") / "webcam.mjpeg"
    frame = webcam.with_suffix(".jpg")
    Image.open(SMILING).convert("RGB").crop((0, 80, 640, 560)).save(frame)
    webcam.write_bytes(frame.read_bytes() * 30)
    with sync_playwright() as playwright:
        browser = launch_browser(playwright, webcam)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium, url):
    """A function that opens the app's page. `excused` is as in `watched_pages`."""
    allowed = ["camera", "microphone", "clipboard-read", "clipboard-write"]
    with watched_pages(chromium, url) as new_page:

        def open_page(viewport=DESKTOP, theme="light", excused=None):
            page = new_page(viewport, f"{ENDED}|{excused}" if excused else ENDED, permissions=allowed)
            page.goto(f"{url}/?__theme={theme}", timeout=PATIENCE)
            page.locator("#transfer-result .compare-after[src]").wait_for()
            return page

        yield open_page


@pytest.fixture(params=[(DESKTOP, "light"), (PHONE, "dark")], ids=["desktop", "phone"])
def page(visit, request):
    """The app's page, on a desktop in light mode and on a phone in dark mode."""
    return visit(*request.param)
