// Transfer: give a photo the expression of another photo, or drive it live by the webcam.

import { Closeups } from "./closeups.js";
import { make, makeSlider } from "./dom.js";
import { LivePanel } from "./live-panel.js";
import { PhotoInput } from "./photo-input.js";
import { ResultView } from "./result-view.js";

const [TARGET, SOURCE] = ["transfer-target", "transfer-source"];

export class TransferView {
  /** @param facts what the engine told of the model. examples: {people, smiling, expressions}, [{address, caption}]. */
  constructor(engine, panel, facts, { people, smiling, expressions }) {
    Object.assign(this, { engine, expressions });
    this.target = new PhotoInput(
      engine,
      {
        id: TARGET,
        label: "Your photo",
        slot: TARGET,
        examples: { title: "Example people", items: people },
      },
      (_, opened) => this.drawAll(opened.before),
      () => this.drawAll(),
    );
    this.source = new PhotoInput(
      engine,
      {
        id: SOURCE,
        label: "Expression photo",
        slot: SOURCE,
        examples: { title: "Example expressions", items: [...expressions, ...smiling] },
      },
      () => this.result.draw(),
      () => this.result.draw(),
    );
    this.intensity = makeSlider({
      name: "Intensity",
      low: 0,
      high: 1.5,
      help: "0 changes nothing, above 1 exaggerates",
      onInput: () => this.result.draw(),
    });
    this.result = new ResultView(engine, {
      id: "transfer",
      prompt: "Add your photo and a photo that shows an expression: the result appears here.",
      fileName: () => this.target.current?.name,
      request: () => this.request(),
    });
    this.all = new Closeups(
      engine,
      "The example expressions on your photo: click one to use it",
      (index) => this.source.useAddress(expressions[index].address),
      { id: "transfer-all", class: "card" },
    );
    this.relative = make("input", { type: "checkbox", id: "transfer-relative" });
    this.live = new LivePanel(engine, {
      id: "transfer-live",
      title: "Live: your webcam drives your photo",
      text: "Your photo takes on the expression of your face, frame by frame.",
      provenance: facts.provenance,
      request: () => {
        if (!this.target.opened) throw new Error("Please add your photo first.");
        return { kind: "drive", slot: TARGET, intensity: this.intensity.get(), relative: this.relative.checked };
      },
      base: () => this.target.pixels(),
    });
    this.live.element.append(
      make("label", { class: "check" }, this.relative, "Only what changes since the first frame"),
    );
    const swap = make(
      "button",
      { type: "button", id: "transfer-swap", onclick: () => this.swap() },
      "⇅ Swap the two photos",
    );
    panel.append(
      make(
        "div",
        { class: "columns" },
        make("div", {}, this.target.element, swap, this.source.element),
        make(
          "div",
          { class: "result-column" },
          this.result.element,
          make("div", { class: "card" }, this.intensity.element),
          this.all.element,
          this.result.row,
        ),
      ),
      this.live.element,
    );
  }

  /** Show an example's result. */
  async start(people, smiling) {
    if (this.source.isUntouched) await this.source.useAddress((smiling[1] ?? smiling[0]).address);
    if (this.target.isUntouched) await this.target.useAddress(people[0].address);
  }

  stopWebcams() {
    this.live.stop();
    for (const input of [this.target, this.source]) input.stopWebcam();
  }

  request() {
    if (!this.target.opened || !this.source.opened) return null;
    const intensity = this.intensity.get();
    return { slot: TARGET, expression: { slot: SOURCE }, settings: { intensity }, text: `intensity ${intensity}` };
  }

  async drawAll(before) {
    await this.result.draw(before);
    if (!this.target.opened) return this.all.clear();
    const wanted = this.expressions.map(({ address, caption }) => ({
      expression: { example: address },
      intensity: 1,
      caption,
    }));
    this.all.draw(TARGET, wanted);
    return undefined;
  }

  async swap() {
    const inputs = [this.target, this.source];
    if (inputs.some(({ opened, isOpening, isMoving }) => !opened || isOpening || isMoving)) return;
    try {
      for (const input of inputs) input.setMoving(true); // until both show what the engine has
      await this.engine.call("swapPhotos", TARGET, SOURCE);
    } finally {
      for (const input of inputs) input.setMoving(false);
    }
    const [target, source] = inputs.map(({ current, opened }) => ({ current, opened }));
    if (!target.opened || !source.opened) return;
    this.target.keep(source.current, source.opened);
    this.source.keep(target.current, target.opened);
    await this.drawAll(source.opened.before);
  }
}
