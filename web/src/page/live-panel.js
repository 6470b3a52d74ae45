// Live mode: frames of the webcam go to the engine one at a time; the newest result is shown, with frames per second.

import { drawMark } from "../engine/provenance.js";
import { Message, make } from "./dom.js";
import { startWebcam, stopWebcam } from "./webcam.js";

const FRAME_SIDE = 480; // longer side in pixels of the frames that are worked on
const AVERAGED = 12; // frames
const NO_FACE = "No face is seen. Look at the camera, in good light.";
const LOST = "The webcam has stopped. Start it again.";

export class LivePanel {
  /**
   * @param settings {id, title, text, provenance, request, base, show}: `request()` is what the next frame is for; it
   *   throws with a message if something is missing. `base()` gives the picture to draw patches on; without it that is
   *   the frame itself. `show(result)` is optional.
   */
  constructor(engine, settings) {
    Object.assign(this, { engine, settings, turn: 0, running: false });
    this.video = make("video", { class: "own", playsinline: true, "aria-label": "Your webcam" });
    this.video.muted = true;
    this.canvas = make("canvas", { role: "img", "aria-label": "Live result", width: 4, height: 3 });
    this.button = make(
      "button",
      { type: "button", id: `${settings.id}-start`, onclick: () => this.toggle() },
      "Start the webcam",
    );
    this.figures = make("p", { class: "figures", id: `${settings.id}-figures` });
    this.message = new Message();
    this.stage = make("div", { class: "stage", hidden: true }, this.canvas, this.figures, this.video);
    this.element = make(
      "details",
      { class: "card live", id: settings.id },
      make("summary", {}, settings.title),
      make("p", {}, settings.text),
      make("div", { class: "buttons" }, this.button),
      this.message.element,
      this.stage,
    );
    this.element.addEventListener("toggle", () => !this.element.open && this.stop());
  }

  async toggle() {
    if (this.running) return this.stop();
    const turn = ++this.turn;
    const isWanted = () => turn === this.turn;
    this.running = true;
    this.button.textContent = "Stop the webcam";
    this.message.show("");
    try {
      this.settings.request();
      if (!(await startWebcam(this.video, isWanted, FRAME_SIDE))) return undefined;
      this.video.srcObject.getVideoTracks()[0].addEventListener("ended", () => isWanted() && this.fail(LOST));
      await this.engine.call("startLive");
      this.stage.hidden = !isWanted();
      await this.loop(isWanted);
    } catch (error) {
      if (isWanted()) this.fail(error.message);
    }
    return undefined;
  }

  fail(message) {
    this.stop();
    this.message.show(message, true);
  }

  stop() {
    this.turn += 1;
    this.running = false;
    this.drawn = null;
    stopWebcam(this.video);
    this.stage.hidden = true;
    this.button.textContent = "Start the webcam";
    this.message.show("");
  }

  async loop(isWanted) {
    let times = [];
    let next = this.process();
    while (isWanted()) {
      const { shown, result } = await next;
      if (!isWanted()) break;
      next = this.process(); // the engine works on the next frame while this one is drawn
      next.catch(() => {});
      this.draw(shown, result);
      times = [...times, performance.now()].slice(-AVERAGED - 1);
      if (times.length > 1) this.showRate((times.at(-1) - times[0]) / (times.length - 1));
      // A tab in the background rests.
      await new Promise((resolve) => requestAnimationFrame(resolve));
    }
    next.then(
      ({ shown }) => this.release(shown),
      () => {},
    );
  }

  /** Let the engine work on the frame of this moment. */
  async process() {
    const request = this.settings.request(); // throws first if something is missing
    const base = await this.settings.base?.();
    const { videoWidth, videoHeight } = this.video;
    const scale = Math.min(1, FRAME_SIDE / Math.max(videoWidth, videoHeight));
    const [resizeWidth, resizeHeight] = [videoWidth, videoHeight].map((side) => Math.round(side * scale));
    const frame = await createImageBitmap(this.video, { resizeWidth, resizeHeight });
    const shown = base ?? (await createImageBitmap(frame));
    const values = [frame, performance.now() / 1000, request];
    return { shown, result: await this.engine.send("liveFrame", values, [frame]) };
  }

  /** A frame is drawn once; a photo is closed by its input. */
  release(shown) {
    if (!this.settings.base) shown.close();
  }

  showRate(milliseconds) {
    this.figures.textContent = `${(1000 / milliseconds).toFixed(1)} frames per second`;
    this.figures.dataset.fps = 1000 / milliseconds;
  }

  draw(shown, result) {
    if (!shown.width) return; // the photo was replaced or removed, and closed, meanwhile
    const seen = Boolean(result.patch || result.read);
    const text = seen ? "" : NO_FACE;
    if (this.message.element.textContent !== text) this.message.show(text);
    // A photo keeps the last expression while the face is not seen.
    if (!seen && this.settings.base && shown === this.drawn) return;
    this.drawn = shown;
    const { width, height } = shown;
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    const context = this.canvas.getContext("2d");
    // One's own face is seen as in a mirror; a photo is not.
    this.canvas.style.transform = this.settings.base ? "" : "scaleX(-1)";
    context.drawImage(shown, 0, 0);
    const { patch } = result;
    if (patch?.width && patch.height) {
      context.putImageData(new ImageData(patch.data, patch.width, patch.height), patch.left, patch.top);
    }
    this.release(shown);
    if (patch) this.mark(context);
    this.settings.show?.(result);
  }

  mark(context) {
    context.save();
    // The mark is to be read on a mirrored picture, too.
    if (!this.settings.base) context.setTransform(-1, 0, 0, 1, this.canvas.width, 0);
    drawMark(context, this.settings.provenance);
    context.restore();
  }
}
