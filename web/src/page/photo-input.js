// A photo from a file, by dropping or pasting, from the webcam, or from the examples; and which face of it.

import startRow from "../views/row.js";
import { Addresses, Message, make, newId, startView } from "./dom.js";
import { startWebcam, stopWebcam, takePhoto } from "./webcam.js";

export const ROW = '<div class="picture-row" hidden><p class="row-title"></p><ul></ul></div>';

/** A row of pictures. `choose` gets the index of a click. */
export function pictureRow(choose, attributes = {}) {
  const element = make("div", attributes);
  element.innerHTML = ROW;
  return { element, show: startView(startRow, element, {}, (_, { index }) => choose(index)) };
}

export class PhotoInput {
  /**
   * @param settings {id, label, name, slot, examples}: `name` is the photo's in messages; `examples` are
   *   {title, items: [{address, caption}]}. With `slot` null the file is only passed on.
   * @param onOpen (file, result of openPhoto) after a photo or face was chosen. onClose: after it was removed.
   */
  constructor(engine, settings, onOpen, onClose) {
    Object.assign(this, { engine, settings, onOpen, onClose });
    this.addresses = new Addresses();
    this.message = new Message();
    this.picture = make("img", { alt: settings.label, hidden: true, onclick: (event) => this.choosePoint(event) });
    this.video = make("video", { muted: true, playsinline: true, hidden: true, "aria-label": "Your webcam" });
    this.video.muted = true;
    this.hint = make("span", {}, "Drop a photo here");
    this.frame = make("div", { class: "photo-frame" }, this.picture, this.video, this.hint);
    this.file = make("input", { type: "file", accept: "image/*", class: "visually-hidden", tabindex: "-1", "aria-label": `${settings.label}: file`, onchange: () => this.useFile(this.file.files[0]) });
    const button = (text, act) => make("button", { type: "button", onclick: () => act() }, text);
    this.webcam = button("Webcam", () => this.useWebcam());
    this.remove = button("Remove", () => this.clear());
    this.remove.disabled = true;
    const buttons = [button("Choose a file", () => this.file.click()), this.webcam, button("Paste", () => this.paste()), this.remove];
    this.faces = pictureRow((index) => this.chooseFace(index), { class: "faces" });
    const { examples } = settings;
    const row = examples && pictureRow((index) => this.useAddress(examples.items[index].address), { class: "examples" });
    row?.show({ title: examples.title, items: examples.items.map(({ address, caption }) => ({ picture: address, caption })) });
    const heading = make("h2", { id: newId("photo") }, settings.label);
    this.element = make("section", { class: "card photo-input", id: settings.id, "aria-labelledby": heading.id }, heading, this.frame, this.file,
      make("div", { class: "buttons" }, ...buttons), this.message.element, this.faces.element, ...(row ? [row.element] : []));
    this.takeDrops();
  }

  takeDrops() {
    for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
      this.frame.addEventListener(kind, (event) => {
        event.preventDefault();
        this.frame.classList.toggle("is-over", kind === "dragenter" || kind === "dragover");
        if (kind === "drop") this.useFile(event.dataTransfer.files[0]);
      });
    }
    this.element.addEventListener("paste", (event) => this.useFile([...event.clipboardData.files][0]));
  }

  async paste() {
    try {
      for (const item of await navigator.clipboard.read()) {
        const kind = item.types.find((type) => type.startsWith("image/"));
        if (kind) return this.useFile(new File([await item.getType(kind)], "pasted", { type: kind }));
      }
      this.message.show("There is no picture in the clipboard.", true);
    } catch {
      this.message.show("This browser does not let the page read the clipboard. Use Ctrl+V here instead.", true);
    }
    return undefined;
  }

  async useAddress(address) {
    const file = new File([await (await fetch(address)).blob()], address.split("/").pop());
    return this.useFile(file);
  }

  async useWebcam() {
    if (this.video.srcObject) {
      const photo = await takePhoto(this.video);
      this.stopWebcam();
      return this.useFile(photo);
    }
    try {
      await startWebcam(this.video);
      this.video.hidden = false;
      this.picture.hidden = this.hint.hidden = true;
      this.webcam.textContent = "Take the photo";
    } catch (error) {
      this.message.show(error.message, true);
    }
    return undefined;
  }

  stopWebcam() {
    stopWebcam(this.video);
    this.video.hidden = true;
    this.webcam.textContent = "Webcam";
    this.picture.hidden = !this.picture.getAttribute("src");
    this.hint.hidden = !this.picture.hidden;
  }

  /** Open a file. The promise settles when everything that follows from it is drawn. */
  async useFile(file) {
    if (!file) return;
    this.stopWebcam();
    this.file.value = "";
    await this.show(file, () => this.engine.call("openPhoto", this.settings.slot, file, this.settings.name));
  }

  async chooseFace(choice) {
    await this.show(this.current, () => this.engine.call("chooseFace", this.settings.slot, choice));
  }

  async choosePoint(event) {
    if (!this.opened || this.opened.faces.length < 2) return;
    const box = this.picture.getBoundingClientRect();
    const { width, height } = this.opened;
    await this.chooseFace([((event.clientX - box.left) / box.width) * width, ((event.clientY - box.top) / box.height) * height]);
  }

  async show(file, open) {
    this.message.show("Looking for faces …");
    try {
      const opened = this.settings.slot === null ? await this.onOpen(file) : await open();
      this.keep(file, opened);
      this.message.show("");
      if (this.settings.slot !== null) await this.onOpen(file, opened);
    } catch (error) {
      this.message.show(error.message, true);
      this.forget();
    }
  }

  /** Show a photo that is open already. */
  keep(file, opened) {
    [this.current, this.opened] = [file, opened];
    this.picture.src = this.addresses.of("photo", opened.before);
    this.picture.hidden = false;
    this.picture.classList.toggle("is-choosable", opened.faces?.length > 1 && Boolean(this.settings.slot));
    this.hint.hidden = true;
    this.remove.disabled = false;
    const items = (opened.thumbnails ?? []).map((blob, k) => ({ picture: this.addresses.of(`face ${k}`, blob), caption: `Face ${k + 1}` }));
    this.faces.show({ title: "Several faces: click one, here or in the photo", items, chosen: opened.chosen });
  }

  forget() {
    [this.current, this.opened] = [null, null];
    this.picture.hidden = true;
    this.picture.removeAttribute("src");
    this.hint.hidden = false;
    this.remove.disabled = true;
    this.faces.show({});
    if (this.settings.slot) this.engine.call("closePhoto", this.settings.slot);
    this.onClose();
  }

  clear() {
    this.stopWebcam();
    this.message.show("");
    this.forget();
  }
}
