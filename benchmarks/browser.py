"""Compare the page in the browser with the Python package, and measure how long a visitor waits.

`make web` builds the page. Then `python benchmarks/browser.py` edits and recognises twenty photos in Chromium and in
Python: peak signal-to-noise ratio of the photo and of the face crop, labels and scores. After that it measures the
first and the second visit, a transfer, live frames from a clip as webcam, and the megabytes that are loaded.
"""

import argparse
import base64
import io
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import torch
from page import BROWSERS
from PIL import Image, ImageEnhance
from playwright.sync_api import sync_playwright

from tergan_hf import TerGanPipeline
from tergan_hf.model.face_alignment_tergan import crop_face


ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "web"))
from serve import make_server  # noqa: E402


EXAMPLES, EXPRESSIONS = ROOT / "assets" / "examples", ROOT / "assets" / "expressions"
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


KEPT = """async () => {
  let sum = 0;
  for (const name of await caches.keys()) {
    const cache = await caches.open(name);
    for (const key of await cache.keys()) sum += (await (await cache.match(key)).blob()).size;
  }
  return sum;
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
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        photos[name] = buffer.getvalue()
    return photos


def psnr(one: Image.Image, other: Image.Image) -> float:
    """Peak signal-to-noise ratio in decibels."""
    error = np.mean((np.asarray(one, float) - np.asarray(other, float)) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def compare(page, weights: str):
    """Print the agreement of browser and Python for every photo."""
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
        difference = max(abs(scores[key] - found["scores"][key]) for key in scores)
        quantized = max(abs(entry["score"] - found["scores"][entry["label"]]) for entry in int8[name])
        rows.append((psnr(expected, edited), psnr(*crops), difference, quantized, same))
        print(
            f"{name:24s} photo {rows[-1][0]:5.1f} dB   crop {rows[-1][1]:5.1f} dB   scores within {difference:.4f} "
            f"({quantized:.4f} of 8-bit Python)   label {'the same' if same else 'DIFFERENT'}",
            flush=True,
        )
    worst = [
        min(row[0] for row in rows),
        min(row[1] for row in rows),
        max(row[2] for row in rows),
        max(row[3] for row in rows),
    ]
    print(
        f"worst of {len(rows)}: photo {worst[0]:.1f} dB, crop {worst[1]:.1f} dB, scores within {worst[2]:.4f} "
        f"({worst[3]:.4f} of 8-bit Python), {sum(row[4] for row in rows)} labels the same"
    )


def write_webcam(clip: Path, path: Path):
    """Write a clip as a file for Chromium's fake webcam."""
    import av

    with av.open(str(clip)) as container, path.open("wb") as file:
        for frame in container.decode(video=0):
            buffer = io.BytesIO()
            frame.to_image().resize((480, 480)).crop((0, 60, 480, 420)).save(buffer, "JPEG", quality=92)
            file.write(buffer.getvalue())


def live(page, panel: str, tab: str, seconds: float) -> float:
    """Frames per second of a live panel."""
    page.get_by_role("tab", name=tab).click()
    page.wait_for_timeout(4000)  # the view draws its first pictures
    page.locator(f"#{panel} > summary").click()
    page.locator(f"#{panel}-start").click()
    page.wait_for_function("id => document.getElementById(id).dataset.fps", arg=f"{panel}-figures")
    page.wait_for_timeout(1000 * seconds)
    rate = float(page.locator(f"#{panel}-figures").get_attribute("data-fps"))
    page.locator(f"#{panel}-start").click()
    return rate


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--site", default=str(ROOT / "build" / "web"))
    parser.add_argument("--weights", default=str(ROOT / "weights" / "ter-gan"))
    parser.add_argument("--browser", default=next((path for path in BROWSERS if Path(path).exists()), None))
    parser.add_argument("--backend", default="wasm", choices=["wasm", "webgpu"])
    parser.add_argument("--only", choices=["agreement", "speed"])
    options = parser.parse_args()
    server = make_server(options.site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/?backend={options.backend}"
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        webcam = Path(folder) / "webcam.mjpeg"
        write_webcam(EXPRESSIONS / "avatar_clip.mp4", webcam)
        arguments = [
            "--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
            f"--use-file-for-fake-video-capture={webcam}",
        ]  # fmt: skip
        if options.backend == "webgpu":
            arguments += ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"]
        chromium = playwright.chromium.launch(executable_path=options.browser, args=arguments)
        print(subprocess.run([options.browser, "--version"], capture_output=True, text=True).stdout.strip())
        context = chromium.new_context(bypass_csp=True, permissions=["camera"])
        for visit in ("first visit", "second visit"):
            page = context.new_page()
            page.set_default_timeout(600_000)
            sizes, outside = [], []
            page.on("requestfinished", lambda request, sizes=sizes: sizes.append(request.sizes()["responseBodySize"]))
            page.on("request", lambda request, outside=outside: outside.append(request.url))
            started = time.perf_counter()
            page.goto(url)
            page.wait_for_function(READY)
            print(f"{visit}: first result after {time.perf_counter() - started:.1f} s", flush=True)
            page.wait_for_function("navigator.serviceWorker.controller")
            page.wait_for_timeout(3000)
        bytes_loaded = page.evaluate(KEPT)
        print(f"kept for use offline: {bytes_loaded / 1e6:.1f} MB")
        if options.only != "agreement":
            times = page.evaluate(DRAW, 15)
            print(f"transfer, preview: median {statistics.median(times):.0f} ms, slowest {max(times):.0f} ms")
            for panel, tab in (("transfer-live", "Transfer"), ("edit-live", "Editing"), ("fer-live", "Recognition")):
                print(f"{panel}: {live(page, panel, tab, 5):.1f} frames per second", flush=True)
        if options.only != "speed":
            compare(page, options.weights)
        foreign = [address for address in outside if not address.startswith((url.split("?")[0], "blob:", "data:"))]
        print(f"requests to other hosts: {len(foreign)}")
        chromium.close()


if __name__ == "__main__":
    main()
