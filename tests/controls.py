"""Which controls of the page a test has used: none may be forgotten."""

from playwright.sync_api import Page


# Not the buttons of Gradio's player, and not its hidden copies of the tabs, by which it measures their width.
WATCH = """
(() => {
  const CONTROLS = "button:not([tabindex='-1']), input:not([type=file]), textarea, select, [tabindex='0']";
  const used = new Set();
  // Of a row of pictures, or of choices, any one will do.
  const PLAYER = "[data-testid$='-player'] .controls, .wrap > .controls";
  const nameOf = (control) => {
    const home = control.closest("[id^=transfer-], [id^=edit-], [id^=fer-], [id^=model]");
    const alike = control.closest(".picture-row") ? "a picture" : control.type === "radio" ? "a choice" : "";
    const own = control.getAttribute("aria-label") || control.title || control.innerText?.trim();
    return (home ? home.id : "page") + ": " + (alike || own || control.type || control.tagName);
  };
  for (const kind of ["click", "input", "keydown", "pointerdown"]) {
    document.addEventListener(kind, (event) => {
      const control = event.target.closest?.(CONTROLS);
      if (control) used.add(nameOf(control));
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
    """Call it before the page is opened."""
    page.add_init_script(WATCH)


def unused_controls(page: Page) -> list[str]:
    """Names of the controls that can be seen in the open tab and have not been used since the page was opened."""
    return sorted(page.evaluate("unusedControls()"))
