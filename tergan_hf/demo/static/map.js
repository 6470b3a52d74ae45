// Training photos on the plane of f(e). If the map is pickable, a press, a drag or the arrow keys choose a point.
const NAMESPACE = "http://www.w3.org/2000/svg";
const SIDE = 400;
const MARGIN = 22;
const plot = element.querySelector("svg");
const marks = plot.querySelector(".map-marks");
let range = null;
let chosen = null;
let drawnPhotos = "";
let timer = 0;

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

// A name is written at its point, or a little off it if another name is in the way.
const OFFSETS = [[0, 0], [0, -16], [0, 16], [34, -8], [-34, -8], [34, 12], [-34, 12], [0, -32], [0, 32], [0, -48], [0, 48]];
const placeName = (point, text, taken) => {
  const half = 4 * text.length;
  const boxes = OFFSETS.map(([right, down]) => {
    const x = Math.min(Math.max(point[0] + right, half + 2), SIDE - half - 2);
    const y = Math.min(Math.max(point[1] + down, 14), SIDE - 6);
    return { x, y, left: x - half, right: x + half, top: y - 12, bottom: y + 3 };
  });
  const clear = (box) =>
    !taken.some((other) => box.left < other.right && other.left < box.right && box.top < other.bottom && other.top < box.bottom);
  const box = boxes.find(clear) || boxes[0];
  taken.push(box);
  return { x: box.x, y: box.y, "text-anchor": "middle" };
};

let groups = [];
let groupNames = [];
const drawPhotos = (photos) => {
  const key = JSON.stringify(photos);
  if (key === drawnPhotos) return;
  drawnPhotos = key;
  ({ range, groups } = photos);
  const dots = plot.querySelector(".map-dots");
  dots.replaceChildren();
  const names = plot.querySelector(".map-names");
  names.replaceChildren();
  groupNames = [];
  photos.groups.forEach((group, index) => {
    for (const point of group.points) {
      const [cx, cy] = toPlot(point);
      dots.append(make("circle", { cx, cy, r: 4, class: "map-dot colour-" + index }));
    }
    const name = make("text", placeName(toPlot(group.centre), "● " + group.name, groupNames));
    name.append(make("tspan", { class: "colour-" + index }, "● "), group.name);
    names.append(name);
  });
};

const drawMarks = (value) => {
  marks.replaceChildren();
  const points = (value.marks || []).map((mark) => toPlot(mark.point));
  const taken = [...groupNames, ...points.map(([x, y]) => ({ left: x - 8, right: x + 8, top: y - 8, bottom: y + 8 }))];
  for (const mark of value.marks || []) {
    const [x, y] = toPlot(mark.point);
    marks.append(make("circle", { cx: x, cy: y, r: 8, class: "map-own" }));
    const position = placeName([x, y - 12], mark.name, taken);
    marks.append(make("text", { ...position, class: "map-own-name" }, mark.name));
  }
  if (chosen) {
    const [x, y] = toPlot(chosen);
    marks.append(make("circle", { cx: x, cy: y, r: 10, class: "map-chosen" }));
    marks.append(make("circle", { cx: x, cy: y, r: 2.5, class: "map-chosen-centre" }));
  }
};

const show = () => {
  const value = props.value || {};
  // Marks without photos belong to the map that is already drawn.
  const known = value.photos || (range && value.marks);
  element.querySelector(".map").hidden = !known;
  if (!known) return;
  if (value.photos) drawPhotos(value.photos);
  if (!dragging && !isKeyHeld) chosen = value.chosen || null;
  drawMarks(value);
};

// A screen reader does not see where the arrow keys have led.
const sayPlace = () => {
  const distance = ({ centre }) => Math.hypot(centre[0] - chosen[0], centre[1] - chosen[1]);
  const [nearest] = [...groups].sort((one, other) => distance(one) - distance(other));
  element.querySelector(".map-place").textContent = nearest ? "The chosen place is nearest to " + nearest.name : "";
};

const choose = (point, settled) => {
  chosen = [
    Math.min(Math.max(point[0], range[0]), range[2]),
    Math.min(Math.max(point[1], range[1]), range[3]),
  ];
  drawMarks(props.value || {});
  if (settled) sayPlace();
  // A drag asks the server at most ten times a second.
  clearTimeout(timer);
  const send = () => {
    lastSent = Date.now();
    trigger(settled ? "select" : "input", { x: chosen[0], y: chosen[1] });
  };
  if (settled || Date.now() - lastSent > 100) send();
  else timer = setTimeout(send, 100);
};
let lastSent = 0;
let dragging = false;
let isKeyHeld = false;
const pointOf = (event) => {
  const box = plot.getBoundingClientRect();
  return toMap([((event.clientX - box.left) / box.width) * SIDE, ((event.clientY - box.top) / box.height) * SIDE]);
};
if (props.pickable) {
  plot.addEventListener("pointerdown", (event) => {
    dragging = true;
    plot.setPointerCapture(event.pointerId);
    choose(pointOf(event), false);
  });
  plot.addEventListener("pointermove", (event) => dragging && choose(pointOf(event), false));
  plot.addEventListener("pointerup", (event) => {
    if (!dragging) return;
    dragging = false;
    choose(pointOf(event), true);
  });
  plot.addEventListener("pointercancel", () => (dragging = false));
  plot.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const step = steps[event.key];
    if (!step || !range) return;
    event.preventDefault();
    const from = chosen || [(range[0] + range[2]) / 2, (range[1] + range[3]) / 2];
    const size = (event.shiftKey ? 0.1 : 0.03) * (range[2] - range[0]);
    isKeyHeld = true; // and repeats
    choose([from[0] + step[0] * size, from[1] + step[1] * size], false);
  });
  for (const end of ["keyup", "blur"]) {
    plot.addEventListener(end, () => {
      if (!isKeyHeld) return;
      isKeyHeld = false;
      choose(chosen, true);
    });
  }
}
watch("value", show);
show();
