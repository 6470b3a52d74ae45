// Training photos on the plane of f(e). Where it may be used, a press, a drag or the arrow keys pick a place.
const NAMESPACE = "http://www.w3.org/2000/svg";
const SIDE = 400;
const MARGIN = 22;
const plot = element.querySelector("svg");
const marks = plot.querySelector(".map-marks");
let range = null;
let chosen = null;
let drawn = "";
let waiting = 0;

const make = (name, attributes, text) => {
  const node = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
};
const toPlot = ([x, y]) => [
  MARGIN + ((x - range[0]) / (range[2] - range[0])) * (SIDE - 2 * MARGIN),
  MARGIN + ((range[3] - y) / (range[3] - range[1])) * (SIDE - 2 * MARGIN),
];
const toMap = ([x, y]) => [
  range[0] + ((x - MARGIN) / (SIDE - 2 * MARGIN)) * (range[2] - range[0]),
  range[3] - ((y - MARGIN) / (SIDE - 2 * MARGIN)) * (range[3] - range[1]),
];

// Where a name can be read: at its place, or a little off it where another name is in the way.
const OFFSETS = [[0, 0], [0, -16], [0, 16], [34, -8], [-34, -8], [34, 12], [-34, 12], [0, -32], [0, 32], [0, -48], [0, 48]];
const nameAt = (place, text, taken) => {
  const half = 4 * text.length;
  const boxes = OFFSETS.map(([right, down]) => {
    const x = Math.min(Math.max(place[0] + right, half + 2), SIDE - half - 2);
    const y = Math.min(Math.max(place[1] + down, 14), SIDE - 6);
    return { x, y, left: x - half, right: x + half, top: y - 12, bottom: y + 3 };
  });
  const clear = (box) =>
    !taken.some((other) => box.left < other.right && other.left < box.right && box.top < other.bottom && other.top < box.bottom);
  const box = boxes.find(clear) || boxes[0];
  taken.push(box);
  return { x: box.x, y: box.y, "text-anchor": "middle" };
};

let groupNames = [];
const drawPhotos = (points) => {
  const key = JSON.stringify(points);
  if (key === drawn) return;
  drawn = key;
  range = points.range;
  const dots = plot.querySelector(".map-dots");
  dots.replaceChildren();
  const names = plot.querySelector(".map-names");
  names.replaceChildren();
  groupNames = [];
  points.groups.forEach((group, index) => {
    for (const place of group.places) {
      const [cx, cy] = toPlot(place);
      dots.append(make("circle", { cx, cy, r: 4, class: "map-dot colour-" + index }));
    }
    const name = make("text", nameAt(toPlot(group.middle), "● " + group.name, groupNames));
    name.append(make("tspan", { class: "colour-" + index }, "● "), group.name);
    names.append(name);
  });
};

const drawMarks = (value) => {
  marks.replaceChildren();
  const places = (value.marks || []).map((mark) => toPlot(mark.place));
  const taken = [...groupNames, ...places.map(([x, y]) => ({ left: x - 8, right: x + 8, top: y - 8, bottom: y + 8 }))];
  for (const mark of value.marks || []) {
    const [x, y] = toPlot(mark.place);
    marks.append(make("circle", { cx: x, cy: y, r: 8, class: "map-own" }));
    const at = nameAt([x, y - 12], mark.name, taken);
    marks.append(make("text", { ...at, class: "map-own-name" }, mark.name));
  }
  if (chosen) {
    const [x, y] = toPlot(chosen);
    marks.append(make("circle", { cx: x, cy: y, r: 10, class: "map-chosen" }));
    marks.append(make("circle", { cx: x, cy: y, r: 2.5, class: "map-chosen-middle" }));
  }
};

const show = () => {
  const value = props.value || {};
  // Marks alone are for the map that is already drawn.
  const known = value.points || (range && value.marks);
  element.querySelector(".map").hidden = !known;
  if (!known) return;
  if (value.points) drawPhotos(value.points);
  if (!dragging) chosen = value.chosen || null;
  drawMarks(value);
};

const choose = (place, settled) => {
  chosen = [
    Math.min(Math.max(place[0], range[0]), range[2]),
    Math.min(Math.max(place[1], range[1]), range[3]),
  ];
  drawMarks(props.value || {});
  // Not every pixel of a drag: the server is asked ten times a second at most.
  clearTimeout(waiting);
  const tell = () => {
    lastTold = Date.now();
    trigger(settled ? "select" : "input", { x: chosen[0], y: chosen[1] });
  };
  if (settled || Date.now() - lastTold > 100) tell();
  else waiting = setTimeout(tell, 100);
};
let lastTold = 0;
let dragging = false;
const pointed = (event) => {
  const box = plot.getBoundingClientRect();
  return toMap([((event.clientX - box.left) / box.width) * SIDE, ((event.clientY - box.top) / box.height) * SIDE]);
};
if (props.pickable) {
  plot.addEventListener("pointerdown", (event) => {
    dragging = true;
    plot.setPointerCapture(event.pointerId);
    choose(pointed(event), false);
  });
  plot.addEventListener("pointermove", (event) => dragging && choose(pointed(event), false));
  plot.addEventListener("pointerup", (event) => {
    if (!dragging) return;
    dragging = false;
    choose(pointed(event), true);
  });
  plot.addEventListener("pointercancel", () => (dragging = false));
  plot.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const step = steps[event.key];
    if (!step || !range) return;
    event.preventDefault();
    const from = chosen || [(range[0] + range[2]) / 2, (range[1] + range[3]) / 2];
    const size = (event.shiftKey ? 0.1 : 0.03) * (range[2] - range[0]);
    choose([from[0] + step[0] * size, from[1] + step[1] * size], true);
  });
}
watch("value", show);
show();
