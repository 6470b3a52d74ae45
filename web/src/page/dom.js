// Small helpers for elements, pictures and the app's views.

/** Make an element: attributes by name, `on…` listeners, then children. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true || value === false) element.toggleAttribute(name, value);
    else if (value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

let ids = 0;
export const newId = (name) => `${name}-${++ids}`;

/** Addresses of pictures, of which the last one per place is kept alive. */
export class Addresses {
  constructor() {
    this.known = new Map();
  }

  of(place, blob) {
    const last = this.known.get(place);
    const address = URL.createObjectURL(blob);
    this.known.set(place, address);
    // The page may still show the last one for a moment.
    if (last) setTimeout(() => URL.revokeObjectURL(last), 5000);
    return address;
  }
}

/**
 * Start one of the app's views in an element.
 *
 * @param view module of src/views/. settings: its properties. onEvent: (event, detail) of the view.
 * @returns a function that shows a value.
 */
export function startView(view, element, settings = {}, onEvent = () => {}) {
  const properties = { ...settings };
  let redraw = () => {};
  element.innerHTML = view.markup;
  view.start(element, properties, (_, show) => (redraw = show), onEvent);
  return (value) => {
    properties.value = value;
    redraw();
  };
}

/** A message under a control. Errors are read out at once. */
export class Message {
  constructor() {
    this.element = make("p", { class: "message", role: "status" });
  }

  show(text, isError = false) {
    this.element.classList.toggle("is-error", isError);
    this.element.setAttribute("role", isError ? "alert" : "status");
    this.element.textContent = text;
  }
}

/** A slider with its number. `onInput` gets the value while it moves. */
export function makeSlider({ name, low, high, step = 0.05, value = 1, help, onInput }) {
  const id = newId("slider");
  const described = help && { "aria-describedby": `${id}-help` };
  const range = make("input", { type: "range", id, min: low, max: high, step, value, ...described });
  const number = make("input", { type: "number", min: low, max: high, step, value, "aria-label": `${name}, number` });
  const set = (wanted) => {
    range.value = wanted;
    number.value = Math.round(Number(range.value) * 1000) / 1000;
  };
  range.addEventListener("input", () => (set(range.value), onInput(Number(range.value))));
  number.addEventListener(
    "change",
    () => (set(Number.isFinite(number.valueAsNumber) ? number.value : range.value), onInput(Number(range.value))),
  );
  const head = make("div", { class: "slider-head" }, make("label", { for: id }, name), number);
  const element = make(
    "div",
    { class: "slider" },
    head,
    ...(help ? [make("small", { id: `${id}-help` }, help)] : []),
    range,
  );
  return { element, set, get: () => Number(range.value) };
}
