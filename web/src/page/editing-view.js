// Editing: give a photo an expression by label, by example, by a place on the map, or by single blendshapes; also live.

import { BlendshapeSliders } from "./blendshape-sliders.js";
import { Closeups } from "./closeups.js";
import { make, makeSlider, newId } from "./dom.js";
import { LivePanel } from "./live-panel.js";
import { makeMap } from "./map-view.js";
import { PhotoInput } from "./photo-input.js";
import { ResultView } from "./result-view.js";

const [PHOTO, EXAMPLE] = ["edit-photo", "edit-example"];
const STRIP = [-1, -0.5, 0, 0.5, 1, 1.5];
const FIRST_LABEL = "happiness";
const MOST_STEPS = 30;
const PARTS = ["brows", "eyes", "mouth"];

export class EditingView {
  constructor(engine, panel, facts, { people, expressions }) {
    Object.assign(this, { engine, facts });
    this.steps = [];
    this.choices = 0; // made so far; an example that comes after a newer one is not applied
    this.wanted = { label: facts.labels.includes(FIRST_LABEL) ? FIRST_LABEL : facts.labels[0] };
    this.photo = new PhotoInput(
      engine,
      {
        id: PHOTO,
        label: "Your photo",
        slot: PHOTO,
        examples: { title: "Example people", items: people },
      },
      (_, opened) => this.openPhoto(opened),
      () => this.drawAll(),
    );
    this.example = new PhotoInput(
      engine,
      {
        id: EXAMPLE,
        label: "Expression photo",
        slot: EXAMPLE,
        examples: { title: "Example expressions", items: expressions },
        onStart: () => (this.choicesBefore = this.choices),
      },
      () => this.chooseExample(),
      () => {},
    );
    this.map = makeMap(true, (event, { x, y }) => this.choose({ point: [x, y] }, event === "select"));
    const redraw = () => this.settle(false);
    this.intensity = makeSlider({
      name: "Intensity",
      low: -1,
      high: 1.5,
      help: "0 changes nothing, above 1 exaggerates, below 0 goes the other way",
      onInput: redraw,
    });
    this.parts = Object.fromEntries(
      PARTS.map((part) => [
        part,
        makeSlider({ name: part[0].toUpperCase() + part.slice(1), low: 0, high: 1.5, onInput: redraw }),
      ]),
    );
    this.sliders = facts.canSet
      ? new BlendshapeSliders(facts.blendshapes, facts.labels, (set, settled) =>
          this.choose({ ...set, of: PHOTO }, settled),
        )
      : null;
    this.strip = new Closeups(
      engine,
      "From the opposite to the exaggerated expression: click one",
      (index) => (this.intensity.set(STRIP[index]), this.settle()),
      { id: "edit-strip", class: "card" },
    );
    this.result = new ResultView(engine, {
      id: "edit",
      prompt: "Add your photo: the result appears here.",
      fileName: () => this.photo.current?.name,
      request: () => this.request(),
    });
    this.live = this.makeLive();
    const parts = make(
      "details",
      { class: "card", id: "edit-parts" },
      make("summary", {}, "Brows, eyes and mouth separately"),
      ...PARTS.map((part) => this.parts[part].element),
    );
    const undo = make("button", { type: "button", id: "edit-undo", onclick: () => this.undo() }, "↶ Undo");
    const byExample = make(
      "details",
      { class: "card" },
      make("summary", {}, "Or by expression photo"),
      this.example.element,
    );
    panel.append(
      make(
        "div",
        { class: "columns" },
        make(
          "div",
          {},
          this.photo.element,
          ...(facts.map ? [make("div", { class: "card" }, this.map.element)] : []),
          byExample,
        ),
        make(
          "div",
          { class: "result-column" },
          this.result.element,
          this.makeLabels(),
          make("div", { class: "card" }, this.intensity.element, undo),
          this.strip.element,
          ...(this.sliders ? [this.sliders.element] : []),
          parts,
          this.result.row,
        ),
      ),
      this.live.element,
    );
    this.showMap();
  }

  makeLabels() {
    const group = newId("label");
    this.labels = this.facts.labels.map((label) =>
      make("input", {
        type: "radio",
        name: group,
        value: label,
        checked: label === this.wanted.label,
        onchange: () => this.choose({ label }),
      }),
    );
    const labels = this.labels.map((input) => make("label", { class: "check" }, input, input.value));
    return make(
      "div",
      { class: "card", id: "edit-label" },
      make("fieldset", { class: "choices" }, make("legend", {}, "Expression"), make("div", {}, ...labels)),
    );
  }

  makeLive() {
    return new LivePanel(this.engine, {
      id: "edit-live",
      title: "Live: edit your own face",
      text: "Your webcam shows your face with the expression chosen above.",
      provenance: this.facts.provenance,
      request: () => ({
        kind: "edit",
        expression: this.wanted,
        intensity: this.intensity.get(),
        parts: this.partValues(),
      }),
    });
  }

  /** Show an example's result, unless the visitor has added a photo. */
  async startOnce(people) {
    if (this.hasStarted || this.photo.opened) return;
    this.hasStarted = true;
    await this.photo.useAddress((people[1] ?? people[0]).address);
  }

  stopWebcams() {
    this.live.stop();
    for (const input of [this.photo, this.example]) input.stopWebcam();
  }

  async openPhoto(opened) {
    this.own = await this.engine.call("place", { slot: PHOTO });
    await this.drawAll(opened.before);
  }

  /** Take another expression. `settled`: not in the middle of a drag. */
  async choose(wanted, settled = true) {
    this.choices += 1;
    this.wanted = wanted;
    this.showLabel();
    await this.settle(settled);
  }

  /** Take the expression of the example photo, unless the visitor has chosen another one while it was opened. */
  async chooseExample() {
    const embedding = await this.engine.call("embeddingOf", EXAMPLE);
    if (this.choicesBefore !== this.choices) return;
    const chosen = this.choose({ embedding });
    this.choicesBefore = this.choices; // this choice is not to stop an example that is still on its way
    await chosen;
  }

  showLabel() {
    for (const input of this.labels) input.checked = input.value === this.wanted.label;
  }

  partValues() {
    return Object.fromEntries(PARTS.map((part) => [part, this.parts[part].get()]));
  }

  request() {
    if (!this.photo.opened) return null;
    const intensity = this.intensity.get();
    const name =
      this.wanted.label ??
      (this.wanted.point ? "a place on the map" : this.wanted.values ? "single movements" : "the expression photo");
    return {
      slot: PHOTO,
      expression: this.wanted,
      settings: { intensity, parts: this.partValues() },
      text: `${name}, intensity ${intensity}`,
    };
  }

  /** Draw what is set now. A choice is a step for "Undo"; while a slider moves, only where it rests is one. */
  async settle(settled = true) {
    clearTimeout(this.timer);
    if (settled) this.remember();
    await this.result.draw();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => (this.remember(), this.drawRest()), settled ? 0 : 400);
  }

  async drawAll(before) {
    this.remember();
    await this.result.draw(before);
    this.drawRest();
  }

  async drawRest() {
    await Promise.all([this.showMap(), this.showSliders()]);
    if (!this.photo.opened) return this.strip.clear();
    const wanted = STRIP.map((intensity) => ({
      expression: this.wanted,
      intensity,
      caption: String(intensity).replace("-", "−"),
    }));
    return this.strip.draw(PHOTO, wanted, () => STRIP.indexOf(this.intensity.get()));
  }

  async showMap() {
    if (!this.facts.map) return;
    const chosen =
      this.wanted.point ??
      (this.photo.opened || this.wanted.label
        ? await this.engine.latest("place", "place", this.wanted).catch(() => null)
        : null);
    const marks = this.own && this.photo.opened ? [{ name: "your photo", point: this.own }] : [];
    this.map.show({ photos: this.facts.map, marks, chosen });
  }

  async showSliders() {
    if (!this.sliders) return;
    const start = this.photo.opened
      ? await this.engine
          .latest("blendshapes", "startingBlendshapes", PHOTO, this.wanted.labels ?? {})
          .catch(() => null)
      : null;
    if (start || !this.photo.opened) this.sliders.show(start, this.wanted);
  }

  remember() {
    const step = { wanted: this.wanted, intensity: this.intensity.get(), parts: this.partValues() };
    if (JSON.stringify(this.steps.at(-1)) !== JSON.stringify(step))
      this.steps = [...this.steps, step].slice(-MOST_STEPS);
  }

  async undo() {
    this.remember();
    if (this.steps.length < 2) return this.result.message.show("There is nothing to undo.");
    this.choices += 1;
    this.steps.pop();
    const { wanted, intensity, parts } = this.steps.at(-1);
    this.wanted = wanted;
    this.intensity.set(intensity);
    for (const part of PARTS) this.parts[part].set(parts[part]);
    this.showLabel();
    return this.settle();
  }
}
