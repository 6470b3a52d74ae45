// Face tracking from frame to frame: landmark refinement, smoothed over time. See face_tracking_tergan.py.

import { distance, meanPoint } from "./geometry.js";

/** The 1€ filter (Casiez et al. 2012) on a list of vectors; each has a cutoff of its own. */
export class OneEuroFilter {
  constructor(minCutoff, speed, derivativeCutoff = 1) {
    Object.assign(this, { minCutoff, speed, derivativeCutoff });
    this.values = null;
  }

  /** @param interval seconds since the last values. */
  smooth(values, interval) {
    if (!this.values) {
      this.values = values.map((vector) => Array.from(vector));
      this.slopes = values.map((vector) => Array.from(vector, () => 0));
      return this.values;
    }
    const share = (cutoff) => 1 / (1 + 1 / (2 * Math.PI * cutoff * interval));
    this.values = values.map((vector, k) => {
      const last = this.values[k];
      const slopes = this.slopes[k].map(
        (slope, j) => slope + share(this.derivativeCutoff) * ((vector[j] - last[j]) / interval - slope),
      );
      this.slopes[k] = slopes;
      const weight = share(this.minCutoff + this.speed * Math.hypot(...slopes));
      return last.map((value, j) => value + weight * (vector[j] - value));
    });
    return this.values;
  }
}

/** Distance between the midpoints of eyes and mouth. */
const faceHeight = (landmarks) => distance(meanPoint(landmarks.slice(0, 2)), meanPoint(landmarks.slice(3)));

/** Follow the largest face of a webcam. `restarted` tells whether the last landmarks do not continue those before. */
export class FaceTracker {
  constructor(detector, manifest) {
    this.detector = detector;
    this.settings = manifest.tracking;
    this.lostBelow = manifest.detection.lost_below;
    this.landmarks = null;
    this.filter = null;
    this.since = 0;
  }

  /** @returns five smoothed landmarks in frame pixels, `null` if no face is seen. */
  async follow(frame, interval) {
    let landmarks = null;
    if (this.landmarks && this.since < this.settings.redetect_after) {
      const refined = await this.detector.refine(frame, this.landmarks, 1);
      this.since += 1;
      if (refined.confidence >= this.lostBelow) landmarks = refined.landmarks;
    }
    if (!landmarks) {
      const faces = await this.detector.detect(frame, false);
      this.since = 0;
      landmarks = this.nearest(faces);
    }
    if (!landmarks) {
      [this.landmarks, this.filter] = [null, null];
      return null;
    }
    const jumped =
      this.landmarks &&
      distance(meanPoint(landmarks), meanPoint(this.landmarks)) > this.settings.jump * faceHeight(landmarks);
    this.restarted = !this.filter || jumped;
    if (this.restarted) {
      const { min_cutoff, speed_by_height } = this.settings.landmarks;
      this.filter = new OneEuroFilter(min_cutoff, speed_by_height / faceHeight(landmarks));
    }
    this.landmarks = landmarks;
    return this.filter.smooth(landmarks, interval);
  }

  nearest(faces) {
    if (!faces.length) return null;
    if (!this.landmarks) return faces[0].landmarks;
    const last = meanPoint(this.landmarks);
    const distances = faces.map((face) => distance(meanPoint(face.landmarks), last));
    return faces[distances.indexOf(Math.min(...distances))].landmarks;
  }
}
