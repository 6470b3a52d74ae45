// Recognition: the expression of every face of a photo, and of the webcam.

import { make } from "./dom.js";
import { LivePanel } from "./live-panel.js";
import { makeMap } from "./map-view.js";
import { PhotoInput } from "./photo-input.js";

const [MOST_BLENDSHAPES, LEAST] = [12, 0.05];
const PROMPT = "Add a photo: the faces appear here.";
const percent = (share) => `${Math.round(100 * share)} %`;

function barRow(name, share, isBest) {
  const bar = make("i", { style: `width:${(100 * share).toFixed(1)}%` });
  return make(
    "tr",
    isBest ? { class: "is-best" } : {},
    make("th", { scope: "row" }, name),
    make("td", {}, make("span", { class: "bar", "aria-hidden": "true" }, bar)),
    make("td", {}, percent(share)),
  );
}

const bestOf = (scores) => Object.entries(scores).sort((one, other) => other[1] - one[1])[0];

function scoreTable(face, number) {
  const [best] = bestOf(face.scores);
  const rows = Object.entries(face.scores)
    .sort()
    .map(([label, score]) => barRow(label, score, label === best));
  return make(
    "table",
    {},
    make("caption", {}, `${number ? `Face ${number}: ` : ""}${best}`),
    make("tbody", {}, ...rows),
  );
}

function blendshapeTable({ blendshapes }, number) {
  const { gazeX, gazeY, ...weights } = blendshapes;
  const strongest = Object.entries(weights)
    .filter(([, value]) => value >= LEAST)
    .sort((one, other) => other[1] - one[1])
    .slice(0, MOST_BLENDSHAPES);
  const turns = [
    [gazeX, "right", "left"],
    [gazeY, "up", "down"],
  ].filter(([angle]) => Math.round(angle ?? 0));
  const gaze =
    turns.map(([angle, above, below]) => `${Math.abs(Math.round(angle))}° ${angle > 0 ? above : below}`).join(", ") ||
    "straight ahead";
  const title = `${number ? `Face ${number}, ` : ""}${strongest.length ? "strongest blendshapes" : "no strong blendshapes"}${gazeX === undefined ? "" : `, gaze ${gaze}`}`;
  return make(
    "table",
    {},
    make("caption", {}, title[0].toUpperCase() + title.slice(1)),
    make("tbody", {}, ...strongest.map(([name, value]) => barRow(name, value))),
  );
}

export class RecognitionView {
  constructor(engine, panel, facts, { everything }) {
    Object.assign(this, { engine, facts });
    this.photo = new PhotoInput(
      engine,
      {
        id: "fer-photo",
        label: "Your photo",
        slot: null,
        method: "recognize",
        examples: { title: "Examples", items: everything },
      },
      (_, found) => this.open(found),
      () => this.clear(),
    );
    this.map = makeMap(false);
    this.canvas = make("canvas", { role: "img", hidden: true, "aria-label": "Your photo with boxes" });
    this.message = make("p", { class: "view-message", role: "status" }, PROMPT);
    this.answer = make("div", { class: "answer", id: "fer-answer" });
    this.liveAnswer = make("div", { class: "answer", id: "fer-live-answer" });
    this.live = new LivePanel(engine, {
      id: "fer-live",
      title: "Live: your webcam",
      text: "Each picture is discarded after recognition.",
      provenance: facts.provenance,
      request: () => ({ kind: "recognize" }),
      show: ({ read }) => this.showScores(this.liveAnswer, read ? [read] : [], false),
    });
    this.live.element.append(this.liveAnswer);
    panel.append(
      make(
        "div",
        { class: "columns" },
        make("div", {}, this.photo.element, ...(facts.map ? [make("div", { class: "card" }, this.map.element)] : [])),
        make(
          "div",
          { class: "result-column" },
          make("div", { class: "card picture" }, this.message, this.canvas, this.answer),
        ),
      ),
      this.live.element,
    );
    if (facts.map) this.map.show({ photos: facts.map });
  }

  stopWebcams() {
    this.live.stop();
    this.photo.stopWebcam();
  }

  async open(found) {
    const bitmap = await createImageBitmap(found.before);
    if (found === this.photo.opened) this.show(found, bitmap); // the visitor may have removed it meanwhile
    bitmap.close();
  }

  show(found, bitmap) {
    const { faces } = found;
    this.message.hidden = true;
    this.drawBoxes(found, bitmap);
    this.showScores(this.answer, faces, true);
    if (this.facts.map) {
      const marks = faces.map(({ place }, k) => ({
        name: faces.length > 1 ? `face ${k + 1}` : "your photo",
        point: place,
      }));
      this.map.show({ photos: this.facts.map, marks });
    }
  }

  clear() {
    this.message.hidden = false;
    this.canvas.hidden = true;
    this.answer.replaceChildren();
    if (this.facts.map) this.map.show({ photos: this.facts.map });
  }

  drawBoxes({ faces, width, height }, bitmap) {
    const { canvas } = this;
    [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
    canvas.hidden = false;
    const context = canvas.getContext("2d");
    context.drawImage(bitmap, 0, 0);
    const size = Math.max(13, Math.round(0.028 * Math.max(bitmap.width, bitmap.height)));
    context.font = `${size}px system-ui, sans-serif`;
    context.textBaseline = "middle";
    const names = faces.map(({ box, scores }, k) => {
      const [left, top, right, bottom] = box.map(
        (value, side) => value * (side % 2 ? bitmap.height / height : bitmap.width / width),
      );
      const [label, score] = bestOf(scores);
      for (const [colour, line] of [
        ["#fff", size / 4 + 2],
        ["#4f46e5", size / 4],
      ]) {
        Object.assign(context, { strokeStyle: colour, lineWidth: line });
        context.strokeRect(left, top, right - left, bottom - top);
      }
      const text = `${faces.length > 1 ? `${k + 1}  ` : ""}${label} ${percent(score)}`;
      const wide = context.measureText(text).width + size;
      const x = Math.min(Math.max(0, left), Math.max(0, bitmap.width - wide));
      const y = top > 1.6 * size ? top - 1.6 * size : Math.min(bottom, bitmap.height - 1.6 * size);
      context.fillStyle = "#4f46e5";
      context.fillRect(x, y, wide, 1.6 * size);
      context.fillStyle = "#fff";
      context.fillText(text, x + size / 2, y + 0.8 * size);
      return `face ${k + 1}: ${label}`;
    });
    canvas.setAttribute("aria-label", `Your photo with boxes. ${names.join(", ")}`);
  }

  showScores(place, faces, announce) {
    const number = (k) => (faces.length > 1 ? k + 1 : 0);
    const scores = make(
      "div",
      { class: "scores", ...(announce ? { role: "status" } : {}) },
      ...faces.map((face, k) => scoreTable(face, number(k))),
    );
    const read = faces.filter(({ blendshapes }) => blendshapes);
    const moves = read.length
      ? [make("div", { class: "scores blendshapes" }, ...read.map((face, k) => blendshapeTable(face, number(k))))]
      : [];
    place.replaceChildren(...(faces.length ? [scores, ...moves] : []));
  }
}
