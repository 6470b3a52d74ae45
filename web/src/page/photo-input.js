// A photo from a file, by dropping or pasting, from the webcam, or from the examples; and which face of it.

import * as rowView from "../views/row.js";
import { Addresses, Message, make, newId, startView } from "./dom.js";
import { startWebcam, stopWebcam, takePhoto } from "./webcam.js";

/** A row of pictures. `choose` gets the index of a click. */
export function pictureRow(choose, attributes = {}) {
  const element = make("div", attributes);
  return { element, show: startView(rowView, element, {}, (_, { index }) => choose(index)) };
}

export class PhotoInput {
  /**
   * @param settings {id, label, slot, method, examples, onStart}: `label` is the photo's in messages, too; `examples`
   *   are {title, items: [{address, caption}]}. With `slot` null, `method` of the engine gets the file and the label.
   *   `onStart()` is called when the visitor chooses a photo or a face, before it is opened.
   * @param onOpen (file, what the engine answered) after a photo or face was chosen. onClose: after it was removed.
   */
  constructor(engine, settings, onOpen, onClose) {
    // Each photo, and each request for the webcam, ends those before.
    Object.assign(this, { engine, settings, onOpen, onClose, turn: 0, addressTurn: 0, webcamTurn: 0 });
    this.isOpening = false;
    this.isMoving = false; // another input gets the photo, and this one the other's
    this.addresses = new Addresses();
    this.message = new Message();
    this.picture = make("img", { alt: settings.label, hidden: true, onclick: (event) => this.choosePoint(event) });
    this.video = make("video", { muted: true, playsinline: true, hidden: true, "aria-label": "Your webcam" });
    this.video.muted = true;
    this.hint = make("span", {}, "Drop a photo here");
    this.frame = make("div", { class: "photo-frame" }, this.picture, this.video, this.hint);
    this.file = make("input", {
      type: "file",
      accept: "image/*",
      class: "visually-hidden",
      tabindex: "-1",
      "aria-label": `${settings.label}: file`,
      onchange: () => this.useFile(this.file.files[0]),
    });
    const button = (text, act) => make("button", { type: "button", onclick: () => act() }, text);
    this.webcam = button("Webcam", () => this.useWebcam());
    this.remove = button("Remove", () => this.clear());
    this.remove.disabled = true;
    const buttons = [
      button("Choose a file", () => this.file.click()),
      this.webcam,
      button("Paste", () => this.paste()),
      this.remove,
    ];
    this.faces = pictureRow((index) => this.chooseFace(index), { class: "faces" });
    const { title, items } = settings.examples;
    const examples = pictureRow((index) => this.useAddress(items[index].address), { class: "examples" });
    examples.show({ title, items: items.map(({ address, caption }) => ({ picture: address, caption })) });
    const heading = make("h2", { id: newId("photo") }, settings.label);
    this.element = make(
      "section",
      { class: "card", id: settings.id, "aria-labelledby": heading.id },
      heading,
      this.frame,
      this.file,
      make("div", { class: "buttons" }, ...buttons),
      this.message.element,
      this.faces.element,
      examples.element,
    );
    this.takeDrops();
  }

  takeDrops() {
    for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
      this.frame.addEventListener(kind, (event) => {
        event.preventDefault();
        this.frame.classList.toggle("is-over", kind === "dragenter" || kind === "dragover");
        if (kind !== "drop") return;
        const [file] = event.dataTransfer.files;
        if (file) this.useFile(file);
        else this.message.show("That was not a file. Drop a photo file.", true);
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
    this.settings.onStart?.();
    const [turn, wanted] = [this.turn, ++this.addressTurn];
    // The visitor may have chosen another photo meanwhile.
    const isWanted = () => turn === this.turn && wanted === this.addressTurn;
    let content;
    try {
      const response = await fetch(address);
      if (!response.ok) throw new Error(response.statusText);
      content = await response.blob();
    } catch {
      if (isWanted()) this.message.show("The example could not be loaded.", true);
      return undefined;
    }
    return isWanted() ? this.openFile(new File([content], address.split("/").pop())) : undefined;
  }

  /** Whether the visitor has not used it yet. */
  get isUntouched() {
    return this.turn === 0 && this.addressTurn === 0 && this.webcamTurn === 0;
  }

  async useWebcam() {
    if (this.isStarting) return undefined;
    if (this.video.srcObject) {
      const photo = await takePhoto(this.video);
      this.stopWebcam();
      return this.useFile(photo);
    }
    this.isStarting = true;
    this.addressTurn += 1;
    const turn = ++this.webcamTurn;
    try {
      if (!(await startWebcam(this.video, () => turn === this.webcamTurn))) return undefined;
      this.video.hidden = false;
      this.showState();
      this.video.srcObject.getVideoTracks()[0].addEventListener("ended", () => {
        if (turn !== this.webcamTurn) return;
        this.stopWebcam();
        this.message.show("The webcam has stopped.", true);
      });
    } catch (error) {
      this.message.show(error.message, true);
    } finally {
      if (turn === this.webcamTurn) this.isStarting = false;
    }
    return undefined;
  }

  stopWebcam() {
    this.webcamTurn += 1;
    this.isStarting = false;
    stopWebcam(this.video);
    this.video.hidden = true;
    this.showState();
  }

  /** Show the webcam if it runs, else the photo, else the hint; and the buttons that fit. */
  showState() {
    const isLive = !this.video.hidden;
    this.picture.hidden = isLive || !this.current;
    this.hint.hidden = isLive || Boolean(this.current);
    this.webcam.textContent = isLive ? "Take the photo" : "Webcam";
    this.remove.textContent = isLive ? "Cancel" : "Remove";
    this.remove.disabled = !isLive && (!this.current || this.isMoving);
  }

  /** Open a file. The promise settles when everything that follows from it is drawn. */
  async useFile(file) {
    if (!file) return;
    this.settings.onStart?.();
    await this.openFile(file);
  }

  async openFile(file) {
    this.stopWebcam();
    this.file.value = "";
    const { slot, label, method } = this.settings;
    await this.show(file, () =>
      slot === null ? this.engine.call(method, file, label) : this.engine.call("openPhoto", slot, file, label),
    );
  }

  async chooseFace(choice) {
    if (this.isOpening || this.isMoving) return; // these are faces of the photo before
    this.settings.onStart?.();
    await this.show(this.current, () => this.engine.call("chooseFace", this.settings.slot, choice));
  }

  async choosePoint(event) {
    if (!this.picture.classList.contains("is-choosable")) return;
    const box = this.picture.getBoundingClientRect();
    const { width, height } = this.opened;
    await this.chooseFace([
      ((event.clientX - box.left) / box.width) * width,
      ((event.clientY - box.top) / box.height) * height,
    ]);
  }

  /** Open a photo and show it, unless the visitor has taken another one or removed it meanwhile. */
  async show(file, open) {
    const turn = ++this.turn;
    this.isOpening = file !== this.current;
    this.message.show("Looking for faces …");
    try {
      const opened = await open();
      if (turn !== this.turn) return;
      this.isOpening = false;
      this.keep(file, opened);
      this.message.show("");
      await this.onOpen(file, opened);
    } catch (error) {
      if (turn !== this.turn) return;
      this.isOpening = false;
      this.message.show(error.message, true);
      this.forget();
    }
  }

  /** Show a photo that is open already. */
  keep(file, opened) {
    this.setPhoto(file, opened);
    this.picture.src = this.addresses.of("photo", opened.before);
    this.picture.classList.toggle("is-choosable", opened.faces?.length > 1 && Boolean(this.settings.slot));
    this.showState();
    const items = (opened.thumbnails ?? []).map((blob, k) => ({
      picture: this.addresses.of(`face ${k}`, blob),
      caption: `Face ${k + 1}`,
    }));
    this.faces.show({ title: "Several faces: click one, here or in the photo", items, chosen: opened.chosen });
  }

  setPhoto(file, opened) {
    this.bitmap?.close();
    [this.current, this.opened, this.bitmap] = [file, opened, null];
  }

  /** Say that the photo is about to move to another input, or has moved. */
  setMoving(isMoving) {
    this.isMoving = isMoving;
    this.showState();
  }

  /** The photo's pixels as the engine has them, without its colour profile. They are closed with the photo. */
  async pixels() {
    if (this.bitmap) return this.bitmap;
    const { opened } = this;
    const bitmap = await createImageBitmap(opened.before, { colorSpaceConversion: "none" });
    if (opened === this.opened) this.bitmap = bitmap;
    else bitmap.close();
    return bitmap;
  }

  forget() {
    this.setPhoto(null, null);
    this.picture.removeAttribute("src");
    this.showState();
    this.faces.show({});
    this.onClose();
  }

  clear() {
    if (!this.video.hidden) {
      this.stopWebcam();
      this.webcam.focus();
      return;
    }
    if (this.isMoving) return;
    this.turn += 1;
    this.isOpening = false;
    if (this.settings.slot) this.engine.call("closePhoto", this.settings.slot);
    this.webcam.focus(); // the button "Remove" cannot be pressed again
    this.stopWebcam();
    this.message.show("");
    this.forget();
  }
}
