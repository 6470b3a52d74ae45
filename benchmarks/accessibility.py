"""Axe's automated accessibility check of every tab, at a desk's and a phone's width, in light and in dark.

`npm install axe-core`, then `python benchmarks/accessibility.py --axe node_modules/axe-core/axe.min.js` starts the app
and prints what axe finds, with the elements. Elements that Gradio draws itself are told apart by the class names that
its build makes.
"""

import argparse
import re
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from page import BROWSERS
from playwright.sync_api import sync_playwright
from visitors import App


TABS = ("Transfer", "Editing", "FER", "About")
WIDTHS = {"desk": (1280, 900), "phone": (360, 740)}
THEMES = ("light", "dark")
OF_GRADIO = re.compile(r"svelte-")
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--axe", required=True, help="axe.min.js of the npm package axe-core")
    parser.add_argument("--browser", default=next((path for path in BROWSERS if Path(path).exists()), None))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, App(Path(folder)) as app, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=options.browser, args=["--no-sandbox"])
        found = check(chromium, app.url, Path(options.axe).read_text())
        chromium.close()
    for (impact, rule, meaning), elements in sorted(found.items(), key=str):
        print(f"{impact}: {rule}: {meaning}")
        for element, seen in elements.items():
            owner = "Gradio's" if OF_GRADIO.search(element) else "ours"
            print(f"    {owner}, {len(seen)} of {len(TABS) * len(WIDTHS) * len(THEMES)} views: {element[:160]}")
    print(f"{sum(len(elements) for elements in found.values())} elements, {len(found)} rules")
    own = [one for elements in found.values() for one in elements if not OF_GRADIO.search(one)]
    sys.exit(1 if own else 0)


def check(chromium, url: str, axe: str) -> dict[tuple, dict[str, set]]:
    """(impact, rule, meaning) → element → the views it was found in."""
    found: dict[tuple, dict[str, set]] = defaultdict(lambda: defaultdict(set))
    for theme in THEMES:
        for width, (across, down) in WIDTHS.items():
            page = chromium.new_page(viewport={"width": across, "height": down}, bypass_csp=True)
            page.set_default_timeout(120_000)
            page.goto(f"{url}/?__theme={theme}")
            page.locator("#transfer-result .compare-after[src]").wait_for()
            page.evaluate(axe)
            for tab in TABS:
                page.get_by_role("tab", name=tab, exact=True).click()
                page.wait_for_timeout(2000)
                for violation in page.evaluate("rules => axe.run(document, rules)", RULES)["violations"]:
                    rule = (violation["impact"], violation["id"], violation["help"])
                    for node in violation["nodes"]:
                        found[rule][re.sub(r"\s+", " ", node["html"])].add((tab, width, theme))
            page.close()
    return found


if __name__ == "__main__":
    main()
