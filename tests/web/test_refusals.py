"""What other browsers refuse: memory, large canvases, colours, a GPU that fails, files that do not fit."""

import re
import shutil

import numpy as np
import pytest
from PIL import Image

from ..browser import PATIENCE
from ..pictures import encoded
from ..test_photo_files import display_p3
from .conftest import READY, address_of
from .test_privacy import CONTROLLED
from .visitor import open_tab


# A photo's file → [the first pixel, the length of its profile], or the message.
DECODE = """async (file) => {
  const { decodePhoto } = await import("/src/engine/image-files.js");
  try {
    const { data, profile } = await decodePhoto(new Blob([Uint8Array.from(file)]), "photo");
    return [[...data.slice(0, 3)], profile?.length ?? null];
  } catch (error) {
    return error.message;
  }
}"""
ENCODE = """async () => {
  const { encodePicture } = await import("/src/engine/image-files.js");
  const picture = { width: 1, height: 1, data: Uint8ClampedArray.of(1, 2, 3, 255) };
  return encodePicture(picture, {}).then(() => "encoded", (error) => error.message);
}"""
CONVERTS = "() => { const load = createImageBitmap; window.createImageBitmap = (file) => load(file); }"
READS_NOTHING = """() => {
  const { getImageData } = OffscreenCanvasRenderingContext2D.prototype;
  OffscreenCanvasRenderingContext2D.prototype.getImageData = function (...values) {
    this.clearRect(0, 0, this.canvas.width, this.canvas.height);
    return getImageData.apply(this, values);
  };
}"""
MEMORY = """
const { Memory } = WebAssembly;
self.asked = [];
WebAssembly.Memory = class extends Memory {
  constructor(descriptor) {
    self.asked.push(descriptor.maximum);
    if (descriptor.maximum > 16384) throw new RangeError("Out of memory");
    super(descriptor);
  }
};
"""


@pytest.fixture
def page(module_page):
    page = module_page()
    yield page
    page.context.close()


def test_a_canvas_above_the_limit_is_no_photo_without_a_face(page):
    photo = list(encoded(Image.new("RGB", (4, 4), "red")))
    assert page.evaluate(DECODE, photo) == [[255, 0, 0], None]
    page.evaluate(READS_NOTHING)
    assert "photo: the photo is too large for the memory" in page.evaluate(DECODE, photo)
    assert "Your photo: the photo is too large for the memory" in page.evaluate(ENCODE)


def test_a_profile_is_kept_only_with_its_pixels(page):
    photo = list(encoded(Image.new("RGB", (4, 4), (200, 60, 40)), icc_profile=display_p3()))
    assert page.evaluate(DECODE, photo) == [[200, 60, 40], len(display_p3())]
    page.reload()
    page.evaluate(CONVERTS)
    pixel, profile = page.evaluate(DECODE, photo)
    np.testing.assert_allclose(pixel, (217, 42, 23), atol=3)
    assert profile is None


def test_photos_whose_profile_cannot_be_kept_are_converted(page):
    photo = list(encoded(Image.new("RGB", (64, 64), (200, 60, 40)), "AVIF", icc_profile=display_p3(), quality=100))
    pixel, profile = page.evaluate(DECODE, photo)
    np.testing.assert_allclose(pixel, (217, 42, 23), atol=4)
    assert profile is None


def test_a_browser_that_refuses_memory_gets_a_smaller_one(chromium, url):
    context = chromium.new_context(bypass_csp=True)
    page = context.new_page()

    def with_stub(route):
        route.fulfill(response=(answer := route.fetch()), body=f'import "./stub.js";\n{answer.text()}')

    page.route("**/src/engine/worker.js", with_stub)
    page.route("**/src/engine/stub.js", lambda route: route.fulfill(body=MEMORY, content_type="text/javascript"))
    page.goto(f"{url}?backend=wasm")
    page.wait_for_function(READY, timeout=PATIENCE)
    assert page.locator("#failure").inner_text() == ""
    asked = page.workers[0].evaluate("self.asked.filter((pages) => pages >= 8192)")
    assert asked == [65536, 32768, 16384]
    context.close()


def test_the_page_remembers_a_gpu_that_failed(visit):
    page = visit()
    page.evaluate("""() => {
      const { engine } = window.tergan;
      engine.worker.onmessage({ data: { fallback: { backend: "wasm", threads: 1 } } });
    }""")
    open_tab(page, "About")
    assert "one thread" in page.locator("#facts").inner_text()
    page.goto(page.url.split("?")[0])
    page.wait_for_function(READY)
    assert page.evaluate("window.tergan.facts.backend") == "wasm"


# The decoder that the page at /one/ keeps.
FIND = """async () => {
  const name = (await caches.keys()).find((name) => /large.* [/]one[/]$/.test(name));
  return (await (await caches.open(name)).match("/one/model/decoder.onnx")).blob();
}"""
SPOIL = """async () => {
  const name = (await caches.keys()).find((name) => /large.* [/]one[/]$/.test(name));
  await (await caches.open(name)).put("/one/model/decoder.onnx", new Response("wrong"));
}"""


@pytest.fixture
def copies(site, serve, tmp_path):
    """Two builds of the page under one address."""
    for name in ("one", "two"):
        shutil.copytree(site, tmp_path / name)
    for name in ("build.json", "service-worker.js"):
        path = tmp_path / "two" / name
        path.write_text(re.sub(r"(ter-gan-(large|page)-)\w{4}", r"\1ffff", path.read_text()))
    return tmp_path, address_of(serve(tmp_path))


def test_wrong_files_are_loaded_anew(chromium, copies):
    folder, address = copies
    context = chromium.new_context(bypass_csp=True)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)

    def visit(name: str) -> str:
        """The message of a visit."""
        page.goto(f"{address}{name}/?backend=wasm")
        page.wait_for_function(READY)
        return page.locator("#failure").inner_text()

    def is_kept() -> list[bool]:
        """Whether the page and its large files are kept, and its service worker."""
        return page.evaluate("""async () => [
          (await caches.keys()).filter((name) => name.endsWith(" /one/")).length === 2,
          Boolean(await navigator.serviceWorker.getRegistration("/one/")),
        ]""")

    # Each build leaves the other one its copy.
    for name in ("one", "two"):
        assert visit(name) == ""
        page.wait_for_function(CONTROLLED)
    names = page.evaluate("caches.keys()")
    assert sorted(name.split()[1] for name in names) == ["/one/", "/one/", "/two/", "/two/"]
    # A wrong copy is replaced.
    page.evaluate(SPOIL)
    assert visit("one") == ""
    decoder = folder / "one" / "model" / "decoder.onnx"
    content = decoder.read_bytes()
    assert page.evaluate(f"async () => (await ({FIND})()).size") == len(content)
    decoder.write_bytes(content + b"wrong")
    page.evaluate(SPOIL)
    # If the server's is wrong, too, nothing is kept.
    assert "bytes instead of" in visit("one")
    assert is_kept() == [False, False]
    assert page.evaluate("async () => (await caches.keys()).length") == 2  # those of the other build
    decoder.write_bytes(content)
    assert visit("one") == ""
    page.wait_for_function(CONTROLLED)
    assert is_kept() == [True, True]
    context.close()
