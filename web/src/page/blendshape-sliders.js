// Sliders for single blendshapes, by region, and presets of them. The sliders are the app's view.

import * as slidersView from "../views/sliders.js";
import { Addresses, Message, make, startView } from "./dom.js";
import { presetFile, readPreset } from "./presets.js";

const NEUTRAL = "neutral";
const COMMAND = "tergan edit folder/ --set @preset.json -o results/";

export class BlendshapeSliders {
  /**
   * @param blendshapes those of the manifest. labels: of the model.
   * @param onChange ({labels, values}, settled) after a change by the visitor: shares of labels, and values by name.
   */
  constructor({ regions, settable }, labels, onChange) {
    Object.assign(this, { regions, settable, knownLabels: labels, onChange, labels: {}, values: {} });
    this.addresses = new Addresses();
    const view = make("div", { id: "edit-sliders" });
    this.view = startView(slidersView, view, {}, (event, { values }) =>
      this.take(this.labels, { ...values }, event === "select"),
    );
    this.neutral = make("input", {
      type: "checkbox",
      id: "edit-from-neutral",
      onchange: () => this.take(this.neutral.checked ? { [NEUTRAL]: 1 } : {}, this.values),
    });
    this.message = new Message();
    const file = make("input", {
      type: "file",
      accept: ".json,application/json",
      hidden: true,
      id: "edit-load-preset",
      onchange: () => this.load(file),
    });
    const button = (text, onclick) => make("button", { type: "button", onclick }, text);
    const fromNeutral = labels.includes(NEUTRAL)
      ? [make("label", { class: "check" }, this.neutral, "Start from neutral")]
      : [];
    this.element = make(
      "details",
      { class: "card", id: "edit-blendshapes" },
      make("summary", {}, "Single movements (blendshapes)"),
      make(
        "p",
        { class: "message" },
        "Each slider starts at what the photo shows and changes only this movement. ",
        make("strong", {}, "Left and right are the person’s own."),
        " Intensity scales the whole change.",
      ),
      make(
        "div",
        { class: "buttons" },
        ...fromNeutral,
        button("Reset", () => this.take({}, {})),
      ),
      view,
      make(
        "div",
        { class: "buttons" },
        button("Save preset", () => this.save()),
        button("Load preset", () => file.click()),
        file,
      ),
      this.message.element,
      make(
        "p",
        { class: "message" },
        "Apply a preset to a folder of photos and clips: ",
        make("code", {}, COMMAND),
      ),
    );
  }

  take(labels, values, settled = true) {
    Object.assign(this, { labels, values });
    this.message.show("");
    this.onChange({ labels, values }, settled);
  }

  /**
   * @param start the value at which each slider starts: name → value. Without a photo there is none.
   * @param wanted {labels, values} that are set; other expressions set nothing here.
   */
  show(start, { labels = {}, values }) {
    Object.assign(this, values ? { labels, values } : { labels: {}, values: {} });
    this.neutral.checked = this.labels[NEUTRAL] === 1;
    this.view(start ? { groups: this.regions, start, moved: this.values } : {});
  }

  save() {
    if (!Object.keys({ ...this.labels, ...this.values }).length)
      return this.message.show("Move a slider first: a preset holds what you set.", true);
    const link = make("a", { href: this.addresses.of("preset", presetFile(this)), download: "preset.json" });
    link.click();
    return this.message.show("Saved as preset.json");
  }

  async load(input) {
    const [file] = input.files;
    if (!file) return;
    input.value = "";
    try {
      const { labels, values } = await readPreset(file, this.settable, this.knownLabels);
      this.take(labels, values);
    } catch (error) {
      this.message.show(error.message, true);
    }
  }
}
