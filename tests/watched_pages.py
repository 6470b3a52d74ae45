"""Pages of which it is recorded what they ask of other machines, and what fails in them."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page

from .browser import DESKTOP, PATIENCE
from .controls import watch_controls


@contextmanager
def watched_pages(browser: Browser, address: str) -> Iterator[Callable[..., Page]]:
    """
    Yields a function that makes a page in a context of its own; it takes settings of the context, and `excused`.

    In the end no request may have gone to another address, no script may have failed, and the console may show no
    error, except those that the pattern `excused` matches in its text or address.
    """
    contexts, foreign, failures = [], [], []

    def new_page(viewport=DESKTOP, excused: str = "", **settings) -> Page:
        def record(failure: str):
            if not (excused and re.search(excused, failure)):
                failures.append(failure)

        def record_line(line):
            if line.type == "error":
                record(f"{line.text} at {line.location['url']}")

        def record_request(request):
            if not request.url.startswith((address, "data:", "blob:")):
                foreign.append(request.url)

        contexts.append(browser.new_context(viewport=viewport, **settings))
        page = contexts[-1].new_page()
        watch_controls(page)
        page.set_default_timeout(PATIENCE)
        page.on("request", record_request)
        page.on("pageerror", lambda error: record(str(error)))
        page.on("console", record_line)
        return page

    yield new_page
    for context in contexts:
        for page in context.pages:
            print(page.url, *page.evaluate("window.lastEvents ?? []"), sep="\n")  # pytest shows it if a test fails
        context.close()
    assert foreign == []
    assert failures == []
