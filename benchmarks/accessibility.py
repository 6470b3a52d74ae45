"""Check the accessibility of every tab with axe, on a desktop and on a phone, in light and in dark mode.

`npm install axe-core`, then `python benchmarks/accessibility.py --axe node_modules/axe-core/axe.min.js` starts the app
and prints the violations with their elements. Class names of Gradio's build distinguish Gradio's own elements from
ours. The exit status is 1 if any of ours violates a rule.
"""

import argparse
import re
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from page import find_browser
from playwright.sync_api import sync_playwright
from visitors import App


TABS = ("Transfer", "Editing", "FER", "About")
SIZES = {"desktop": (1280, 900), "phone": (360, 740)}
THEMES = ("light", "dark")
GRADIO_ELEMENT = re.compile(r"svelte-")
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--axe", required=True, help="axe.min.js of the npm package axe-core")
    options = parser.parse_args()
    browser = find_browser()
    with tempfile.TemporaryDirectory() as folder, App(Path(folder)) as app, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        found = check(chromium, app.url, Path(options.axe).read_text())
        chromium.close()
    views = len(TABS) * len(SIZES) * len(THEMES)
    for (impact, rule, meaning), elements in sorted(found.items(), key=str):
        print(f"{impact}: {rule}: {meaning}")
        for element, seen in elements.items():
            owner = "Gradio's" if GRADIO_ELEMENT.search(element) else "ours"
            print(f"    {owner}, {len(seen)} of {views} views: {element[:160]}")
    print(f"{sum(len(elements) for elements in found.values())} elements, {len(found)} rules")
    own = [one for elements in found.values() for one in elements if not GRADIO_ELEMENT.search(one)]
    sys.exit(1 if own else 0)


def check(chromium, url: str, axe: str) -> dict[tuple, dict[str, set]]:
    """Violations: (impact, rule, meaning) → element → views (tab, size, theme)."""
    found: dict[tuple, dict[str, set]] = defaultdict(lambda: defaultdict(set))
    for theme in THEMES:
        for size, (width, height) in SIZES.items():
            page = chromium.new_page(viewport={"width": width, "height": height}, bypass_csp=True)
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
                        found[rule][re.sub(r"\s+", " ", node["html"])].add((tab, size, theme))
            page.close()
    return found


if __name__ == "__main__":
    main()
