"""Measure how long a visitor waits for the page, the first result, and a redraw while a slider moves.

`python benchmarks/page.py` starts the app and visits it with Chromium.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright
from visitors import EXAMPLES, ROOT, App


sys.path.append(str(ROOT))
from tests.browser import find_browser


CHANGED = "([selector, seen]) => (document.querySelector(selector)?.src ?? seen) !== seen"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--redraws", type=int, default=20)
    options = parser.parse_args()
    browser = find_browser()
    with tempfile.TemporaryDirectory() as folder, App(Path(folder)) as app, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = visit_twice(chromium, app.url)
        seconds = seconds_to_change(page, lambda: upload(page, EXAMPLES / "london_036_neutral.jpg"))
        print(f"own photo uploaded, result: {seconds:.2f} s")
        slider = page.locator("#transfer-intensity input[type=range]")
        slider.focus()
        # Move to and fro. At the slider's end a step would draw the same picture again.
        keys = [("ArrowLeft", "ArrowRight")[number % 2] for number in range(options.redraws)]
        waits = [seconds_to_change(page, lambda key=key: slider.press(key)) for key in keys]
        print(f"slider moved, result: median {np.median(waits):.2f} s, slowest {max(waits):.2f} s")
        chromium.close()


def visit_twice(chromium: Browser, url: str) -> Page:
    """Print how long two visits of the same visitor wait, whose browser keeps what the first one loaded. Returns the
    page of the second."""
    context = chromium.new_context()
    for visit in ("first visit", "second visit"):
        page = context.new_page()
        page.set_default_timeout(120_000)
        started = time.perf_counter()
        page.goto(url)
        page.locator("#transfer-result .compare-after[src]").wait_for()
        print(f"{visit}: page with an example's result {time.perf_counter() - started:.2f} s")
        if visit == "first visit":
            page.close()
    return page


def upload(page: Page, photo: Path):
    page.locator("#transfer-target input[type=file]").first.set_input_files(photo)


def seconds_to_change(page: Page, act) -> float:
    """Seconds from an action to the next result."""
    selector = "#transfer-result .compare-after"
    seen = page.locator(selector).get_attribute("src")
    started = time.perf_counter()
    act()
    page.wait_for_function(CHANGED, arg=[selector, seen], polling=20)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
