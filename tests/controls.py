"""Record which controls of the page a test uses, so that a test can check that it has used all of them."""

from playwright.sync_api import Page


# Leaves out the buttons of Gradio's player, and the hidden copies of the tabs that Gradio measures their width with.
WATCH = """
(() => {
  const CONTROLS = "button:not([tabindex='-1']), input:not([type=file]), textarea, select, [tabindex='0']";
  const used = new Set();
  const PLAYER = "[data-testid$='-player'] .controls, .wrap > .controls";
  // All pictures of a row share a name, and all choices of a radio group: using one is enough.
  const nameOf = (control) => {
    const home = control.closest("[id^=transfer-], [id^=edit-], [id^=fer-], [id^=model]");
    const shared = control.closest(".picture-row") ? "a picture" : control.type === "radio" ? "a choice" : "";
    const own = control.getAttribute("aria-label") || control.title || control.innerText?.trim();
    return (home ? home.id : "page") + ": " + (shared || own || control.type || control.tagName);
  };
  for (const kind of ["click", "input", "keydown", "pointerdown"]) {
    document.addEventListener(kind, (event) => {
      const control = event.target.closest?.(CONTROLS);
      if (control) used.add(nameOf(control));
    }, true);
  }
  window.lastEvents = [];
  for (const kind of ["keydown", "input", "focusin", "focusout", "click"]) {
    document.addEventListener(kind, (event) => {
      const { target, key } = event;
      const place = target.closest?.("[id]")?.id;
      const shown = [Math.round(performance.now()), kind, place, target.type ?? target.nodeName, target.value, key];
      lastEvents.push(shown.join(" "));
      if (lastEvents.length > 30) lastEvents.shift();
    }, true);
  }
  window.unusedControls = () => {
    const panels = [...document.querySelectorAll("[role=tabpanel]")].filter((panel) => panel.checkVisibility());
    const seen = panels.flatMap((panel) => [...panel.querySelectorAll(CONTROLS)])
      .filter((control) => control.checkVisibility() && !control.closest(PLAYER));
    return [...new Set(seen.map(nameOf))].filter((name) => !used.has(name));
  };
})();
"""


def watch_controls(page: Page):
    """Start recording. Call it before the page is opened."""
    page.add_init_script(WATCH)


def unused_controls(page: Page) -> list[str]:
    """Names of the visible controls of the open tab that no test has used since the page was opened."""
    return sorted(page.evaluate("unusedControls()"))
