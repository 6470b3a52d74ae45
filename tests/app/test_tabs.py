"""Every control of every tab, on a desktop and on a phone."""

import csv
import re

import av
from PIL import Image

from tergan_hf.model.provenance_tergan import NOTICE, is_marked_synthetic

from ..conftest import ROOT, SMILING, WEIGHTS
from ..controls import unused_controls
from .page_actions import (
    WatchedPicture,
    download,
    open_tab,
    press_slider,
    save_screenshot,
    upload,
    use_clip_input,
    use_photo_input,
    wait_for_value,
)


def test_transfer_tab(page, couple, tmp_path):
    page.get_by_text(re.compile("Everything this page makes is")).first.wait_for()
    save_screenshot(page, "transfer_first")
    result = WatchedPicture(page, "#transfer-result .compare-after")
    use_photo_input(page, "transfer-source", SMILING, result)
    use_photo_input(page, "transfer-target", couple, result)
    faces = page.locator("#transfer-target-faces button")
    faces.nth(1).wait_for()
    assert faces.nth(0).get_attribute("aria-pressed") == "true"
    faces.nth(1).click()
    result.wait_for_change()
    save_screenshot(page, "transfer_two_faces")
    photo = page.locator("#transfer-target .image-frame img")
    box = photo.bounding_box()
    photo.click(position={"x": 0.7 * box["width"], "y": 0.5 * box["height"]})
    result.wait_for_change()
    page.locator("#transfer-target-faces button[aria-pressed=true] >> text=Face 1").wait_for()
    press_slider(page, "transfer-intensity", "Home")
    result.wait_for_change()
    page.locator("#transfer-intensity input[type=number]").fill("1.3")
    result.wait_for_change()
    page.locator("#transfer-result input[type=range]").press("End")
    assert page.locator("#transfer-mark input").is_checked()
    page.locator("#transfer-mark input").uncheck()
    result.wait_for_change()
    page.locator("#transfer-all button", has_text="surprise").click()
    result.wait_for_change()
    save_screenshot(page, "transfer")
    page.locator("#transfer-kind").get_by_text("JPEG").click()
    saved = download(page, "transfer-download", tmp_path / "result.jpg")
    assert Image.open(saved).size == (1100, 700) and is_marked_synthetic(saved)
    page.locator("#transfer-swap").click()
    result.wait_for_change()
    page.locator("#transfer-people button").nth(1).click()
    result.wait_for_change()
    page.locator("#transfer-expressions button", has_text="anger").click()
    result.wait_for_change()
    page.locator("#transfer-animate > button").click()
    use_clip_input(page, "transfer-clip")
    page.locator("#transfer-example-clip").click()
    page.locator("#transfer-relative").get_by_label("Only changes").check()
    page.locator("#transfer-run-clip").click()
    page.locator("#transfer-video video").wait_for()
    save_screenshot(page, "transfer_video")
    with page.expect_download() as coming:
        page.locator("#transfer-video").get_by_label("Download").click()
    coming.value.save_as(tmp_path / "moving.mp4")
    with av.open(str(tmp_path / "moving.mp4")) as made:
        assert made.metadata["comment"] == NOTICE
    upload(page, "transfer-source", couple)
    result.wait_for_change()
    page.locator("#transfer-source-faces button").nth(1).click()
    result.wait_for_change()
    assert unused_controls(page) == []


def test_editing_tab(page, couple, tmp_path):
    open_tab(page, "Editing")
    result = WatchedPicture(page, "#edit-result .compare-after")
    strip, number = page.locator("#edit-strip button"), page.locator("#edit-intensity input[type=number]")
    page.locator("#edit-label").get_by_label("surprise").check()
    result.wait_for_change()
    strip.filter(has_text="1.5").click()
    result.wait_for_change()
    assert number.input_value() == "1.5"
    page.locator("#edit-undo").click()  # before the strip is drawn
    result.wait_for_change()
    wait_for_value(page, "edit-intensity", "1")
    page.locator("#edit-strip button[aria-pressed=true]", has_text=re.compile("^1$")).wait_for()
    press_slider(page, "edit-intensity", "Home")
    page.locator("#edit-strip button[aria-pressed=true]", has_text="−1").wait_for()
    result.wait_for_change()
    number.fill("0.5")
    result.wait_for_change()
    plot = page.locator("#edit-map svg")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.3 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.7 * box["height"], steps=4)
    page.mouse.up()
    result.wait_for_change()
    assert page.locator("#edit-label input:checked").count() == 0
    plot.press("Shift+ArrowRight")
    result.wait_for_change()
    page.get_by_text("Brows, eyes and mouth separately").click()
    for part in ("brows", "eyes", "mouth"):
        press_slider(page, f"edit-{part}", "Home")
        wait_for_value(page, f"edit-{part}", "0")
        page.locator(f"#edit-{part} input[type=number]").fill("0.5")
        wait_for_value(page, f"edit-{part}", "0.5")
    result.wait_for_change()
    page.locator("#edit-result input[type=range]").press("End")
    page.locator("#edit-mark input").uncheck()
    result.wait_for_change()
    save_screenshot(page, "editing")
    page.locator("#edit-kind").get_by_text("JPEG").click()
    saved = download(page, "edit-download", tmp_path / "result.jpg")
    assert Image.open(saved).size == (640, 640) and is_marked_synthetic(saved)
    page.locator("#edit-label").get_by_label("surprise").check()
    result.wait_for_change()
    page.get_by_text("Or by expression photo").click()
    page.locator("#edit-expressions button").first.click()
    result.wait_for_change()
    page.locator("#edit-label input:checked").wait_for(state="detached")
    use_photo_input(page, "edit-example", couple, result)
    page.locator("#edit-example-faces button").nth(1).click()
    result.wait_for_change()
    page.locator("#edit-people button").first.click()
    result.wait_for_change()
    use_photo_input(page, "edit-image", couple, result)
    page.locator("#edit-faces button").nth(1).click()
    result.wait_for_change()
    # test_blendshape_sliders.py opens the single movements.
    assert [name for name in unused_controls(page) if not name.startswith("edit-single")] == []


def test_fer_tab(page, couple):
    open_tab(page, "FER")
    open_tab(page, "Photo")
    page.get_by_text("does not say what a person").wait_for()
    use_photo_input(page, "fer-image", couple, WatchedPicture(page, "#fer-picture img"))
    tables = page.locator("#fer-answer [role=status] table")
    tables.nth(1).wait_for()
    assert [tables.nth(at).locator("tr").count() for at in (0, 1)] == [7, 7]
    assert page.locator("#fer-answer .blendshapes table").count() == 2
    assert "happiness" in tables.nth(0).locator("caption").inner_text()
    assert page.locator("#fer-map .map-own").count() == 2
    assert "face 2" in page.locator("#fer-picture img").get_attribute("alt")
    save_screenshot(page, "fer")
    page.locator("#fer-examples button").last.click()
    tables.nth(1).wait_for(state="detached")
    open_tab(page, "Webcam")
    open_tab(page, "Video")
    open_tab(page, "Photo")
    assert unused_controls(page) == []


def test_fer_of_a_webcam(page):
    open_tab(page, "FER")
    for name in ("Video", "Photo", "Webcam"):
        open_tab(page, name)
    page.locator("#fer-webcam").get_by_text("Click to Access Webcam").click()
    page.locator("#fer-webcam .button-wrap button").first.click()
    page.locator("#fer-live-answer caption", has_text="happiness").wait_for()
    assert page.locator("#fer-live-map .map-own").count() == 1
    save_screenshot(page, "fer_webcam")
    page.locator("#fer-webcam .button-wrap button").first.click()
    assert unused_controls(page) == []


def test_fer_of_a_clip(page, tmp_path):
    open_tab(page, "FER")
    for name in ("Photo", "Webcam", "Video"):
        open_tab(page, name)
    use_clip_input(page, "fer-clip")
    page.locator("#fer-example-clip").click()
    page.wait_for_function("document.querySelector('#fer-clip video')?.src.includes('avatar_clip')")
    page.locator("#fer-run-clip").click()
    page.locator("#fer-summary", has_text="48 frames").wait_for()
    page.locator("#fer-plot canvas, #fer-plot svg.marks").first.wait_for()
    rows = list(csv.DictReader(download(page, "fer-csv", tmp_path / "timeline.csv").open()))
    assert len(rows) == 48 and len({row["expression"] for row in rows}) > 1
    save_screenshot(page, "fer_video")
    assert unused_controls(page) == []


def test_about_tab(page):
    open_tab(page, "About")
    page.locator("#model-card").get_by_text("Training data").first.wait_for()  # the card appears after the tab
    assert "Training data" in page.locator("#model-card").inner_text()
    name = page.locator("#model textarea, #model input")
    name.fill("nobody/nothing")
    page.locator("#model-load").click()
    page.get_by_text("The model nobody/nothing cannot be reached").first.wait_for()
    name.fill(WEIGHTS.name)
    name.press("Enter")
    page.get_by_text(f"This page now uses {WEIGHTS.name}").wait_for()
    assert str(ROOT) not in page.content()
    for place in (page.locator("#model-card"), page):
        place.locator(".copy_code_button").first.click()
    assert unused_controls(page) == []
