// Sliders for single blendshapes, by region, that start at the values read from the photo.

import { make, makeSlider } from "./dom.js";

const REGIONS = { Brows: /^brow/, Eyes: /^eye(?!Look)/, Gaze: /^gaze/, Mouth: /^mouth/, Jaw: /^jaw/, "Cheeks and nose": /^(cheek|nose)/ };
const GAZE = { gazeX: "Gaze to the viewer’s right, degrees", gazeY: "Gaze up, degrees" };
const TOLERANCE = 0.011; // a slider that rests at the value read from the photo sets nothing

/** `eyeBlinkLeft` → `Eye blink left`. */
function readable(name) {
  const words = name.replace(/([A-Z])/g, (letter) => ` ${letter.toLowerCase()}`);
  return GAZE[name] ?? words[0].toUpperCase() + words.slice(1);
}

export class BlendshapeSliders {
  /** @param blendshapes those of the manifest. onInput: () after a change. */
  constructor({ names, gaze_names, gaze_limit }, onInput) {
    this.sliders = new Map();
    this.read = {};
    this.neutral = make("input", { type: "checkbox", id: "edit-from-neutral", onchange: onInput });
    const reset = make("button", { type: "button", onclick: () => (this.reset(), onInput()) }, "Reset");
    const groups = Object.entries(REGIONS).map(([title, pattern]) => {
      const own = names.filter((name) => pattern.test(name));
      const sliders = own.map((name) => {
        const isGaze = gaze_names.includes(name);
        const range = isGaze ? { low: -gaze_limit, high: gaze_limit, step: 1 } : { low: 0, high: 1, step: 0.02 };
        const slider = makeSlider({ name: readable(name), value: 0, onInput, ...range });
        this.sliders.set(name, slider);
        return slider.element;
      });
      return own.length ? [make("details", {}, make("summary", {}, title), make("div", { class: "sliders" }, ...sliders))] : [];
    });
    this.element = make("section", { class: "card", id: "edit-blendshapes", "aria-label": "Single movements" },
      make("h2", {}, "Single movements"), make("p", { class: "message" }, "Left and right are those of the person in the photo."),
      make("div", { class: "buttons" }, make("label", { class: "check" }, this.neutral, "Start from neutral"), reset), ...groups.flat());
  }

  /** Start at the values read from a photo. */
  start(read) {
    this.read = read ?? {};
    this.reset();
  }

  reset() {
    this.neutral.checked = false;
    for (const [name, slider] of this.sliders) slider.set(this.read[name] ?? 0);
  }

  /** The values that differ from the photo's: name → value. */
  get values() {
    const moved = [...this.sliders].filter(([name, slider]) => Math.abs(slider.get() - (this.read[name] ?? 0)) > (name in GAZE ? 0.51 : TOLERANCE));
    return Object.fromEntries(moved.map(([name, slider]) => [name, slider.get()]));
  }

  get isMoved() {
    return this.neutral.checked || Object.keys(this.values).length > 0;
  }
}
