// The result over the photo, its download, and the visible mark.

import * as compareView from "../views/compare.js";
import { Addresses, Message, make, newId, startView } from "./dom.js";

const KINDS = { PNG: ["image/png", ".png"], JPEG: ["image/jpeg", ".jpg"] };

export class ResultView {
  /**
   * @param request () → {slot, expression, settings} of what is to be drawn, or null if something is missing.
   * @param fileName () → name of the photo's file. prompt: what to do if something is missing.
   */
  constructor(engine, { id, prompt, fileName, request }) {
    Object.assign(this, { engine, prompt, fileName, request, turn: 0 });
    this.addresses = new Addresses();
    const stage = make("div", { id: `${id}-result` });
    this.show = startView(compareView, stage);
    this.mark = make("input", { type: "checkbox", id: `${id}-mark`, checked: true, onchange: () => this.draw() });
    this.message = new Message();
    const group = newId("file-type");
    this.kinds = Object.keys(KINDS).map((kind, k) =>
      make("input", { type: "radio", name: group, value: kind, checked: k === 0 }),
    );
    const kinds = this.kinds.map((input) => make("label", { class: "check" }, input, input.value));
    this.button = make(
      "button",
      { type: "button", id: `${id}-download`, class: "primary", onclick: () => this.download() },
      "Download in full resolution",
    );
    this.element = make("div", { class: "card result" }, stage);
    this.row = make(
      "div",
      { class: "card" },
      make("label", { class: "check" }, this.mark, "Visible mark: a small “synthetic” note in a corner"),
      make("div", { class: "buttons" }, make("span", {}, "File:"), ...kinds, this.button),
      this.message.element,
    );
    this.show({ message: prompt });
  }

  /** Draw the preview anew. `before`: a new photo. */
  async draw(before) {
    if (before) this.before = this.addresses.of("before", before);
    const wanted = this.request();
    // A result of the photo before, or of a removed one, comes too late.
    if (before || !wanted) this.turn += 1;
    if (!wanted) return this.show({ message: this.prompt });
    const { turn } = this;
    try {
      const made = await this.engine.latest(this, "draw", wanted.slot, wanted.expression, {
        ...wanted.settings,
        mark: this.mark.checked,
      });
      if (made && turn === this.turn)
        this.show({
          before: this.before,
          after: this.addresses.of("after", made),
          alt: `Synthetic photo: ${wanted.text}`,
        });
    } catch (error) {
      if (turn === this.turn) this.show({ message: error.message });
    }
    return undefined;
  }

  async download() {
    const wanted = this.request();
    if (!wanted) return this.message.show(this.prompt, true);
    const [type, ending] = KINDS[this.kinds.find((kind) => kind.checked).value];
    if (this.isBusy) return undefined;
    this.isBusy = true;
    this.message.show("Making the file …");
    try {
      const file = await this.engine.call(
        "download",
        wanted.slot,
        wanted.expression,
        { ...wanted.settings, mark: this.mark.checked },
        type,
      );
      const name = `${(this.fileName() || "photo").replace(/\.[^.]*$/, "").slice(0, 60)}_ter-gan${ending}`;
      const link = make("a", { href: this.addresses.of("download", file), download: name });
      link.click();
      this.message.show(`Saved as ${name}`);
    } catch (error) {
      this.message.show(error.message, true);
    } finally {
      this.isBusy = false;
    }
    return undefined;
  }
}
