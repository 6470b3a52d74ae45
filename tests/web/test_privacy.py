"""Nothing leaves the page, it works offline, and a new build replaces an old one."""

import re
import shutil
import time

from ..browser import PATIENCE
from ..conftest import ROOT, SMILING
from .conftest import READY, WEB, address_of
from .visitor import AFTER, Watched


CONTROLLED = "navigator.serviceWorker.controller"
SEND = "address => fetch(address, { mode: 'no-cors' }).then(() => 'sent', () => 'refused')"


def test_nothing_leaves_the_page_and_it_works_offline(visit):
    page = visit()
    page.wait_for_function(CONTROLLED)
    page.locator("#transfer-all button").nth(5).wait_for()  # the examples are loaded
    requests = []
    page.context.on("request", lambda request: requests.append(request.url))
    result = Watched(page, f"#transfer-result {AFTER}")
    page.locator("#transfer-target input[type=file]").set_input_files(SMILING)
    result.wait_for_change()
    with page.expect_download():
        page.locator("#transfer-download").click()
    assert [address for address in requests if not address.startswith("blob:")] == []
    page.context.set_offline(True)
    page.reload()
    page.wait_for_function(READY, timeout=PATIENCE)
    result = Watched(page, f"#transfer-result {AFTER}")
    page.locator("#transfer-target .examples button").nth(2).click()
    result.wait_for_change()


def test_page_and_worker_cannot_send_to_another_host(chromium, url, serve, tmp_path):
    other, heard = serve(tmp_path), []
    other.verify_request = lambda request, sender: heard.append(sender) is None
    context = chromium.new_context()
    free, page = context.new_page(), context.new_page()
    free.goto(f"{url}build.json")  # of the same host, without the page's policy
    assert free.evaluate(SEND, address_of(other)) == "sent" and heard
    heard.clear()
    page.goto(f"{url}?backend=wasm")
    page.locator("html[data-ready]").wait_for(state="attached", timeout=PATIENCE)  # the model loads under the policy
    for place in (page, page.workers[0]):
        assert place.evaluate("typeof document") == ("object" if place is page else "undefined")
        assert place.evaluate(SEND, address_of(other)) == "refused"
    assert heard == []
    context.close()


WAITING = """async () => {
  const worker = await navigator.serviceWorker.ready;
  await worker.update();
  return Boolean(worker.waiting);
}"""


def wait_for(page, condition: str):
    """Wait until an asynchronous function is true. To `wait_for_function` its promise is true at once."""
    end = time.monotonic() + PATIENCE / 1000
    while not page.evaluate(condition):
        assert time.monotonic() < end, f"{condition} did not become true"
        page.wait_for_timeout(300)


def test_a_new_build_replaces_the_old_one_and_keeps_the_model(chromium, build, serve, tmp_path, monkeypatch):
    changed = tmp_path / "copy" / "web"
    shutil.copytree(WEB, changed, ignore=shutil.ignore_patterns("node_modules"))
    for link, target in (
        ("web/node_modules", WEB / "node_modules"),
        ("tergan_hf", ROOT / "tergan_hf"),
        ("assets", ROOT / "assets"),
    ):
        (tmp_path / "copy" / link).symlink_to(target)
    text = (changed / "index.html").read_text()
    (changed / "index.html").write_text(text.replace("<title>", "<title>Renewed "))
    server, asked = serve(build(tmp_path / "site")), []
    note = lambda handler, *line: asked.append(handler.path)  # noqa: E731
    monkeypatch.setattr(server.RequestHandlerClass.func, "log_message", note)
    context = chromium.new_context(bypass_csp=True)

    def visit():
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(f"{address_of(server)}?backend=wasm")
        page.wait_for_function(READY)
        page.wait_for_function(CONTROLLED)
        return page

    visit().close()
    assert "/model/decoder.onnx" in asked
    build(tmp_path / "site", changed)
    asked.clear()
    page = visit()
    wait_for(page, WAITING)
    assert "Renewed" not in page.title()  # a page never mixes two builds
    page.close()
    context.new_page().wait_for_timeout(1000)  # the browser needs a moment to see that no page is left
    page = visit()
    assert page.title().startswith("Renewed")
    assert [path for path in asked if path.endswith((".onnx", ".wasm", ".safetensors"))] == []
    context.set_offline(True)
    page.reload()
    page.wait_for_function(READY)
    assert page.title().startswith("Renewed") and page.locator("#failure").inner_text() == ""
    # Another model: what is loaded on demand has another cache.
    context.set_offline(False)
    for name in ("build.json", "service-worker.js"):
        text = (tmp_path / "site" / name).read_text()
        (tmp_path / "site" / name).write_text(re.sub(r"(ter-gan-(large|page)-)\w{4}", r"\1ffff", text))
    wait_for(page, WAITING)
    page.close()
    context.new_page().wait_for_timeout(1000)
    context.set_offline(True)
    page = visit()
    assert page.locator("#failure").inner_text() == ""
    wait_for(page, "async () => (await caches.keys()).every((name) => name.includes('-ffff'))")
    page.close()
    assert visit().locator("#failure").inner_text() == ""
    context.close()
