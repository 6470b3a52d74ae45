// Gradio fires a slider's `release` for the pointer only. This sends it for the keyboard, too.
() => {
  const moving = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown"];
  document.addEventListener("keyup", (event) => {
    const kind = event.target.type;
    if ((kind === "range" && moving.includes(event.key)) || (kind === "number" && event.key === "Enter")) {
      event.target.dispatchEvent(new PointerEvent("pointerup", { bubbles: true }));
    }
  });
}
