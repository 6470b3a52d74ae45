// A row of small pictures of the visitor's face with several expressions. Each is a call of its own, so that a slider
// waits for one of them at most.

import { Addresses } from "./dom.js";
import { pictureRow } from "./photo-input.js";

export class Closeups {
  /** @param choose gets the index of a click. attributes: of the element. */
  constructor(engine, title, choose, attributes) {
    Object.assign(this, { engine, title });
    this.addresses = new Addresses();
    this.row = pictureRow(choose, attributes);
    this.element = this.row.element;
    this.turn = 0;
  }

  clear() {
    this.turn += 1;
    this.row.show({});
  }

  /**
   * Draw the row anew; a newer call ends an older one.
   *
   * @param slot of the photo. wanted: list of {expression, intensity, caption}.
   * @param chosen () → index of the picture that is chosen; none stays chosen without it.
   */
  async draw(slot, wanted, chosen) {
    this.turn += 1;
    const { turn } = this;
    const pictures = [];
    for (const { expression, intensity } of wanted) {
      try {
        pictures.push(await this.engine.call("drawCloseup", slot, expression, intensity));
      } catch {
        if (turn === this.turn) this.row.show({}); // the result itself shows the message
        return;
      }
      if (turn !== this.turn) return;
    }
    const items = pictures.map((blob, k) => ({ picture: this.addresses.of(k, blob), caption: wanted[k].caption }));
    this.row.show({ title: this.title, items, chosen: chosen?.() });
  }
}
