// Sliders in groups that fold. The values of all moved sliders are sent together, so that none is lost.
const root = element.querySelector(".sliders");
const rows = new Map();
let moved = {};
let moving = null;
let drawn = "";
let lastSent = 0;
let timer = 0;

const make = (tag, attributes, ...children) => {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
};

const mark = () => {
  for (const [name, row] of rows) row.line.classList.toggle("is-set", name in moved);
  for (const group of root.querySelectorAll("details")) {
    const count = group.querySelectorAll(".is-set").length;
    group.querySelector(".slider-count").textContent = count ? `${count} set` : "";
  }
};
const write = (row, value) => {
  row.input.value = value;
  const shown = row.unit ? Math.round(value) + row.unit : Number(value).toFixed(2);
  row.output.textContent = shown.replace("-", "−");
  row.input.setAttribute("aria-valuetext", row.output.textContent);
};

// While a slider moves, the server is asked at most ten times a second.
const send = (settled) => {
  clearTimeout(timer);
  const now = () => {
    lastSent = Date.now();
    trigger(settled ? "select" : "input", { values: moved });
  };
  if (settled || Date.now() - lastSent > 100) now();
  else timer = setTimeout(now, 100);
};

const build = (groups) => {
  const open = [...root.querySelectorAll("details[open]")].map((group) => group.dataset.name);
  rows.clear();
  root.replaceChildren(
    ...groups.map((part, index) => {
      const lines = part.sliders.map((slider) => {
        const [min, max, step] = slider.range;
        const id = "blendshape-" + slider.name;
        const input = make("input", { type: "range", min, max, step, id });
        const output = make("output", { for: id });
        const line = make("div", { class: "slider-line" }, make("label", { for: id }, slider.label), output, input);
        const row = { line, input, output, unit: slider.unit };
        rows.set(slider.name, row);
        const take = (settled) => {
          moving = settled ? null : slider.name;
          moved[slider.name] = Number(input.value);
          write(row, input.value);
          mark();
          send(settled);
        };
        input.addEventListener("input", () => take(false));
        // A key that is held repeats, with a change each time.
        let held = false;
        input.addEventListener("keydown", (event) => (held = event.repeat));
        input.addEventListener("keyup", () => {
          held = false;
          if (moving === slider.name) take(true);
        });
        input.addEventListener("change", () => take(!held));
        // Firefox reports no change if a slider was moved to and fro.
        input.addEventListener("blur", () => moving === slider.name && take(true));
        return line;
      });
      const summary = make("summary", {}, part.name + " ", make("span", { class: "slider-count" }));
      const group = make("details", { "data-name": part.name }, summary, make("div", { class: "slider-grid" }, ...lines));
      group.open = drawn ? open.includes(part.name) : index === 0;
      return group;
    }),
  );
};

const show = () => {
  const value = props.value || {};
  const groups = value.groups || [];
  root.hidden = groups.length === 0;
  if (root.hidden) return;
  const names = JSON.stringify(groups);
  if (names !== drawn) build(groups);
  drawn = names;
  // What the visitor moves at this moment is newer than what the server knows.
  const kept = moving && moving in moved ? { [moving]: moved[moving] } : {};
  moved = { ...value.moved, ...kept };
  for (const [name, row] of rows) {
    if (name !== moving) write(row, moved[name] ?? value.start[name]);
  }
  mark();
};
watch("value", show);
show();
