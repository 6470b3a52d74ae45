"""What a visitor does with the page, and what is seen of it."""

import base64
import io
import time
from collections.abc import Callable
from contextlib import contextmanager

import numpy as np
from PIL import Image

from ..browser import PATIENCE


AFTER = ".compare-after"
# (file or null, method, further values) → what the engine answers; files come back as base64.
CALL = """async ([file, method, ...values]) => {
  const bytes = file === null ? [] : [Uint8Array.from(atob(file), (letter) => letter.charCodeAt(0))];
  const blob = new File(bytes, "photo");
  const answer = await window.tergan.engine.call(method, ...values.map((value) => (value === "FILE" ? blob : value)));
  if (!(answer instanceof Blob)) return answer;
  let text = "";
  for (const byte of new Uint8Array(await answer.arrayBuffer())) text += String.fromCharCode(byte);
  return btoa(text);
}"""
DIGEST = """async (selector) => {
  const source = document.querySelector(selector)?.src;
  const bytes = source && await fetch(source).then((answer) => answer.arrayBuffer(), () => null);
  return bytes ? btoa(String.fromCharCode(...new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)))) : null;
}"""
PIXELS = """async (selector) => {
  const shown = document.querySelector(selector);
  await shown.decode?.();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [shown.naturalWidth ?? shown.width, shown.naturalHeight ?? shown.height];
  canvas.getContext("2d").drawImage(shown, 0, 0);
  return canvas.toDataURL("image/png").split(",")[1];
}"""


class Watched:
    """A picture of the page whose content must change."""

    def __init__(self, page, selector):
        self.page, self.selector = page, selector
        page.locator(selector).first.wait_for()
        self._wait_until(lambda content: content is not None)

    def wait_for_change(self):
        """Wait until the picture is another one."""
        before = self.content
        self._wait_until(lambda content: content not in (None, before))

    def wait_for(self, content: str):
        """Wait until the picture is one that was seen before."""
        self._wait_until(content.__eq__)

    def _wait_until(self, holds: Callable[[str | None], bool]):
        # Not by `wait_for_function`, to which the promise of an asynchronous function is true at once.
        end = time.monotonic() + PATIENCE / 1000
        while not holds(content := self.page.evaluate(DIGEST, self.selector)):
            assert time.monotonic() < end, f"{self.selector} did not become the picture that was waited for"
            self.page.wait_for_timeout(50)
        self.content = content


def call_with(page, file: bytes | None, method: str, *values):
    """Call the engine. "FILE" among the values stands for the file. Files come back as bytes."""
    answer = page.evaluate(CALL, [None if file is None else base64.b64encode(file).decode(), method, *values])
    return base64.b64decode(answer) if isinstance(answer, str) else answer


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def difference(one: Image.Image, other: Image.Image, box) -> float:
    """Mean absolute difference, of 255, in a box given in shares of the sides."""
    width, height = one.size
    scale = np.array([width, height, width, height])
    parts = [np.asarray(image.crop(tuple((scale * box).astype(int))), float) for image in (one, other)]
    return float(np.abs(parts[0] - parts[1]).mean())


def picture_of(page, selector: str) -> Image.Image:
    """The pixels of an image or a canvas of the page."""
    return opened(base64.b64decode(page.evaluate(PIXELS, selector)))


def open_tab(page, name):
    page.get_by_role("tab", name=name, exact=True).click()


def choose(page, element, path):
    page.locator(f"#{element} input[type=file]").set_input_files(path)


def download(page, name, path):
    with page.expect_download() as coming:
        page.locator(f"#{name}-download").click()
    coming.value.save_as(path)
    return path


def wait_for_frames(page, panel, count: int):
    """Wait until a live panel has drawn some more frames."""
    page.locator(f"#{panel}-figures").evaluate(
        """async ({ dataset }, count) => {
          for (let drawn = 0; drawn < count; drawn++) {
            const { fps } = dataset;
            while (dataset.fps === fps) await new Promise(requestAnimationFrame);
          }
        }""",
        count,
    )


@contextmanager
def live(page, panel):
    """Start a live panel, wait for frames, and stop it in the end."""
    figures = page.locator(f"#{panel}-figures")
    if page.locator(f"#{panel}").get_attribute("open") is None:
        page.locator(f"#{panel} > summary").click()
    figures.evaluate("element => delete element.dataset.fps")
    page.locator(f"#{panel}-start").click()
    page.wait_for_function("id => document.getElementById(id).dataset.fps > 0", arg=f"{panel}-figures")
    assert "frames per second" in figures.inner_text()
    yield
    assert page.locator(f"#{panel} .message").first.inner_text() == ""
    page.locator(f"#{panel}-start").click()
    page.locator(f"#{panel} .stage").wait_for(state="hidden")
