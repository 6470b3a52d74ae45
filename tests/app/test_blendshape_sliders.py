"""The sliders of single blendshapes, with a small random model that can set them."""

import json
import re

import pytest

from ..conftest import NEUTRAL, SMILING
from ..tiny_models import save_pipeline
from .conftest import serve_app
from .page_actions import WatchedPicture, download, open_tab, save_screenshot, upload


@pytest.fixture(scope="module")
def url(settable_pipeline, tmp_path_factory):
    folder = save_pipeline(settable_pipeline, tmp_path_factory.mktemp("settable"))
    with serve_app(tmp_path_factory.mktemp("settable-files"), TERGAN_MODEL=str(folder)) as address:
        yield address


def slider(page, name: str):
    return page.locator(f"#blendshape-{name}")


def wait_for_slider(page, name: str, test: str):
    """Wait until a JavaScript condition on a slider's `value` holds."""
    page.wait_for_function(f"(() => {{ const value = +document.querySelector('#blendshape-{name}').value; "
                           f"return {test}; }})()")  # fmt: skip


def load_preset(page, path):
    with page.expect_file_chooser() as choosing:
        page.locator("#edit-load-preset").click()
    choosing.value.set_files(path)


def test_sliders_set_what_the_photo_shows(page, tmp_path):
    open_tab(page, "Editing")
    result = WatchedPicture(page, "#edit-result .compare-after")
    upload(page, "edit-image", NEUTRAL)
    result.wait_for_change()
    page.get_by_text("Single movements (blendshapes)").click()
    for region in ("Brows", "Eyes", "Gaze", "Mouth", "Jaw", "Cheeks & nose"):
        summary = page.locator("#edit-sliders summary", has_text=re.compile(f"^{region}"))
        if summary.evaluate("summary => !summary.parentElement.open"):
            summary.click()
    slider(page, "noseSneerRight").scroll_into_view_if_needed()
    picture = page.locator("#edit-result .compare-after").bounding_box()
    assert picture["y"] > -5 and picture["y"] + picture["height"] < page.viewport_size["height"]
    started = {name: float(slider(page, name).input_value()) for name in ("jawOpen", "gazeX", "mouthSmileLeft")}
    assert 0 < started["jawOpen"] < 1.2
    slider(page, "jawOpen").press("End")
    result.wait_for_change()
    assert page.locator("#edit-label input:checked").count() == 0
    page.locator("#edit-sliders summary", has_text="1 set").wait_for()
    slider(page, "gazeX").fill("20")
    result.wait_for_change()
    slider(page, "mouthSmileLeft").hover()  # the result covers the page's top
    box = slider(page, "mouthSmileLeft").bounding_box()
    page.mouse.down()
    page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 0.5 * box["height"], steps=4)
    page.mouse.up()
    result.wait_for_change()
    save_screenshot(page, "sliders")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    before = slider(page, "noseSneerLeft").input_value()
    page.locator("#edit-from-neutral input").check()
    wait_for_slider(page, "noseSneerLeft", f"Math.abs(value - {before}) > 0.001")
    wait_for_slider(page, "jawOpen", "value === 1.2")
    page.wait_for_timeout(500)
    saved = json.loads(download(page, "edit-save-preset", tmp_path / "preset.json").read_text())
    assert saved["neutral"] == 1 and saved["jawOpen"] == 1.2 and saved["gazeX"] == 20
    assert 0.9 < saved["mouthSmileLeft"] < 1.2 and len(saved) == 4
    page.locator("#edit-reset").click()
    wait_for_slider(page, "jawOpen", f"Math.abs(value - {started['jawOpen']}) < 0.011")
    assert not page.locator("#edit-from-neutral input").is_checked()
    (tmp_path / "other.json").write_text(json.dumps({"neutral": 1, "eyeBlink": 1, "gazeLeft": 10}))
    load_preset(page, tmp_path / "other.json")
    wait_for_slider(page, "eyeBlinkRight", "value === 1")
    wait_for_slider(page, "gazeX", "value === 10")
    page.locator("#edit-from-neutral input:checked").wait_for()
    result.seen = result.source()
    upload(page, "edit-image", SMILING)  # what is set stays set on another photo
    result.wait_for_change()
    wait_for_slider(page, "eyeBlinkRight", "value === 1")
    page.locator("#edit-label").get_by_label("anger").check()
    wait_for_slider(page, "eyeBlinkRight", "value < 1")
    page.locator("#edit-undo").click()
    wait_for_slider(page, "eyeBlinkRight", "value === 1")
    (tmp_path / "bad.json").write_text('{"jawOpne": 1}')
    load_preset(page, tmp_path / "bad.json")
    page.get_by_text("Did you mean jawOpen").wait_for()
