"""Visitors who use a keyboard, bad files, a phone or a program, or who come at the same time."""

from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from tergan_hf.model.provenance_tergan import is_marked_synthetic

from ..awkward_inputs import FACE, LABEL, write_awkward_clips, write_awkward_inputs
from ..browser import PHONE
from ..conftest import EXAMPLES, NEUTRAL, SMILING
from .page_actions import WatchedPicture, open_tab, press_slider, save_screenshot, upload


def test_the_keyboard_is_enough(visit):
    page = visit()
    page.get_by_role("tab", name="Transfer", exact=True).focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    result = WatchedPicture(page, "#edit-result .compare-after")
    focused = "document.activeElement.innerText"
    first = page.locator("#edit-strip button").first
    first.focus()
    page.keyboard.press("Enter")
    result.wait_for_change()
    page.locator("#edit-strip button[aria-pressed=true]", has_text="−1").wait_for()
    page.wait_for_function(f"{focused} === '−1'")
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "−0.5"


def test_bad_input_is_a_message(visit, tmp_path):
    page = visit()
    Image.new("RGB", (300, 300), "white").save(tmp_path / "wall.png")
    (tmp_path / "notes.jpg").write_text("this is no picture")
    hours = next(path for path in write_awkward_clips(tmp_path) if "three hours" in path.name)
    open_tab(page, "FER")
    upload(page, "fer-image", str(tmp_path / "wall.png"))
    page.locator("#fer-picture", has_text="no face was found").wait_for()
    save_screenshot(page, "no_face")
    upload(page, "fer-image", str(tmp_path / "notes.jpg"))
    page.locator("#fer-picture", has_text="not an image file").wait_for()
    open_tab(page, "Video")
    page.locator("#fer-run-clip").click()
    page.get_by_text("Please add a clip first").first.wait_for()
    upload(page, "fer-clip", str(hours))
    page.locator("#fer-clip video").wait_for()
    page.locator("#fer-run-clip").click()
    page.locator("#fer-summary", has_text="180 minutes long").wait_for()
    content = page.content()
    assert str(tmp_path) not in content and "detect=False" not in content and "Traceback" not in content
    open_tab(page, "Transfer")
    page.locator("#transfer-target").get_by_label("Remove Image").click()
    page.get_by_text("Add your photo and a photo that shows an expression").wait_for()
    page.locator("#transfer-download").click()
    page.get_by_text("Please add the photo to change first").first.wait_for()


def test_a_file_over_the_limit_is_refused(visit, tmp_path):
    # Gradio does not upload such a file, but asks for the progress of its upload.
    page = visit(excused="^Response$")
    (tmp_path / "large.bmp").write_bytes(b"BM" + bytes(21_000_000))
    upload(page, "transfer-target", str(tmp_path / "large.bmp"))
    page.get_by_text("exceed the maximum allowed size").first.wait_for()


def test_awkward_files_through_the_server(url, tmp_path):
    """Send every third awkward file through the web server, as a program does."""
    client = Client(url, verbose=False)
    wrong = []
    for path, expected in list(write_awkward_inputs(tmp_path).items())[::3]:
        try:
            found = client.predict(handle_file(str(path)), api_name="/recognize")
            right = expected == FACE and all(max(face["scores"], key=face["scores"].get) == LABEL for face in found)
            wrong += [] if found and right else [(path.name, found)]
        except AppError as error:
            message = str(error)
            technical = any(word in message for word in ("Traceback", "Error", "/tmp", "on our side", str(tmp_path)))
            if technical or expected == FACE:
                wrong.append((path.name, message))
    assert wrong == []


def test_the_page_fits_a_phone(visit):
    page = visit(PHONE, "dark")
    assert page.locator("#transfer-result .compare-stage").bounding_box()["y"] < PHONE["height"]
    for name in ("Transfer", "Editing", "FER", "About"):
        open_tab(page, name)
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], name
        save_screenshot(page, f"phone_{name.lower()}")


def test_visitors_do_not_see_each_other(visit):
    pages = [visit(), visit()]
    results = [WatchedPicture(page, "#transfer-result .compare-before") for page in pages]
    for page, photo in zip(pages, ("london_036_neutral.jpg", "london_136_neutral.jpg")):
        upload(page, "transfer-target", str(EXAMPLES / photo))
    for result in results:
        result.wait_for_change()
    assert results[0].seen != results[1].seen
    for page, result in zip(pages, results):
        after = WatchedPicture(page, "#transfer-result .compare-after")
        press_slider(page, "transfer-intensity", "Home")
        after.wait_for_change()
        # At intensity 0 the result is the photo itself, apart from the mark.
        assert result.source() == result.seen


def test_use_by_api(url, tmp_path):
    client = Client(url, download_files=str(tmp_path), verbose=False)
    made = client.predict(handle_file(SMILING), handle_file(NEUTRAL), 1.0, False, api_name="/transfer")
    assert Image.open(made).size == (640, 640) and is_marked_synthetic(made)
    made = client.predict(handle_file(NEUTRAL), "anger", 0.8, True, api_name="/edit")
    assert is_marked_synthetic(made)
    faces = client.predict(handle_file(SMILING), api_name="/recognize")
    assert max(faces[0]["scores"], key=faces[0]["scores"].get) == "happiness"
