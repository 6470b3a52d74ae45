"""Every view of the page, and how it can be used."""

import json

import numpy as np
import pytest
from PIL import Image, ImageChops
from playwright.sync_api import Error

from tergan_hf.model.provenance_tergan import XMP, is_marked_synthetic

from ..awkward_inputs import FACE, write_awkward_inputs
from ..browser import DESKTOP, PHONE
from ..controls import unused_controls
from .conftest import WEB
from .visitor import (
    AFTER,
    Watched,
    call_with,
    choose,
    difference,
    download,
    live,
    open_tab,
    opened,
    picture_of,
    wait_for_frames,
)  # fmt: skip


VIEWS = ("Transfer", "Editing", "Recognition", "About")

FACE_BOX, BACKGROUND = np.array([0.4, 0.4, 0.6, 0.7]), np.array([0, 0, 0.1, 0.1])  # of the examples
BESIDE_FACE = np.array([0, 0, 0.03, 0.5])  # of the clip
# What Chromium cannot decode, though Python can. To a browser, 16-bit grey of at most 255 is black.
UNREADABLE = (".tiff", ".ppm", ".tga", ".jpeg2000", ".pcx", " TIFF", "mode I.png")
# A browser shows what is left of a damaged file; what is left may show the face.
SHOW_A_FACE = (
    "JPEG cut at 0.9.jpg",
    "PNG cut at 0.9.png",
    "damaged.png",
    *(f"damaged {number}.jpg" for number in range(4)),
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
    photo = picture_of(page, "#transfer-result .compare-before")
    with live(page, "transfer-live"):
        driven = picture_of(page, "#transfer-live canvas")
        assert difference(driven, photo, FACE_BOX) > 3 and difference(driven, photo, BACKGROUND) < 1
        page.locator("#transfer-relative").check()
        wait_for_frames(page, "transfer-live", 3)
        relative = picture_of(page, "#transfer-live canvas")
        assert difference(relative, photo, FACE_BOX) < difference(driven, photo, FACE_BOX)
    page.locator("#transfer-live-start").click()
    page.locator("#transfer-live .stage").wait_for()
    page.locator("#transfer-target").get_by_role("button", name="Remove").click()
    page.locator("#transfer-live .message", has_text="Please add your photo first.").wait_for()
    page.locator("#transfer-target .examples button").nth(1).click()
    result.wait_for_change()
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


@pytest.fixture(scope="module")
def clip(webcam) -> list[Image.Image]:
    """The frames that the webcam shows."""
    jpegs = webcam.read_bytes().split(b"\xff\xd8\xff")[1:]
    return [opened(b"\xff\xd8\xff" + jpeg) for jpeg in jpegs]


def check_live_edit(page, clip):
    """The canvas must show a frame of the clip whose face, and nothing else, is changed."""
    with live(page, "edit-live"):
        shown = picture_of(page, "#edit-live canvas")
        assert shown.size == clip[0].size
        # Chromium's webcam is up to 20 levels brighter than its file.
        assert min(difference(shown, frame, BESIDE_FACE) for frame in clip) < 25
        assert min(difference(shown, frame, FACE_BOX) for frame in clip) > 30


def test_editing(page, pipe, clip, tmp_path):
    open_tab(page, "Editing")
    page.locator("#edit-strip button").nth(5).wait_for()
    result, strip = Watched(page, f"#edit-result {AFTER}"), Watched(page, "#edit-strip img")
    page.locator("#edit-label").get_by_label("surprise").check()
    result.wait_for_change()
    strip.wait_for_change()
    surprised = result.content
    page.locator("#editing .map svg").press("Shift+ArrowRight")
    result.wait_for_change()
    strip.wait_for_change()
    assert page.locator("#edit-label input:checked").count() == 0
    said = page.locator("#editing .map-place").inner_text()  # to a screen reader
    assert said.removeprefix("The chosen place is nearest to ") in pipe.labels
    marks, moved = page.locator("#editing .map-marks"), result.content
    place = marks.inner_html()
    page.locator("#edit-strip button", has_text="1.5").click()
    result.wait_for_change()
    intensity = page.locator("#editing").get_by_label("Intensity, number")
    assert intensity.input_value() == "1.5"
    page.locator("#edit-undo").click()
    result.wait_for(moved)
    assert intensity.input_value() == "1"
    page.locator("#edit-undo").click()
    result.wait_for(surprised)
    assert page.locator("#edit-label input:checked").get_attribute("value") == "surprise"
    page.wait_for_function("place => document.querySelector('#editing .map-marks').innerHTML !== place", arg=place)
    page.locator("#editing .map svg").press("Shift+ArrowRight")
    result.wait_for(moved)
    page.wait_for_function("place => document.querySelector('#editing .map-marks').innerHTML === place", arg=place)
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
    page.locator("#edit-mark").uncheck()
    result.wait_for_change()
    plain = download(page, "edit", tmp_path / "plain.png")
    left, top, right, bottom = ImageChops.difference(
        *(Image.open(path).convert("RGB") for path in (saved, plain))
    ).getbbox()
    assert left > 320 and top > 560 and right > 600 and bottom > 600  # the mark lies in the corner
    page.locator("#editing summary", has_text="Or by expression photo").click()
    page.locator("#edit-example .examples button").first.click()
    result.wait_for_change()
    check_live_edit(page, clip)


def test_sliders_and_presets(page, clip, tmp_path):
    open_tab(page, "Editing")
    page.locator("#edit-strip button").nth(5).wait_for()
    result = Watched(page, f"#edit-result {AFTER}")
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
    for preset, values in (
        ({"NEUTRAL": 0.5, "eyeBlink": 1, "gazeRight": 10}, {"eyeBlinkLeft": 1, "eyeBlinkRight": 1, "gazeX": -10}),
        # as `pipe.blendshapes` reads them
        ({"jawOpen": 0.5, "eyeLookInLeft": 0.3, "gazeX": 20, "gazeY": 0}, {"jawOpen": 0.5, "gazeX": 20}),
    ):
        (tmp_path / "other.json").write_text(json.dumps(preset))
        page.set_input_files("#edit-load-preset", tmp_path / "other.json")
        result.wait_for_change()
        for name, value in values.items():
            page.wait_for_function(f"+document.querySelector('#blendshape-{name}').value === {value}")
    for text, message in {
        "[1]": "must be a JSON file", '{"jawopn": 1}': "“jawopn”, which this model does not know",
        '{"eyeLookInLeft": 0.3}': "“eyeLookInLeft”, which this model does not know",
        '{"jawOpen": 3}': "jawOpen must be a number from 0 to 1.2",
        '{"eyeBlink": 1, "eyeBlinkLeft": 0}': "eyeBlinkLeft twice",
        '{"neutral": 0.7, "anger": 0.7}': "must not exceed 1 together",
    }.items():  # fmt: skip
        (tmp_path / "bad.json").write_text(text)
        page.set_input_files("#edit-load-preset", tmp_path / "bad.json")
        single.locator("p[role=alert]", has_text=message).wait_for()
    check_live_edit(page, clip)


def test_recognition(page, pipe, couple):
    open_tab(page, "Recognition")
    assert "does not say what a person feels" in " ".join(page.locator("#recognition").inner_text().split())
    choose(page, "fer-photo", couple)
    tables = page.locator("#fer-answer table")
    tables.nth(3).wait_for()  # scores and blendshapes of two people
    assert page.locator("#fer-answer caption").nth(1).inner_text().startswith("Face 2: ")
    assert "face 2: " in page.locator("#recognition canvas").first.get_attribute("aria-label")
    assert page.locator("#recognition .map-own").count() == 2
    with live(page, "fer-live"):
        scores = page.locator("#fer-live-answer .scores").first.locator("tr")
        assert sorted(scores.locator("th").all_inner_texts()) == sorted(pipe.labels)
        shares = [float(text.removesuffix(" %")) for text in scores.locator("td:last-child").all_inner_texts()]
        assert sum(shares) == pytest.approx(100, abs=4)
    page.locator("#fer-photo .examples button").first.click()
    page.wait_for_function("document.querySelectorAll('#fer-answer table').length === 2")


def call_or_message(page, file: bytes) -> str | None:
    """The message of a photo that is not recognised."""
    try:
        call_with(page, file, "recognize", "FILE", "your photo")
    except Error as error:
        return str(error).split("\n")[0].removeprefix("Page.evaluate: Error: ")
    return None


def test_awkward_files_give_a_sentence(page, tmp_path):
    open_tab(page, "Recognition")
    wrong = []
    for path, expected in write_awkward_inputs(tmp_path).items():
        answer = call_or_message(page, path.read_bytes())
        readable = expected == FACE and not path.name.endswith(UNREADABLE)
        as_expected = (answer is None) == readable or (expected != FACE and path.name in SHOW_A_FACE)
        is_sentence = answer is None or (answer.startswith("your photo: ") and answer.endswith("."))
        if not (as_expected and is_sentence):
            wrong.append((path.name, answer))
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
    assert page.locator("#about").is_visible() and "org/faces" in page.locator("#facts").inner_text()
