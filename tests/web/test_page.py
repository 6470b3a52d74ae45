"""Every view of the page, its agreement with Python, its privacy, and how it can be used."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from tergan_hf.model.face_alignment_tergan import crop_face
from tergan_hf.model.provenance_tergan import XMP, is_marked_synthetic

from ..awkward_inputs import NONE, write_awkward_inputs
from ..browser import launch_browser
from ..conftest import EXAMPLES
from ..controls import unused_controls
from .conftest import DESKTOP, PATIENCE, PHONE, READY, WEB


SMILING, NEUTRAL = EXAMPLES / "london_099_happiness.jpg", EXAMPLES / "london_014_neutral.jpg"
AFTER = ".compare-after"
# (file, method, further values) → what the engine answers; files come back as base64.
CALL = """async ([file, method, ...values]) => {
  const blob = file && new File([Uint8Array.from(atob(file), (letter) => letter.charCodeAt(0))], "photo");
  const answer = await window.tergan.engine.call(method, ...values.map((value) => (value === "FILE" ? blob : value)));
  if (!(answer instanceof Blob)) return answer;
  let text = "";
  for (const byte of new Uint8Array(await answer.arrayBuffer())) text += String.fromCharCode(byte);
  return btoa(text);
}"""
VIEWS = ("Transfer", "Editing", "Recognition", "About")


class Watched:
    """A picture of the page that must change."""

    def __init__(self, page, selector):
        self.picture = page.locator(selector).first
        self.page, self.selector = page, selector
        self.picture.wait_for()
        self.seen = self.picture.get_attribute("src")

    def wait_for_change(self):
        self.page.wait_for_function(
            "([selector, seen]) => (document.querySelector(selector)?.src ?? seen) !== seen",
            arg=[self.selector, self.seen],
        )
        self.seen = self.picture.get_attribute("src")


def photos() -> dict[str, Image.Image]:
    face = Image.open(NEUTRAL).convert("RGB")
    return {
        "upright": face,
        "lying": face.transpose(Image.Transpose.ROTATE_90),
        "rolled": face.rotate(20, Image.Resampling.BICUBIC, fillcolor=(90, 90, 90)),
        "dark": ImageEnhance.Brightness(face).enhance(0.3),
        "small": face.resize((150, 150), Image.Resampling.LANCZOS),
        "large": Image.open(SMILING).convert("RGB").resize((1300, 1300)),
    }


def psnr(one: Image.Image, other: Image.Image) -> float:
    error = np.mean((np.asarray(one, float) - np.asarray(other, float)) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def encoded(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def open_tab(page, name):
    page.get_by_role("tab", name=name, exact=True).click()


def choose(page, element, path):
    page.locator(f"#{element} input[type=file]").set_input_files(path)


def download(page, name, path):
    with page.expect_download() as coming:
        page.locator(f"#{name}-download").click()
    coming.value.save_as(path)
    return path


@pytest.mark.parametrize("name", list(photos()))
def test_the_browser_gives_pythons_results(page, pipe, name):
    photo = photos()[name]
    data = encoded(photo)
    [face, *_] = pipe.faces(photo)
    found = page.evaluate(CALL, [data, "openPhoto", "tested", "FILE", "photo"])
    np.testing.assert_allclose(found["faces"][0]["landmarks"], face.landmarks, atol=0.05)
    np.testing.assert_allclose(found["faces"][0]["box"], face.box, atol=0.05)
    made = page.evaluate(CALL, [data, "download", "tested", {"label": "surprise"}, {"intensity": 0.8}, "image/png"])
    result = Image.open(io.BytesIO(base64.b64decode(made))).convert("RGB")
    expected = pipe.edit(photo, "surprise", intensity=0.8, test_time_augmentation=False)
    assert psnr(expected, photo) < 35  # the edit is no small one
    assert psnr(result, expected) > 40
    crops = [crop_face(image, face.crop_transform, 96) for image in (result, expected)]
    assert psnr(*crops) > 40
    read = page.evaluate(CALL, [data, "recognize", "FILE", "photo"])["faces"][0]
    [answer] = pipe.recognize_faces(photo, blendshapes=True)
    scores = {entry["label"]: entry["score"] for entry in answer["scores"]}
    assert read["scores"] == pytest.approx(scores, abs=0.01)
    assert max(read["scores"], key=read["scores"].get) == answer["scores"][0]["label"]
    assert {key: value for key, value in read["blendshapes"].items() if "gaze" not in key} == pytest.approx(
        {key: value for key, value in answer["blendshapes"].items() if "gaze" not in key}, abs=0.02
    )


def test_transfer(page, couple, tmp_path):
    open_tab(page, "Transfer")
    assert "synthetic" in page.locator("header").inner_text()
    result = Watched(page, f"#transfer-result {AFTER}")
    choose(page, "transfer-target", couple)
    result.wait_for_change()
    faces = page.locator("#transfer-target .faces button")
    faces.nth(1).wait_for()
    assert faces.nth(0).get_attribute("aria-pressed") == "true"
    faces.nth(1).click()
    result.wait_for_change()
    box = page.locator("#transfer-target img").first.bounding_box()
    page.locator("#transfer-target .photo-frame img").click(
        position={"x": 0.7 * box["width"], "y": 0.5 * box["height"]}
    )
    result.wait_for_change()
    page.locator("#transfer-target .faces button[aria-pressed=true]", has_text="Face 1").wait_for()
    slider = page.get_by_label("Intensity", exact=True).first
    slider.press("ArrowLeft")
    result.wait_for_change()
    page.locator("#transfer").get_by_label("Intensity, number").fill("0.7")
    page.locator("#transfer").get_by_label("Intensity, number").press("Enter")
    result.wait_for_change()
    page.locator("#transfer-result input[type=range]").press("End")
    assert page.locator("#transfer-mark").is_checked()
    page.locator("#transfer-mark").uncheck()
    result.wait_for_change()
    page.locator("#transfer-all button", has_text="surprise").click()
    result.wait_for_change()
    page.locator("#transfer-source .examples button").first.click()
    result.wait_for_change()
    page.locator("#transfer").get_by_label("JPEG").check()
    saved = download(page, "transfer", tmp_path / "result.jpg")
    with Image.open(saved) as image:
        assert image.size == (1100, 700) and image.format == "JPEG" and image.info["xmp"] == XMP.encode()
    assert is_marked_synthetic(saved)
    page.locator("#transfer-swap").click()
    result.wait_for_change()
    use_photo_input(page, "transfer-target", result)
    use_photo_input(page, "transfer-source", result)
    use_live(page, "transfer-live")
    page.locator("#transfer-relative").check()
    assert unused_controls(page) == []


def use_photo_input(page, element, result):
    """Use the webcam, the clipboard, an example, and the removal of a photo input."""
    frame = page.locator(f"#{element}")
    frame.get_by_role("button", name="Webcam").click()
    page.wait_for_function("id => document.querySelector(`#${id} video`).currentTime > 0.1", arg=element)
    frame.get_by_role("button", name="Take the photo").click()
    result.wait_for_change()
    page.evaluate(
        """async (source) => {
          const canvas = new OffscreenCanvas(640, 640);
          canvas.getContext("2d").drawImage(await createImageBitmap(await (await fetch(source)).blob()), 0, 0);
          await navigator.clipboard.write([new ClipboardItem({ "image/png": await canvas.convertToBlob() })]);
        }""",
        "assets/examples/london_036_neutral.jpg",
    )
    frame.get_by_role("button", name="Paste").click()
    result.wait_for_change()
    with page.expect_file_chooser():
        frame.get_by_role("button", name="Choose a file").click()
    frame.get_by_role("button", name="Remove").click()
    frame.get_by_text("Drop a photo here").wait_for()
    frame.locator(".examples button").first.click()
    result.wait_for_change()


def use_live(page, panel):
    """Open a live panel, wait for frames, and stop it."""
    page.locator(f"#{panel} > summary").click()
    page.locator(f"#{panel}-start").click()
    page.wait_for_function("id => document.getElementById(id).dataset.fps > 0", arg=f"{panel}-figures")
    assert "frames per second" in page.locator(f"#{panel}-figures").inner_text()
    assert page.locator(f"#{panel} .message").first.inner_text() == ""
    page.locator(f"#{panel}-start").click()
    page.locator(f"#{panel} .stage").wait_for(state="hidden")


def test_editing(page, tmp_path):
    open_tab(page, "Editing")
    result = Watched(page, f"#edit-result {AFTER}")
    page.locator("#edit-strip button").nth(5).wait_for()
    page.locator("#edit-label").get_by_label("surprise").check()
    result.wait_for_change()
    page.locator("#editing .map svg").press("Shift+ArrowRight")
    result.wait_for_change()
    assert page.locator("#edit-label input:checked").count() == 0
    page.locator("#edit-strip button", has_text="1.5").click()
    result.wait_for_change()
    assert page.locator("#editing").get_by_label("Intensity, number").input_value() == "1.5"
    page.locator("#edit-undo").click()
    result.wait_for_change()
    page.locator("#edit-parts > summary").click()
    for part in ("Brows", "Eyes", "Mouth"):
        page.locator("#edit-parts").get_by_label(part, exact=True).press("Home")
        result.wait_for_change()
        page.locator("#edit-parts").get_by_label(f"{part}, number").fill("1")
        page.locator("#edit-parts").get_by_label(f"{part}, number").press("Enter")
        result.wait_for_change()
    saved = download(page, "edit", tmp_path / "result.png")
    with Image.open(saved) as image:
        assert image.size == (640, 640) and image.format == "PNG"
        assert image.info["Description"] and image.info["XML:com.adobe.xmp"] == XMP
    assert is_marked_synthetic(saved)
    page.locator("#editing summary", has_text="Or by example photo").click()
    page.locator("#edit-example .examples button").first.click()
    result.wait_for_change()
    use_live(page, "edit-live")


def test_the_browser_sets_the_blendshapes_that_python_sets(page, pipe):
    photo, labels = Image.open(NEUTRAL).convert("RGB"), {"neutral": 0.5}
    values = {"jawOpen": 0.9, "eyeBlinkLeft": 0.8, "gazeX": -12}
    page.evaluate(CALL, [encoded(photo), "openPhoto", "tested", "FILE", "photo"])
    wanted = {"labels": labels, "values": values, "of": "tested"}
    made = page.evaluate(CALL, [encoded(photo), "download", "tested", wanted, {"intensity": 1}, "image/png"])
    expected = pipe.edit(photo, {**labels, **values}, test_time_augmentation=False)
    assert psnr(expected, photo) < 35  # the edit is no small one
    assert psnr(Image.open(io.BytesIO(base64.b64decode(made))).convert("RGB"), expected) > 35


def test_sliders_and_presets(page, tmp_path):
    open_tab(page, "Editing")
    result = Watched(page, f"#edit-result {AFTER}")
    page.locator("#edit-strip button").nth(5).wait_for()
    single = page.locator("#edit-blendshapes")
    single.get_by_text("Single movements (blendshapes)").click()
    single.locator("summary", has_text="Jaw").click()
    jaw = single.get_by_label("Jaw open", exact=True)
    started = float(jaw.input_value())
    assert 0.01 < started < 0.99  # what was read from the photo
    jaw.press("End")
    result.wait_for_change()
    single.locator("summary", has_text="1 set").wait_for()
    assert page.locator("#edit-label input:checked").count() == 0
    single.get_by_label("Start from neutral").check()
    result.wait_for_change()
    with page.expect_download() as downloading:
        single.get_by_role("button", name="Save preset").click()
    downloading.value.save_as(tmp_path / "preset.json")
    assert json.loads((tmp_path / "preset.json").read_text()) == {"neutral": 1, "jawOpen": 1.2}
    single.get_by_role("button", name="Reset", exact=True).click()
    result.wait_for_change()
    page.wait_for_function(f"Math.abs(document.querySelector('#blendshape-jawOpen').value - {started}) < 0.011")
    assert not single.get_by_label("Start from neutral").is_checked()
    (tmp_path / "other.json").write_text(json.dumps({"NEUTRAL": 0.5, "eyeBlink": 1, "gazeRight": 10}))
    page.set_input_files("#edit-load-preset", tmp_path / "other.json")
    result.wait_for_change()
    for name, value in {"eyeBlinkLeft": 1, "eyeBlinkRight": 1, "gazeX": -10}.items():
        page.wait_for_function(f"+document.querySelector('#blendshape-{name}').value === {value}")
    for text, message in {
        "[1]": "must be a JSON file", '{"jawopn": 1}': "“jawopn”, which this model does not know",
        '{"jawOpen": 3}': "jawOpen must be a number from 0 to 1.2",
        '{"eyeBlink": 1, "eyeBlinkLeft": 0}': "eyeBlinkLeft twice",
        '{"neutral": 0.7, "anger": 0.7}': "must not exceed 1 together",
    }.items():  # fmt: skip
        (tmp_path / "bad.json").write_text(text)
        page.set_input_files("#edit-load-preset", tmp_path / "bad.json")
        single.locator("p[role=alert]", has_text=message).wait_for()
    use_live(page, "edit-live")


def test_recognition(page, couple):
    open_tab(page, "Recognition")
    assert "does not say what a person feels" in " ".join(page.locator("#recognition").inner_text().split())
    choose(page, "fer-photo", couple)
    tables = page.locator("#fer-answer table")
    tables.nth(3).wait_for()  # scores and blendshapes of two people
    assert page.locator("#fer-answer caption").nth(1).inner_text().startswith("Face 2: ")
    assert "face 2: " in page.locator("#recognition canvas").first.get_attribute("aria-label")
    assert page.locator("#recognition .map-own").count() == 2
    use_live(page, "fer-live")
    page.locator("#fer-photo .examples button").first.click()
    page.wait_for_function("document.querySelectorAll('#fer-answer table').length === 2")


def test_awkward_files_give_a_sentence(page, tmp_path):
    open_tab(page, "Recognition")
    wrong = []
    files = {path: expected for path, expected in write_awkward_inputs(tmp_path).items() if path.stat().st_size}
    for path, expected in list(files.items())[::4]:
        data = base64.b64encode(path.read_bytes()).decode()
        try:
            page.evaluate(CALL, [data, "recognize", "FILE", "your photo"])
        except Exception as error:
            message = str(error).split("\n")[0].removeprefix("Page.evaluate: Error: ")
            if (
                not message.startswith("your photo: ")
                or not message.endswith(".")
                or (expected != NONE and "read the file" not in message)
            ):
                wrong.append((path.name, message))
    assert wrong == []
    choose(page, "fer-photo", WEB / "package.json")
    error = page.locator("#fer-photo [role=alert]")
    error.wait_for()
    assert "cannot read the file as a photo" in error.inner_text()
    page.locator("#fer-photo .examples button").first.click()
    page.locator("#fer-answer table").first.wait_for()


@pytest.mark.parametrize(("viewport", "scheme"), [(DESKTOP, "light"), (PHONE, "dark")], ids=["desktop", "phone"])
def test_every_view_is_accessible_and_fits(visit, page, viewport, scheme):
    if viewport == PHONE:
        page = visit(viewport, scheme)
        assert page.locator("#transfer-result .compare-stage").bounding_box()["y"] < 2 * PHONE["height"]
    page.evaluate((WEB / "node_modules" / "axe-core" / "axe.min.js").read_text())
    rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
    violations = []
    for name in VIEWS:
        open_tab(page, name)
        page.evaluate(
            "document.querySelectorAll('[role=tabpanel]:not([hidden]) details').forEach((one) => (one.open = true))"
        )
        for found in page.evaluate("rules => axe.run(document, rules)", rules)["violations"]:
            violations += [(name, found["id"], node["html"][:160]) for node in found["nodes"]]
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"], name
    assert violations == []


def test_tabs_work_by_keyboard(page):
    page.get_by_role("tab", name="Transfer").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#editing").is_visible() and page.evaluate("document.activeElement.id") == "tab-editing"
    page.keyboard.press("End")
    assert page.locator("#about").is_visible() and "small" in page.locator("#facts").inner_text()


def test_nothing_leaves_the_page_and_it_works_offline(visit):
    page = visit()
    page.wait_for_function("navigator.serviceWorker.controller")
    page.wait_for_function("async () => (await (await caches.open((await caches.keys())[0])).keys()).length > 30")
    page.locator("#transfer-all button").nth(5).wait_for()  # the examples are loaded
    requests = []
    page.context.on("request", lambda request: requests.append(request.url))
    result = Watched(page, f"#transfer-result {AFTER}")
    page.locator("#transfer-target input[type=file]").set_input_files(SMILING)
    result.wait_for_change()
    with page.expect_download():
        page.locator("#transfer-download").click()
    assert [address for address in requests if not address.startswith("blob:")] == []
    page.context.set_offline(True)
    page.reload()
    page.wait_for_function(READY, timeout=PATIENCE)
    result = Watched(page, f"#transfer-result {AFTER}")
    page.locator("#transfer-target .examples button").nth(2).click()
    result.wait_for_change()


def test_the_page_forbids_requests_to_other_hosts(chromium, url):
    page = chromium.new_context().new_page()
    page.goto(url)
    refused = page.evaluate("fetch('https://example.org/').then(() => false, (error) => String(error))")
    assert "Failed to fetch" in refused
    rule = page.locator("meta[http-equiv=Content-Security-Policy]").get_attribute("content")
    assert "default-src 'none'" in rule and "http" not in rule
    page.context.close()


def test_a_gpu_runs_every_node(playwright, webcam, url):
    """Chromium's software adapter stands for a GPU. A session refuses to start if a node is left to the processor."""
    software = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan")
    browser = launch_browser(playwright, webcam, *software)
    page = browser.new_page(bypass_csp=True)
    page.route("**/src/page/app.js", lambda route: route.fulfill(body="", content_type="text/javascript"))
    page.goto(url)
    if not page.evaluate("async () => Boolean(await navigator.gpu?.requestAdapter())"):
        pytest.skip("this Chromium has no software adapter for WebGPU")
    change = """async (backend) => {
      const { loadRuntime } = await import("/src/engine/runtime.js");
      const { Model } = await import("/src/engine/model.js");
      const build = await (await fetch("/build.json")).json();
      const { run, manifest, tables } = await loadRuntime({ build, base: document.baseURI, backend, report() {} });
      const model = new Model(run, manifest, tables);
      const data = Uint8ClampedArray.from({ length: 4 * model.size ** 2 }, (_, k) => 128 + 100 * Math.sin(k / 500));
      const target = await model.encodeTarget({ width: model.size, height: model.size, data });
      return Array.from((await model.change(model.prototype("surprise"), target, 1)).flow.data);
    }"""
    with_gpu, without = (np.array(page.evaluate(change, backend)) for backend in ("webgpu", "wasm"))
    browser.close()
    assert np.abs(without).max() > 0.01
    np.testing.assert_allclose(with_gpu, without, atol=1e-3)
