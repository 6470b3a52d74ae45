// Live mode: the webcam drives a photo, one's own face is edited, or it is recognised, frame by frame.

import { partWeight } from "./face-regions.js";
import { composeTransforms, fitCropTransform } from "./geometry.js";
import { pictureOf } from "./image-files.js";
import { prepareChange } from "./paste-back.js";
import { cropFace } from "./resampling.js";
import { FaceTracker, OneEuroFilter } from "./tracking.js";

const LONGEST_INTERVAL = 1; // second; after a pause the filters go on as if less time had passed

export class Live {
  constructor(session) {
    this.session = session;
    this.model = session.model;
    this.tracker = new FaceTracker(session.detector, session.model.manifest);
    this.time = null;
  }

  /**
   * Process a frame.
   *
   * @param bitmap ImageBitmap of the webcam. time: in seconds.
   * @param request {kind: "drive", slot, intensity, relative}, {kind: "edit", expression, intensity, parts} or
   *   {kind: "recognize"}.
   * @returns {patch} to draw over the photo or the frame, {read} of the face, or {} if none is seen.
   */
  async process(bitmap, time, request) {
    const interval = this.time === null ? 1 / 30 : Math.min(Math.max(time - this.time, 1e-3), LONGEST_INTERVAL);
    this.time = time;
    const frame = pictureOf(bitmap);
    bitmap.close();
    const landmarks = await this.tracker.follow(frame, interval);
    if (!landmarks) return {};
    if (this.tracker.restarted) this.restart();
    if (request.kind === "recognize") return { read: await this.session.read(frame, landmarks), landmarks };
    const transform = fitCropTransform(landmarks, this.model.manifest.alignment);
    const crop = cropFace(frame, transform, this.model.size);
    return {
      patch:
        request.kind === "drive"
          ? await this.drive(crop, interval, request)
          : await this.edit(frame, transform, crop, interval, request),
    };
  }

  restart() {
    const { min_cutoff, speed, derivative_cutoff } = this.model.manifest.tracking.expression;
    this.filter = new OneEuroFilter(min_cutoff, speed, derivative_cutoff);
    this.first = null;
  }

  async drive(crop, interval, { slot, intensity, relative }) {
    const photo = this.session.opened(slot);
    const target = await this.session.target(slot);
    const [raw] = await this.model.encodeExpression(this.model.pixelValues([crop]));
    const [seen] = this.filter.smooth([raw], interval);
    this.first ??= seen;
    const wanted = relative ? target.own.map((value, j) => value + seen[j] - this.first[j]) : seen;
    const change = await this.model.change(wanted, target, intensity);
    return this.paste(photo.picture, composeTransforms(photo.transform, photo.toPhoto), change, null);
  }

  async edit(frame, transform, crop, interval, { expression, intensity, parts }) {
    const target = await this.model.encodeTarget(crop);
    target.own = Float32Array.from(this.filter.smooth([target.own], interval)[0]);
    const wanted = await this.session.resolve(expression, target.own);
    const change = await this.model.change(wanted, target, intensity);
    return this.paste(frame, transform, change, partWeight(parts));
  }

  paste(picture, transform, change, weight) {
    const prepared = prepareChange(picture, transform, this.model.size, change, weight, this.model.manifest.blending);
    // Linear interpolation: frames per second count more than the last bit of sharpness.
    const { left, top, width, height, data } = this.session.paster.paste({ ...prepared, fine: false, sharp: false });
    return { left, top, width, height, data };
  }
}
