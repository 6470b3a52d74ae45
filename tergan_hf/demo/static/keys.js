// A slider moved by keys is let go like one moved by the mouse: Gradio knows `release` by the pointer only.
() => {
  const moving = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown"];
  document.addEventListener("keyup", (event) => {
    const kind = event.target.type;
    if ((kind === "range" && moving.includes(event.key)) || (kind === "number" && event.key === "Enter")) {
      event.target.dispatchEvent(new PointerEvent("pointerup", { bubbles: true }));
    }
  });
}
