// MTCNN (Zhang et al. 2016) as facenet-pytorch runs it: three networks, each keeps fewer boxes than the one before.

import { moveSides, pixelsOf, suppress, toSquare } from "./boxes.js";

const [STRIDE, CELL] = [2, 12]; // of P-Net, in its input
const [RNET_SIDE, MOST_BOXES] = [24, 512];

/**
 * Reduce or enlarge a part of a picture by area (adaptive average pooling), into planes of 0 to 255.
 *
 * @param part {left, top, right, bottom}, whole pixels.
 * @param target Float32Array that takes 3·height·width values from `offset` on.
 */
function resampleByArea(picture, part, width, height, target, offset = 0) {
  const [inWidth, inHeight] = [part.right - part.left, part.bottom - part.top];
  const columns = Array.from({ length: width }, (_, x) => [
    part.left + Math.floor((x * inWidth) / width),
    part.left + Math.ceil(((x + 1) * inWidth) / width),
  ]);
  const { data } = picture;
  const plane = width * height;
  for (let y = 0; y < height; y++) {
    const top = part.top + Math.floor((y * inHeight) / height);
    const bottom = part.top + Math.ceil(((y + 1) * inHeight) / height);
    for (let x = 0; x < width; x++) {
      const [left, right] = columns[x];
      let [red, green, blue] = [0, 0, 0];
      for (let row = top; row < bottom; row++) {
        for (let from = 4 * (row * picture.width + left), end = from + 4 * (right - left); from < end; from += 4) {
          red += data[from];
          green += data[from + 1];
          blue += data[from + 2];
        }
      }
      const count = (bottom - top) * (right - left);
      const to = offset + y * width + x;
      target[to] = red / count;
      target[to + plane] = green / count;
      target[to + 2 * plane] = blue / count;
    }
  }
}

/**
 * Find faces in a picture at the size of the search.
 *
 * @param run (network, pixels, shape) → outputs by name, Float32Arrays with `dims`.
 * @param settings `detection` of model.json.
 * @returns boxes with `score`, and five `landmarks` [x, y].
 */
export async function detectFaces(run, settings, picture) {
  let boxes = await proposeBoxes(run, settings, picture);
  boxes = await refineBoxes(run, "rnet", RNET_SIDE, settings.thresholds[1], boxes, picture);
  boxes = suppress(boxes, 0.7).map((box) => toSquare(moveSides(box, box.offsets, 1)));
  boxes = await refineBoxes(run, "onet", settings.onet_side, settings.thresholds[2], boxes, picture);
  const found = boxes.map((box) => {
    const [width, height] = [box.right - box.left + 1, box.bottom - box.top + 1];
    const landmarks = Array.from({ length: 5 }, (_, k) => [
      width * box.points[k] + box.left - 1,
      height * box.points[k + 5] + box.top - 1,
    ]);
    return { ...moveSides(box, box.offsets, 1), landmarks };
  });
  return suppress(found, 0.7, true);
}

async function proposeBoxes(run, settings, picture) {
  const { width, height } = picture;
  const whole = { left: 0, top: 0, right: width, bottom: height };
  const candidates = [];
  let scale = CELL / settings.smallest_face;
  for (let side = Math.min(width, height) * scale; side >= CELL; side *= settings.factor, scale *= settings.factor) {
    const [scaledWidth, scaledHeight] = [Math.trunc(width * scale + 1), Math.trunc(height * scale + 1)];
    const pixels = new Float32Array(3 * scaledWidth * scaledHeight);
    resampleByArea(picture, whole, scaledWidth, scaledHeight, pixels);
    const { scores, offsets } = await run("pnet", pixels, [1, 3, scaledHeight, scaledWidth]);
    const [, rows, columns] = scores.dims;
    const boxes = [];
    const single = Math.fround(scale);
    for (let k = 0; k < rows * columns; k++) {
      if (scores.data[k] < settings.thresholds[0]) continue;
      const [x, y] = [STRIDE * (k % columns), STRIDE * Math.floor(k / columns)];
      boxes.push({
        left: Math.floor(Math.fround((x + 1) / single)),
        top: Math.floor(Math.fround((y + 1) / single)),
        right: Math.floor(Math.fround((x + CELL) / single)),
        bottom: Math.floor(Math.fround((y + CELL) / single)),
        score: scores.data[k],
        offsets: [0, 1, 2, 3].map((side) => offsets.data[side * rows * columns + k]),
      });
    }
    candidates.push(...suppress(boxes, 0.5));
  }
  return suppress(candidates, 0.7).map((box) => toSquare(moveSides(box, box.offsets, 0)));
}

/** Let R- or O-Net look at boxes; those above the threshold stay, with its score, `offsets` and `points`. */
async function refineBoxes(run, network, side, threshold, boxes, picture) {
  const parts = boxes.map((box) => ({ box, part: pixelsOf(box, picture.width, picture.height) }));
  const visible = parts.filter(({ part }) => part);
  const kept = [];
  const length = 3 * side * side;
  for (let start = 0; start < visible.length; start += MOST_BOXES) {
    const batch = visible.slice(start, start + MOST_BOXES);
    const pixels = new Float32Array(batch.length * length);
    batch.forEach(({ part }, k) => resampleByArea(picture, part, side, side, pixels, k * length));
    const { scores, offsets, landmarks } = await run(network, pixels, [batch.length, 3, side, side]);
    batch.forEach(({ box }, k) => {
      if (scores.data[k] <= threshold) return;
      kept.push({
        ...box,
        score: scores.data[k],
        offsets: offsets.data.slice(4 * k, 4 * k + 4),
        points: landmarks?.data.slice(10 * k, 10 * k + 10),
      });
    });
  }
  return kept;
}
