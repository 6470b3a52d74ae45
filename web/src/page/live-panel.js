// Live mode: frames of the webcam go to the engine one at a time; the newest result is shown, with frames per second.

import { Message, make } from "./dom.js";
import { startWebcam, stopWebcam } from "./webcam.js";

const FRAME_SIDE = 480; // longer side in pixels of the frames that are worked on
const AVERAGED = 12; // frames
const NO_FACE = "No face is seen. Look at the camera, in good light.";

export class LivePanel {
  /**
   * @param settings {id, title, text, wish, base, show}: `wish()` is the wish for the next frame, or null with a
   *   message thrown; `base()` the picture to draw patches on, null for the frame itself; `show(result)` is optional.
   */
  constructor(engine, settings) {
    Object.assign(this, { engine, settings });
    this.video = make("video", { class: "own", playsinline: true, "aria-label": "Your webcam" });
    this.video.muted = true;
    this.canvas = make("canvas", { role: "img", "aria-label": "Live result", width: 4, height: 3 });
    this.button = make("button", { type: "button", id: `${settings.id}-start`, onclick: () => this.toggle() }, "Start the webcam");
    this.figures = make("p", { class: "figures", id: `${settings.id}-figures` });
    this.message = new Message();
    this.stage = make("div", { class: "stage", hidden: true }, this.canvas, this.figures, this.video);
    this.element = make("details", { class: "card live", id: settings.id }, make("summary", {}, settings.title), make("p", {}, settings.text),
      make("div", { class: "buttons" }, this.button), this.message.element, this.stage);
    this.element.addEventListener("toggle", () => !this.element.open && this.stop());
  }

  async toggle() {
    if (this.running) return this.stop();
    this.message.show("");
    try {
      this.settings.wish();
      await startWebcam(this.video, FRAME_SIDE);
    } catch (error) {
      return this.message.show(error.message, true);
    }
    await this.engine.call("startLive");
    this.button.textContent = "Stop the webcam";
    this.stage.hidden = false;
    this.running = true;
    return this.loop();
  }

  stop() {
    this.running = false;
    stopWebcam(this.video);
    this.stage.hidden = true;
    this.button.textContent = "Start the webcam";
    this.message.show("");
  }

  async loop() {
    let times = [];
    try {
      let next = this.process();
      while (this.running) {
        const { shown, result } = await next;
        if (!this.running) break;
        next = this.process(); // the engine works on the next frame while this one is drawn
        next.catch(() => {});
        this.draw(shown, result);
        times = [...times, performance.now()].slice(-AVERAGED - 1);
        if (times.length > 1) this.showRate((times.at(-1) - times[0]) / (times.length - 1));
        // A tab in the background rests.
        await new Promise((resolve) => requestAnimationFrame(resolve));
      }
    } catch (error) {
      this.stop();
      this.message.show(error.message, true);
    }
  }

  /** Let the engine work on the frame of this moment. */
  async process() {
    const { videoWidth, videoHeight } = this.video;
    const scale = Math.min(1, FRAME_SIDE / Math.max(videoWidth, videoHeight));
    const [resizeWidth, resizeHeight] = [videoWidth, videoHeight].map((side) => Math.round(side * scale));
    const frame = await createImageBitmap(this.video, { resizeWidth, resizeHeight });
    const shown = this.settings.base?.() ?? (await createImageBitmap(frame));
    const result = await this.engine.send("liveFrame", [frame, performance.now() / 1000, this.settings.wish()], [frame]);
    return { shown, result };
  }

  showRate(milliseconds) {
    this.figures.textContent = `${(1000 / milliseconds).toFixed(1)} frames per second`;
    this.figures.dataset.fps = 1000 / milliseconds;
  }

  draw(shown, result) {
    const seen = Boolean(result.patch || result.read);
    const text = seen ? "" : NO_FACE;
    if (this.message.element.textContent !== text) this.message.show(text);
    const [width, height] = [shown.naturalWidth ?? shown.width, shown.naturalHeight ?? shown.height];
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    const context = this.canvas.getContext("2d");
    // One's own face is seen as in a mirror; a photo is not.
    this.canvas.style.transform = this.settings.base ? "" : "scaleX(-1)";
    context.drawImage(shown, 0, 0);
    const { patch } = result;
    if (patch?.width && patch.height) {
      context.putImageData(new ImageData(patch.data, patch.width, patch.height), patch.left, patch.top);
    }
    if (!this.settings.base) shown.close();
    if (patch) this.drawMark(context);
    this.settings.show?.(result);
  }

  drawMark(context) {
    const { width, height } = this.canvas;
    const size = Math.max(12, Math.round(0.03 * Math.min(width, height)));
    context.save();
    if (!this.settings.base) context.setTransform(-1, 0, 0, 1, width, 0);
    context.font = `${size}px system-ui, sans-serif`;
    const wide = context.measureText(this.settings.mark).width + size;
    context.fillStyle = "rgb(0 0 0 / 43%)";
    context.fillRect(width - wide - 4, height - 2 * size - 4, wide, 2 * size);
    context.fillStyle = "rgb(255 255 255 / 92%)";
    context.textBaseline = "middle";
    context.fillText(this.settings.mark, width - wide - 4 + size / 2, height - size - 4);
    context.restore();
  }
}
