"""Changes that follow each other faster than the server answers."""

import pytest

from .page_actions import WatchedPicture, open_tab, wait_for_value


LATENCY = 300  # milliseconds


@pytest.fixture
def slow_page(visit):
    """The Editing tab over a slow connection."""
    page = visit()
    open_tab(page, "Editing")
    page.locator("#edit-map svg").wait_for()
    connection = page.context.new_cdp_session(page)
    settings = {"offline": False, "latency": LATENCY, "downloadThroughput": -1, "uploadThroughput": -1}
    connection.send("Network.emulateNetworkConditions", settings)
    return page


def test_the_last_key_on_the_map_counts(slow_page):
    plot, chosen = slow_page.locator("#edit-map svg"), slow_page.locator("#edit-map .map-chosen")
    result = WatchedPicture(slow_page, "#edit-result .compare-after")
    plot.press("ArrowLeft")
    result.wait_for_change()
    start = float(chosen.get_attribute("cx"))
    for _ in range(4):
        plot.press("Shift+ArrowRight")
    expected = float(chosen.get_attribute("cx"))
    assert expected > start + 100
    slow_page.wait_for_function(
        """([drawn, expected]) => {
          const now = document.querySelector("#edit-map .map-chosen");
          return !drawn.isConnected && Math.abs(now.getAttribute("cx") - expected) < 1;
        }""",
        arg=[chosen.element_handle(), expected],  # the server's answer draws the mark anew
    )


def test_the_last_picture_clicked_counts(slow_page):
    strip = slow_page.locator("#edit-strip button")
    for place in (0, 1, 5):
        strip.nth(place).click()
    wait_for_value(slow_page, "edit-intensity", "1.5")
    slow_page.get_by_alt_text("intensity 1.5").wait_for()
