"""What a visitor does on the page."""

import base64
import os
import re
from pathlib import Path

from ..conftest import NEUTRAL, ROOT


CLIP = str(ROOT / "assets" / "expressions" / "avatar_clip.mp4")
COPY_PICTURE = """async (source) => {
  const image = new Image();
  image.src = source;
  await image.decode();
  const canvas = new OffscreenCanvas(image.width, image.height);
  canvas.getContext("2d").drawImage(image, 0, 0);
  await navigator.clipboard.write([new ClipboardItem({ "image/png": await canvas.convertToBlob() })]);
}"""


class WatchedPicture:
    """A picture that must change."""

    def __init__(self, page, selector: str):
        self.page, self.selector = page, selector
        self.seen = self.source()

    def source(self) -> str:
        """The data URL that the page shows now."""
        return self.page.locator(self.selector).first.get_attribute("src")

    def wait_for_change(self):
        """Wait until the page shows another picture."""
        self.page.wait_for_function(
            "([selector, seen]) => (document.querySelector(selector)?.src ?? seen) !== seen",
            arg=[self.selector, self.seen],
        )
        self.seen = self.source()


def open_tab(page, name: str):
    page.get_by_role("tab", name=name, exact=True).click()


def upload(page, element: str, path: str):
    page.locator(f"#{element} input[type=file]").first.set_input_files(path)


def download(page, element: str, path):
    """Click a button and save its download."""
    with page.expect_download() as coming:
        page.locator(f"#{element}").click()
    coming.value.save_as(path)
    return path


def press_slider(page, element: str, key: str):
    slider = page.locator(f"#{element} input[type=range]")
    slider.wait_for()  # Gradio builds what an accordion holds when it is opened
    slider.focus()
    slider.press(key)


def wait_for_value(page, element: str, value: str):
    """Wait until a slider and its number both have a value."""
    from playwright.sync_api import TimeoutError

    try:
        page.wait_for_function(
            """([element, value]) => ["range", "number"]
                 .every(kind => document.querySelector(`#${element} input[type=${kind}]`).value === value)""",
            arg=[element, value],
        )
    except TimeoutError:
        found = [page.locator(f"#{element} input[type={kind}]").input_value() for kind in ("range", "number")]
        focused = page.evaluate("document.activeElement?.outerHTML")
        raise AssertionError(f"{element} is {found}, not {value}; {focused} has the focus") from None


def use_photo_input(page, element: str, photo: str, result: WatchedPicture):
    """Use every control of a photo input: full screen, removal, webcam, clipboard, and at last a file."""
    frame = page.locator(f"#{element}")
    frame.get_by_label("Fullscreen", exact=True).click()
    frame.get_by_label("Exit fullscreen mode").click()
    frame.get_by_label("Remove Image").click()
    frame.get_by_label("Capture from camera").click()
    frame.get_by_text("Click to Access Webcam").click()
    wait_for_webcam(page, element)
    frame.get_by_label("capture photo").click()
    result.wait_for_change()
    frame.get_by_label("Remove Image").click()
    page.evaluate(COPY_PICTURE, f"data:image/jpeg;base64,{base64.b64encode(Path(NEUTRAL).read_bytes()).decode()}")
    frame.get_by_label("Paste from clipboard").click()
    result.wait_for_change()
    frame.get_by_label("Remove Image").click()
    choose_file(page, frame, "image", photo)
    result.wait_for_change()


def use_clip_input(page, element: str):
    """Use every control of a clip input: a file, removal, and a recording."""
    frame = page.locator(f"#{element}")
    choose_file(page, frame, "video", CLIP)
    frame.locator("video").wait_for()
    frame.get_by_label("Clear").click()
    frame.get_by_label("Capture from camera").click()
    frame.get_by_text("Click to Access Webcam").click()
    wait_for_webcam(page, element)
    frame.get_by_label("start recording").click()
    page.wait_for_timeout(1000)
    frame.get_by_text("Stop", exact=True).click()
    frame.get_by_label("Clear").first.wait_for()  # while the recording is uploaded, a second one shows


def wait_for_webcam(page, element: str):
    """Wait until the webcam shows a picture."""
    page.wait_for_function(
        """element => [...document.querySelectorAll(`#${element} video`)]
             .some(video => video.readyState >= 2 && video.videoWidth > 0 && video.currentTime > 0.2)""",
        arg=element,
    )


def choose_file(page, frame, kind: str, path: str):
    frame.get_by_label("Upload file").click()
    with page.expect_file_chooser() as choosing:
        frame.get_by_label(re.compile(f"Drop an? {kind} file here to upload")).click()
    choosing.value.set_files(path)


def save_screenshot(page, name: str):
    """Save a screenshot if `TERGAN_SCREENSHOTS` names a folder."""
    folder = os.environ.get("TERGAN_SCREENSHOTS")
    if folder:
        page.screenshot(path=f"{folder}/{name}_{page.viewport_size['width']}.png", full_page=True)
