"""Compare the page in the browser with the Python package, and measure how long a visitor waits.

`make web` builds the page. Then `python benchmarks/browser.py` edits and recognises twenty photos in Chromium and in
Python: peak signal-to-noise ratio of the photo and of the face crop, labels and scores. After that it measures the
first and the second visit, a redraw of a transfer at another intensity, for which the codes of both photos are kept,
live frames from a clip as webcam, and the megabytes that are loaded. Beside each number stands its bound; the exit
status is 1 if the page does not agree with Python.
"""

import argparse
import base64
import functools
import io
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import torch
from PIL import Image, ImageEnhance
from playwright.sync_api import sync_playwright

from tergan_hf import TerGanPipeline
from tergan_hf.model.face_alignment_tergan import crop_face


ROOT = Path(__file__).resolve().parents[1]
sys.path += [str(ROOT), str(ROOT / "web")]
from serve import PageHandler, make_server  # noqa: E402

from tests.browser import SOFTWARE_WEBGPU, launch_browser, write_webcam  # noqa: E402
from tests.pictures import decibels, encoded  # noqa: E402


EXAMPLES, EXPRESSIONS = ROOT / "assets" / "examples", ROOT / "assets" / "expressions"
CROP_PSNR, PHOTO_PSNR, SCORE_ERROR = 40.0, 35.0, 0.01  # agreement with Python, in dB and of 1
REDRAW_TIME, LIVE_RATE, MEGABYTES = 250, 8, 25  # aims: ms, frames per second, MB of the model
READY = "document.documentElement.dataset.ready || !document.querySelector('#failure').hidden"
EDIT = """async ([photo, label]) => {
  const file = new File([Uint8Array.from(atob(photo), (letter) => letter.charCodeAt(0))], "photo");
  const { engine } = window.tergan;
  const recognized = await engine.call("recognize", file, "photo");
  await engine.call("openPhoto", "measured", file, "photo");
  const edited = await engine.call("download", "measured", { label }, { intensity: 1, mark: false }, "image/png");
  let text = "";
  for (const byte of new Uint8Array(await edited.arrayBuffer())) text += String.fromCharCode(byte);
  return { edited: btoa(text), scores: recognized.faces[0].scores };
}"""
DRAW = """async (count) => {
  const times = [];
  for (let k = 0; k < count; k++) {
    const started = performance.now();
    const settings = { intensity: 1 - 0.01 * k, mark: true };
    await window.tergan.engine.call("draw", "transfer-target", { slot: "transfer-source" }, settings);
    times.push(performance.now() - started);
  }
  return times;
}"""


def twenty_photos() -> dict[str, bytes]:
    """Photos as files: the examples as they are, turned, dark, small and large."""
    photos = {
        path.stem: path.read_bytes() for folder in (EXAMPLES, EXPRESSIONS) for path in sorted(folder.glob("*.jpg"))
    }
    first, second, third = (Image.open(path).convert("RGB") for path in sorted(EXAMPLES.glob("*.jpg"))[:3])
    changed = {
        "turned by 90°": first.transpose(Image.Transpose.ROTATE_90),
        "upside down": second.transpose(Image.Transpose.ROTATE_180),
        "rolled by 25°": third.rotate(25, Image.Resampling.BICUBIC, fillcolor=(128, 128, 128)),
        "dark": ImageEnhance.Brightness(first).enhance(0.25),
        "small": second.resize((160, 160), Image.Resampling.LANCZOS),
        "large": third.resize((2400, 2400), Image.Resampling.BICUBIC),
    }
    for name, image in changed.items():
        photos[name] = encoded(image)
    return photos


def compare(page, weights: str) -> bool:
    """Print the agreement of browser and Python for every photo, and return whether it holds for all."""
    torch.set_grad_enabled(False)
    pipe = TerGanPipeline.from_pretrained(weights, device="cpu")
    int8 = {name: pipe.recognize(Image.open(io.BytesIO(data))) for name, data in twenty_photos().items()}
    pipe.model.dequantize()  # the browser computes in floats, as Python does on all but x86 CPUs
    rows = []
    for number, (name, data) in enumerate(twenty_photos().items()):
        label = pipe.labels[number % len(pipe.labels)]
        photo = Image.open(io.BytesIO(data)).convert("RGB")
        expected = pipe.edit(photo, label, test_time_augmentation=False)
        scores = {entry["label"]: entry["score"] for entry in pipe.recognize(photo)}
        found = page.evaluate(EDIT, [base64.b64encode(data).decode(), label])
        edited = Image.open(io.BytesIO(base64.b64decode(found["edited"]))).convert("RGB")
        transform = pipe.faces(photo)[0].crop_transform
        crops = [crop_face(image, transform, pipe.model.config.image_size) for image in (expected, edited)]
        same = max(scores, key=scores.get) == max(found["scores"], key=found["scores"].get)
        error = max(abs(scores[key] - found["scores"][key]) for key in scores)
        quantized = max(abs(entry["score"] - found["scores"][entry["label"]]) for entry in int8[name])
        rows.append((decibels(expected, edited), decibels(*crops), error, quantized, same))
        print(
            f"{name:24s} photo {rows[-1][0]:5.1f} dB   crop {rows[-1][1]:5.1f} dB   scores within {error:.4f} "
            f"({quantized:.4f} of 8-bit Python)   label {'the same' if same else 'DIFFERENT'}",
            flush=True,
        )
    photos, crops, errors, of_int8, labels = zip(*rows)
    print(
        f"worst of {len(rows)}: photo {min(photos):.1f} dB (at least {PHOTO_PSNR:.0f}), crop {min(crops):.1f} dB (at "
        f"least {CROP_PSNR:.0f}), scores within {max(errors):.4f} (at most {SCORE_ERROR}; {max(of_int8):.4f} of 8-bit "
        f"Python), {sum(labels)} labels the same (all)"
    )
    return min(photos) >= PHOTO_PSNR and min(crops) >= CROP_PSNR and max(errors) <= SCORE_ERROR and all(labels)


def live(page, panel: str, tab: str, seconds: float) -> float:
    """Frames per second of a live panel: the median of what it shows every half second."""
    page.get_by_role("tab", name=tab).click()
    page.wait_for_timeout(4000)  # the view draws its first pictures
    page.locator(f"#{panel} > summary").click()
    page.locator(f"#{panel}-start").click()
    page.wait_for_function("id => document.getElementById(id).dataset.fps", arg=f"{panel}-figures")
    page.wait_for_timeout(3000)
    rates = []
    for _ in range(round(2 * seconds)):
        page.wait_for_timeout(500)
        rates.append(float(page.locator(f"#{panel}-figures").get_attribute("data-fps")))
    page.locator(f"#{panel}-start").click()
    return statistics.median(rates)


def visit(context, url: str, requests: list[str]):
    """The page with its first result, and the seconds until then."""
    page = context.new_page()
    page.set_default_timeout(600_000)
    page.on("request", lambda request: requests.append(request.url))
    started = time.perf_counter()
    page.goto(url)
    page.wait_for_function(READY)
    seconds = time.perf_counter() - started
    page.wait_for_function("navigator.serviceWorker.controller")
    return page, seconds


def measure_speed(page):
    """Print the times of redraws, and the frame rates of the live panels."""
    times = page.evaluate(DRAW, 15)
    print(
        f"transfer redrawn at another intensity, preview: median {statistics.median(times):.0f} ms (aim "
        f"{REDRAW_TIME}), worst {max(times):.0f} ms"
    )
    for panel, tab in (("transfer-live", "Transfer"), ("edit-live", "Editing"), ("fer-live", "Recognition")):
        print(f"{panel}: {live(page, panel, tab, 10):.1f} frames per second (aim {LIVE_RATE})", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--site", default=str(ROOT / "build" / "web"))
    parser.add_argument("--weights", default=str(ROOT / "weights" / "ter-gan"))
    parser.add_argument("--backend", default="wasm", choices=["wasm", "webgpu"])
    parser.add_argument("--only", choices=["agreement", "speed"])
    options = parser.parse_args()
    server, sent = make_server(options.site), []

    class CountingHandler(PageHandler):
        """Counts the bytes that the server sends."""

        def copyfile(self, source, outputfile):
            sent.append((self.path, os.fstat(source.fileno()).st_size))
            super().copyfile(source, outputfile)

    server.RequestHandlerClass = functools.partial(CountingHandler, directory=options.site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/?backend={options.backend}"
    agrees, requests = True, []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        webcam = write_webcam(EXPRESSIONS / "avatar_clip.mp4", Path(folder) / "webcam.mjpeg", width=480)
        chromium = launch_browser(playwright, webcam, SOFTWARE_WEBGPU if options.backend == "webgpu" else ())
        print(f"Chromium {chromium.version}")
        context = chromium.new_context(bypass_csp=True, permissions=["camera"])
        for name in ("first visit", "second visit"):
            page, seconds = visit(context, url, requests)
            page.wait_for_timeout(3000)  # the views load what they need later
            model = sum(size for path, size in sent if path.startswith("/model/"))
            print(
                f"{name}: first result after {seconds:.1f} s, {sum(size for _, size in sent) / 1e6:.1f} MB loaded, of "
                f"the model {model / 1e6:.1f} MB (at most {MEGABYTES})",
                flush=True,
            )
            sent.clear()
            if name == "first visit":
                page.close()
        if options.only != "agreement":
            measure_speed(page)
        if options.only != "speed":
            agrees = compare(page, options.weights)
        own = (url.split("?")[0], "blob:", "data:")
        print(f"requests to other hosts: {sum(not address.startswith(own) for address in requests)} (0)")
        chromium.close()
    return 0 if agrees else 1


if __name__ == "__main__":
    sys.exit(main())
