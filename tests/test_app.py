"""The app as a visitor meets it: a real Chromium, the weights in the repository, no network."""

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from .browser import find_browser
from .conftest import EXAMPLES, ROOT


BROWSER = find_browser()
if BROWSER is None and not os.environ.get("TERGAN_REQUIRE_BROWSER"):
    pytest.skip("no Chromium here: run `python tests/browser.py` to install one", allow_module_level=True)


@pytest.fixture(scope="module")
def url():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "GRADIO_SERVER_PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False"}
    environment |= {"HF_HUB_OFFLINE": "1", "GRADIO_SERVER_NAME": "127.0.0.1"}
    app = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=environment)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            assert app.poll() is None, "app.py ended"
            try:
                urllib.request.urlopen(address, timeout=2)
                break
            except OSError:
                time.sleep(0.5)
        yield address
    finally:
        app.terminate()
        app.wait(20)


@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright

    assert BROWSER is not None, "TERGAN_REQUIRE_BROWSER is set and there is no Chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=BROWSER,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
        yield browser
        browser.close()


@pytest.fixture
def page(chromium, url):
    """The app's page; afterwards, nothing may have been asked of another machine, and no script may have failed."""
    context = chromium.new_context(viewport={"width": 1280, "height": 1000})
    page = context.new_page()
    strangers, failures = [], []
    page.on("request", lambda request: strangers.append(request.url) if outside(request.url, url) else None)
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.goto(url)
    page.get_by_role("tab", name="Transfer", exact=True).wait_for(timeout=60_000)
    yield page
    context.close()
    assert strangers == []
    assert failures == []


def outside(address: str, url: str) -> bool:
    return not address.startswith((url, "data:", "blob:"))


def upload(page, element: str, photo: str):
    page.locator(f"#{element} input[type=file]").first.set_input_files(photo)
    page.locator(f"#{element} img").first.wait_for(timeout=30_000)


def shoot(page, name: str):
    """Keep a screenshot where `TERGAN_SCREENSHOTS` names a folder."""
    folder = os.environ.get("TERGAN_SCREENSHOTS")
    if folder:
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def test_transfer_tab(page):
    upload(page, "transfer-source", str(EXAMPLES / "london_099_happiness.jpg"))
    upload(page, "transfer-target", str(EXAMPLES / "london_014_neutral.jpg"))
    page.locator("#transfer-run").click()
    result = page.locator("#transfer-result img").first
    result.wait_for(timeout=60_000)
    page.wait_for_function("element => element.naturalWidth > 0", arg=result.element_handle())
    assert result.evaluate("element => [element.naturalWidth, element.naturalHeight]") == [640, 640]
    shoot(page, "transfer")


def test_transfer_examples_run_on_click(page):
    row = page.locator("tr.tr-body:visible").first
    row.wait_for(timeout=30_000)
    row.locator("img").first.click()
    page.locator("#transfer-result img").first.wait_for(timeout=60_000)


def test_fer_examples_run_on_click(page):
    page.get_by_role("tab", name="FER", exact=True).click()
    page.locator("button.gallery-item:visible").first.click()
    page.locator("#fer-answer h2").wait_for(timeout=60_000)


def test_editing_tab(page):
    page.get_by_role("tab", name="Editing", exact=True).click()
    upload(page, "edit-image", str(EXAMPLES / "london_036_neutral.jpg"))
    page.locator("#edit-label").get_by_label("surprise").check()
    page.locator("#edit-run").click()
    result = page.locator("#edit-result img").first
    result.wait_for(timeout=60_000)
    shoot(page, "editing")
    first = result.get_attribute("src")
    page.get_by_text("Or by example photo").click()
    upload(page, "edit-example", str(EXAMPLES / "london_120_happiness.jpg"))
    page.locator("#edit-run").click()
    page.wait_for_function("([element, old]) => element.src !== old", arg=[result.element_handle(), first])
    second = result.get_attribute("src")
    slider = page.locator("input[type=range]:visible").first
    slider.focus()
    slider.press("Home")
    slider.dispatch_event("pointerup")
    page.wait_for_function("([element, old]) => element.src !== old", arg=[result.element_handle(), second])


def test_fer_tab(page):
    page.get_by_role("tab", name="FER", exact=True).click()
    upload(page, "fer-image", str(EXAMPLES / "london_099_happiness.jpg"))
    page.locator("#fer-run").click()
    answer = page.locator("#fer-answer")
    answer.get_by_text(re.compile("happiness")).first.wait_for(timeout=60_000)
    bars = answer.inner_text()
    for label in ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"):
        assert label in bars
    assert answer.locator("h2").inner_text().strip() == "happiness"
    shoot(page, "fer")


def test_missing_input_is_a_message(page):
    page.locator("#transfer-run").click()
    page.get_by_text("Please add a photo that shows the expression first").first.wait_for(timeout=30_000)


def test_photo_without_a_face_is_a_message(page, tmp_path):
    from PIL import Image

    Image.new("RGB", (300, 300), "white").save(tmp_path / "wall.png")
    page.get_by_role("tab", name="FER", exact=True).click()
    upload(page, "fer-image", str(tmp_path / "wall.png"))
    page.locator("#fer-run").click()
    page.get_by_text("no face was found").first.wait_for(timeout=30_000)
    assert str(tmp_path) not in page.content() and "detect=False" not in page.content()
    shoot(page, "no_face")


def test_unreadable_file_is_a_message(page, tmp_path):
    (tmp_path / "notes.jpg").write_text("this is no picture")
    page.get_by_role("tab", name="FER", exact=True).click()
    page.locator("#fer-image input[type=file]").first.set_input_files(str(tmp_path / "notes.jpg"))
    page.wait_for_timeout(1500)
    page.locator("#fer-run").click()
    page.get_by_text("not an image file").first.wait_for(timeout=30_000)


def test_the_page_says_its_output_is_synthetic(page):
    page.get_by_text(re.compile("Everything this page makes is")).first.wait_for()
