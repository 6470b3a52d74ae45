"""Clicks while something else is under way: the newest wish counts, and the page shows what its engine has."""

import shutil
from contextlib import contextmanager
from pathlib import Path

from ..conftest import NEUTRAL, SMILING
from .conftest import WEB
from .visitor import (
    AFTER,
    Watched,
    choose,
    difference,
    live,
    open_tab,
    picture_of,
)


EVERYTHING = (0, 0, 1, 1)  # the box of a whole picture
# The engine's answers to a method wait for `window.release()`.
HOLD = """(method) => {
  const { engine } = window.tergan;
  window.release = null;
  engine.call = async (name, ...values) => {
    try {
      return await engine.send(name, values, []);
    } finally {
      if (name === method) await new Promise((release) => (window.release = release));
    }
  };
}"""
RELEASE = "() => { delete window.tergan.engine.call; window.release(); }"
# The next call of a function of the window waits for `window.release()`.
HOLD_NEXT = """(name) => {
  const original = window[name];
  window.release = null;
  window[name] = async (...values) => {
    window[name] = original;
    await new Promise((release) => (window.release = release));
    return (window.late = await original(...values));
  };
}"""


@contextmanager
def held(page, method: str):
    """Hold back the answers to a method of the engine."""
    page.evaluate(HOLD, method)
    yield
    page.wait_for_function("Boolean(window.release)")
    page.evaluate(RELEASE)


@contextmanager
def held_next(page, function: str):
    """Hold back the next call of a function of the window, and wait a moment for what follows from it."""
    page.evaluate(HOLD_NEXT, function)
    yield
    page.wait_for_function("Boolean(window.release)")
    page.evaluate("window.late = null; window.release()")
    page.wait_for_function("Boolean(window.late)")
    page.wait_for_timeout(300)


def start_webcam(page, element: str):
    page.locator(f"#{element}").get_by_role("button", name="Webcam").click()
    page.wait_for_function("id => document.querySelector(`#${id} video`).currentTime > 0", arg=element)


def shown(page, element: str) -> list[str]:
    """What the frame of a photo input shows."""
    frame = page.locator(f"#{element} .photo-frame")
    return [kind for kind in ("img", "video", "span") if frame.locator(kind).is_visible()]


def test_an_example_that_comes_late_does_not_replace_a_photo(visit):
    page = visit()
    page.evaluate("""() => {
      const load = window.fetch;
      window.fetch = async (...request) => {
        await new Promise((resolve) => setTimeout(resolve, 1000));
        window.late = true;
        return load(...request);
      };
    }""")
    result = Watched(page, f"#transfer-result {AFTER}")
    page.locator("#transfer-target .examples button").nth(1).click()
    page.locator("#transfer-target input[type=file]").set_input_files(SMILING)
    result.wait_for_change()
    page.wait_for_function("Boolean(window.late)")
    page.wait_for_timeout(500)
    assert page.evaluate("window.tergan.views.transfer.target.current.name") == Path(SMILING).name


def test_a_photo_that_opens_is_neither_swapped_nor_given_a_face_of_the_one_before(visit, couple):
    page = visit()
    result = Watched(page, f"#transfer-result {AFTER}")
    choose(page, "transfer-target", couple)
    result.wait_for_change()
    page.evaluate("""() => {
      const { engine } = window.tergan;
      const call = engine.call.bind(engine);
      engine.call = async (method, ...values) => {
        const answer = await call(method, ...values);
        if (method === "openPhoto") await new Promise((resolve) => setTimeout(resolve, 1000));
        return answer;
      };
    }""")
    choose(page, "transfer-target", SMILING)
    page.locator("#transfer-target .message", has_text="Looking for faces").wait_for()
    page.locator("#transfer-target .faces button").nth(1).click()
    page.locator("#transfer-swap").click()
    result.wait_for_change()
    page.wait_for_timeout(500)
    assert page.evaluate("window.tergan.views.transfer.target.current.name") == Path(SMILING).name
    assert page.locator("#transfer-target .faces button").count() == 0


def test_a_label_chosen_while_an_example_opens_stays(page):
    open_tab(page, "Editing")
    page.locator("#edit-strip button").nth(5).wait_for()
    example = page.locator("#edit-example")
    if not example.is_visible():
        page.locator("#editing summary", has_text="Or by expression photo").click()
    with held(page, "embeddingOf"):
        example.locator(".examples button").nth(0).click()
        page.wait_for_function("Boolean(window.release)")
        page.locator("#edit-label").get_by_label("anger").check()
    page.wait_for_timeout(300)
    assert page.evaluate("window.tergan.views.editing.wanted") == {"label": "anger"}
    assert page.locator("#edit-label input:checked").get_attribute("value") == "anger"
    # Of two examples, the second one counts, though the first one made a choice meanwhile.
    with held_next(page, "fetch"):
        example.locator(".examples button").nth(2).click()
        page.evaluate("async () => { await window.tergan.views.editing.chooseExample(); }")
        first = page.evaluate("[...window.tergan.views.editing.wanted.embedding]")
    page.wait_for_function(
        "first => String([...window.tergan.views.editing.wanted.embedding]) !== String(first)", arg=first
    )


def test_the_webcam_stays_when_a_photo_opens_or_fails(page):
    open_tab(page, "Transfer")
    target = page.locator("#transfer-target")
    cancel = target.get_by_role("button", name="Cancel")
    with held_next(page, "fetch"):
        target.locator(".examples button").nth(1).click()
        start_webcam(page, "transfer-target")
    assert shown(page, "transfer-target") == ["video"]
    cancel.click()
    assert shown(page, "transfer-target") == ["img"]
    for path, message, afterwards in ((SMILING, "", "img"), (WEB / "package.json", "cannot read", "span")):
        with held(page, "openPhoto"):
            choose(page, "transfer-target", path)
            page.wait_for_function("Boolean(window.release)")
            start_webcam(page, "transfer-target")
        target.locator(".message", has_not_text="Looking").wait_for(state="attached")
        assert message in target.locator(".message").inner_text()
        assert shown(page, "transfer-target") == ["video"]
        cancel.click()
        assert shown(page, "transfer-target") == [afterwards]


def test_clicks_during_a_swap_do_not_part_page_and_engine(page, couple):
    open_tab(page, "Transfer")
    choose(page, "transfer-target", couple)
    page.locator("#transfer-target .faces button").nth(1).wait_for()
    with held(page, "swapPhotos"):
        page.locator("#transfer-swap").click()
        page.wait_for_function("Boolean(window.release)")
        open_tab(page, "Editing")  # stops the webcams
        open_tab(page, "Transfer")
        page.locator("#transfer-target .faces button").nth(1).click()
        for element in ("transfer-target", "transfer-source"):
            assert page.locator(f"#{element}").get_by_role("button", name="Remove").is_disabled()
    page.locator("#transfer-source .faces button").nth(1).wait_for()
    assert page.evaluate("window.tergan.views.transfer.source.current.name") == couple.name
    assert page.locator("#transfer-target .message").inner_text() == ""
    assert page.locator("#transfer-target").get_by_role("button", name="Remove").is_enabled()
    page.locator("#transfer-source .faces button").nth(1).click()
    page.locator("#transfer-source .faces button[aria-pressed=true]", has_text="Face 2").wait_for()


def test_a_removed_photo_is_not_drawn_late(page):
    open_tab(page, "Recognition")
    with held_next(page, "createImageBitmap"):
        choose(page, "fer-photo", SMILING)
        page.wait_for_function("Boolean(window.release)")
        page.locator("#fer-photo").get_by_role("button", name="Remove").click()
    assert page.locator("#recognition .view-message").is_visible()
    assert not page.locator("#recognition canvas").first.is_visible()
    assert page.evaluate("window.late.width") == 0  # closed


def test_live_mode_closes_its_frames(page):
    open_tab(page, "Recognition")
    page.evaluate("""() => {
      const original = window.createImageBitmap;
      window.bitmaps = [];
      window.createImageBitmap = async (...values) => {
        const bitmap = await original(...values);
        window.bitmaps.push(bitmap);
        return bitmap;
      };
      window.restore = () => (window.createImageBitmap = original);
    }""")
    with live(page, "fer-live"):
        assert page.evaluate("window.bitmaps.length") > 1
    page.wait_for_function("window.bitmaps.every(({ width }) => width === 0)")
    page.evaluate("() => { window.restore(); }")


def test_live_mode_shows_a_new_photo_before_it_sees_a_face(page):
    open_tab(page, "Transfer")
    choose(page, "transfer-target", NEUTRAL)
    page.locator("#transfer-target .message", has_not_text="Looking").wait_for(state="attached")
    page.evaluate("""() => {
      const { engine } = window.tergan;
      const { send } = Object.getPrototypeOf(engine);
      engine.send = (method, ...values) => (method === "liveFrame" ? {} : send.call(engine, method, ...values));
    }""")
    if page.locator("#transfer-live").get_attribute("open") is None:
        page.locator("#transfer-live > summary").click()
    page.locator("#transfer-live-start").click()
    page.locator("#transfer-live .message", has_text="No face is seen").wait_for()
    page.evaluate("window.before = window.tergan.views.transfer.target.bitmap")
    choose(page, "transfer-target", SMILING)
    page.wait_for_function("window.before.width === 0")  # closed
    page.wait_for_function("window.tergan.views.transfer.target.bitmap === window.tergan.views.transfer.live.drawn")
    pictures = [picture_of(page, f"#transfer-{part}") for part in ("live canvas", "target .photo-frame img")]
    assert difference(*pictures, EVERYTHING) < 1
    page.locator("#transfer-live-start").click()
    page.evaluate("delete window.tergan.engine.send")


def test_a_file_may_be_deleted_while_its_photo_is_open(page, couple, tmp_path):
    open_tab(page, "Transfer")
    path = shutil.copy(couple, tmp_path)
    choose(page, "transfer-target", path)
    faces = page.locator("#transfer-target .faces button")
    faces.nth(1).wait_for()
    Path(path).unlink()
    faces.nth(1).click()
    page.locator("#transfer-target .faces button[aria-pressed=true]", has_text="Face 2").wait_for()
    with page.expect_download():
        page.locator("#transfer-download").click()
