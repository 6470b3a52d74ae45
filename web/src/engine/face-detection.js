// The faces of a photo: MTCNN, landmark refinement, and quarter turns. See face_detection_tergan.py.

import { area } from "./boxes.js";
import {
  applyTransform,
  composeTransforms,
  distance,
  fitCropTransform,
  invertTransform,
  meanPoint,
  shiftAndTurn,
  transformedBounds,
} from "./geometry.js";
import { detectFaces } from "./mtcnn.js";
import { cropFace, resize, roundEven, turn } from "./resampling.js";

const MOST_FACES = 12;

export class FaceDetector {
  /** @param run as for `detectFaces`. manifest: model.json. */
  constructor(run, manifest) {
    this.run = run;
    this.settings = manifest.detection;
    this.alignment = manifest.alignment;
  }

  /**
   * Find the faces of a photo.
   *
   * @param turns whether to search the photo turned by quarters, too, if no face is surely upright.
   * @returns {box: [left, top, right, bottom], landmarks, confidence} in photo pixels, the largest face first.
   */
  async detect(photo, turns = true) {
    const { max_side, enlarged_side, smallest_face, surely_upright } = this.settings;
    const [longer, shorter] = [Math.max(photo.width, photo.height), Math.min(photo.width, photo.height)];
    let scale = Math.min(1, max_side / longer);
    // Narrow strips are enlarged only as far as their length allows.
    if (shorter * scale < enlarged_side) scale = Math.min(enlarged_side / shorter, (4 * max_side) / longer);
    const [width, height] = [roundEven(photo.width * scale), roundEven(photo.height * scale)];
    if (Math.min(width, height) < smallest_face) return [];
    const searched = resize(photo, width, height);
    let found = await this.search(searched);
    if (turns && uprightness(found) < surely_upright) {
      for (const degrees of [180, 90, 270]) {
        const turned = (await this.search(turn(searched, degrees))).map((face) => turnBack(face, degrees, searched));
        if (uprightness(turned) > uprightness(found)) found = turned;
      }
    }
    const order = (face) => area(face) * face.certainty ** 4;
    return found
      .sort((one, other) => order(other) - order(one))
      .slice(0, MOST_FACES)
      .map(({ left, top, right, bottom, landmarks, score }) => ({
        box: [left, top, right, bottom].map((value) => value / scale),
        landmarks: landmarks.map(([x, y]) => [x / scale, y / scale]),
        confidence: score,
      }));
  }

  async search(picture) {
    const found = [];
    for (const face of await detectFaces(this.run, this.settings, picture)) {
      if (face.score < this.settings.min_confidence) continue;
      const refined = await this.refine(picture, face.landmarks);
      const landmarks = refined.confidence < this.settings.lost_below ? face.landmarks : refined.landmarks;
      const certainty = face.score * refined.confidence;
      const { small_side, least_certainty, least_certainty_of_small } = this.settings;
      const least = Math.sqrt(area(face)) >= small_side ? least_certainty : least_certainty_of_small;
      if (certainty >= least) found.push({ ...face, landmarks, certainty, upright: landmarks });
    }
    return found;
  }

  /**
   * Average O-Net's landmarks over several aligned views of a face and their mirror images.
   *
   * @returns {landmarks, confidence}.
   */
  async refine(picture, landmarks, count = this.settings.views.length) {
    const { onet_side: side, views, to_onet, mirrored_landmarks } = this.settings;
    const upright = composeTransforms(to_onet.flat(), fitCropTransform(landmarks, this.alignment));
    const transforms = views.slice(0, count).map((view) => composeTransforms(shiftAndTurn(...view), upright));
    const plane = side * side;
    const pixels = new Float32Array(2 * count * 3 * plane);
    transforms.forEach((transform, view) => {
      const { data } = cropFace(picture, transform, side);
      for (let k = 0; k < plane; k++) {
        const mirrored = k - (k % side) + side - 1 - (k % side);
        for (let channel = 0; channel < 3; channel++) {
          pixels[(view * 3 + channel) * plane + k] = data[4 * k + channel];
          pixels[((count + view) * 3 + channel) * plane + k] = data[4 * mirrored + channel];
        }
      }
    });
    const found = await this.run("onet", pixels, [2 * count, 3, side, side]);
    const pointOf = (row, k) => [found.landmarks.data[10 * row + k], found.landmarks.data[10 * row + 5 + k]];
    const sums = landmarks.map(() => [0, 0]);
    transforms.forEach((transform, view) => {
      const toPhoto = invertTransform(transform);
      mirrored_landmarks.forEach((other, k) => {
        const [straight, [x, y]] = [pointOf(view, k), pointOf(count + view, other)];
        const point = applyTransform(toPhoto, [(straight[0] + 1 - x) / 2, (straight[1] + y) / 2]);
        sums[k] = [sums[k][0] + point[0] / count, sums[k][1] + point[1] / count];
      });
    });
    const confidence = found.scores.data.reduce((sum, score) => sum + score, 0) / (2 * count);
    return { landmarks: sums, confidence };
  }
}

/** The index of the face around a point in photo pixels, else of the nearest one. */
export function faceAt(faces, [x, y]) {
  const ranks = faces.map(({ box: [left, top, right, bottom] }) => {
    const inside = left <= x && x <= right && top <= y && y <= bottom;
    return (inside ? 0 : 1e9) + distance([x, y], [(left + right) / 2, (top + bottom) / 2]);
  });
  return ranks.indexOf(Math.min(...ranks));
}

/** Certainty times the cosine of the roll angle, of the surest upright face. */
function uprightness(faces) {
  const of = ({ upright, certainty }) => {
    const [eyes, mouth] = [meanPoint(upright.slice(0, 2)), meanPoint(upright.slice(3))];
    return (certainty * (mouth[1] - eyes[1])) / Math.max(distance(eyes, mouth), 1e-9);
  };
  return Math.max(0, ...faces.map(of));
}

/** A face of a turned picture, in the coordinates of the picture itself. */
function turnBack(face, degrees, { width, height }) {
  const matrix = { 90: [0, -1, width, 1, 0, 0], 180: [-1, 0, width, 0, -1, height], 270: [0, 1, 0, -1, 0, height] }[
    degrees
  ];
  const [left, top, right, bottom] = transformedBounds(matrix, [face.left, face.top, face.right, face.bottom]);
  const landmarks = face.landmarks.map((point) => applyTransform(matrix, point));
  return { ...face, left, top, right, bottom, landmarks };
}
