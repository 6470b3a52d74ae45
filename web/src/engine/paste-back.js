// Paste a change back into a photo, at the photo's own resolution. See face_blending_tergan.py.

import { determinant, invertTransform, transformedBounds } from "./geometry.js";

const CUBIC = -0.75; // PyTorch's
export const CHANNELS = 5; // red, green, blue to add; offset across and down in photo pixels

const near = (x) => ((CUBIC + 2) * x - (CUBIC + 3)) * x * x + 1;
const far = (x) => ((CUBIC * x - 5 * CUBIC) * x + 8 * CUBIC) * x - 4 * CUBIC;

/** The four weights of cubic interpolation at a share between two samples. */
function setCubicWeights(weights, share) {
  weights[0] = far(1 + share);
  weights[1] = near(share);
  weights[2] = near(1 - share);
  weights[3] = far(2 - share);
}

/**
 * The part of a photo that a change reaches, and the change as maps over the crop.
 *
 * @param photo a picture. size: S. change: {flow, residual} of the decoder.
 * @param weight a function of the row of the crop, by which the change is multiplied, or null.
 * @param blending `blending` of model.json.
 */
export function prepareChange(photo, cropTransform, size, { flow, residual }, weight, blending) {
  const { outside } = blending.movement;
  const toPhoto = invertTransform(cropTransform);
  const bounds = transformedBounds(toPhoto, [-outside, -outside, 1 + outside, 1 + outside]);
  const [left, top] = bounds.slice(0, 2).map((value) => Math.max(0, Math.floor(value)));
  const width = Math.max(0, Math.min(photo.width, Math.ceil(bounds[2])) - left);
  const height = Math.max(0, Math.min(photo.height, Math.ceil(bounds[3])) - top);
  const magnification = 1 / (size * Math.sqrt(Math.abs(determinant(cropTransform))));
  const plane = size * size;
  let maps = { size, data: new Float32Array(CHANNELS * plane) };
  for (let k = 0; k < plane; k++) {
    const share = weight ? weight((Math.floor(k / size) + 0.5) / size) : 1;
    for (let channel = 0; channel < 3; channel++)
      maps.data[CHANNELS * k + channel] = share * residual.data[channel * plane + k] * 127.5;
    // The network's coordinates span [-1, 1]: two of them are the crop's side.
    const [x, y] = [(share * flow.data[k]) / 2, (share * flow.data[plane + k]) / 2];
    maps.data[CHANNELS * k + 3] = toPhoto[0] * x + toPhoto[1] * y;
    maps.data[CHANNELS * k + 4] = toPhoto[3] * x + toPhoto[4] * y;
  }
  const fine = magnification < blending.fine_below;
  if (!fine && Math.sqrt(width * height) / size > blending.creased_above) maps = enlargeTwice(maps);
  const [a, b, c, d, e, f] = cropTransform;
  const toCrop = [a, b, a * left + b * top + c, d, e, d * left + e * top + f];
  return {
    photo,
    left,
    top,
    width,
    height,
    toCrop,
    maps,
    fine,
    sharp: magnification > blending.sharp_above,
    blending,
  };
}

/** `F.interpolate` with scale factor 2 and cubic interpolation. */
function enlargeTwice({ size, data }) {
  const weights = [new Float64Array(4), new Float64Array(4)];
  setCubicWeights(weights[0], 0.75);
  setCubicWeights(weights[1], 0.25);
  const large = 2 * size;
  const clamp = (index) => Math.min(Math.max(index, 0), size - 1);
  const wide = new Float32Array(CHANNELS * large * size);
  const made = new Float32Array(CHANNELS * large * large);
  for (let x = 0; x < large; x++) {
    const first = (x >> 1) - (x % 2 ? 1 : 2);
    for (let tap = 0; tap < 4; tap++) {
      const weight = weights[x % 2][tap];
      let from = CHANNELS * clamp(first + tap);
      for (let to = CHANNELS * x; to < wide.length; to += CHANNELS * large, from += CHANNELS * size) {
        for (let k = 0; k < CHANNELS; k++) wide[to + k] += weight * data[from + k];
      }
    }
  }
  const row = CHANNELS * large;
  for (let y = 0; y < large; y++) {
    const first = (y >> 1) - (y % 2 ? 1 : 2);
    for (let tap = 0; tap < 4; tap++) {
      const weight = weights[y % 2][tap];
      const [to, from] = [y * row, clamp(first + tap) * row];
      for (let k = 0; k < row; k++) made[to + k] += weight * wide[from + k];
    }
  }
  return { size: large, data: made };
}

/** Weight of a change: 1 inside, falling smoothly to 0 at the end of the fade. `fromMiddle` is 1 at the crop's border. */
function fadeWeight(inside, outside, fromMiddle) {
  const ramp = Math.min(Math.max((1 + 2 * outside - fromMiddle) / (2 * (inside + outside)), 0), 1);
  return ramp * ramp * (3 - 2 * ramp);
}

/**
 * The new pixels of the region of a change, computed on the CPU.
 *
 * @param change result of `prepareChange`.
 * @returns {left, top, width, height, data}.
 */
export function pasteOnCpu({ photo, left, top, width, height, toCrop, maps, fine, sharp, blending }) {
  const [a, b, c, d, e, f] = toCrop;
  const { paint, movement, still } = blending;
  const result = new Uint8ClampedArray(4 * width * height);
  const added = new Float64Array(CHANNELS);
  const seen = new Float64Array(3);
  const lookUp = sampler(maps.data, maps.size, maps.size, CHANNELS, CHANNELS, fine);
  const fetch = sampler(photo.data, photo.width, photo.height, 4, 3, sharp);
  for (let row = 0; row < height; row++) {
    const own = 4 * ((top + row) * photo.width + left);
    result.set(photo.data.subarray(own, own + 4 * width), 4 * row * width);
    for (let column = 0; column < width; column++) {
      const u = a * (column + 0.5) + b * (row + 0.5) + c;
      const v = d * (column + 0.5) + e * (row + 0.5) + f;
      const fromMiddle = Math.max(Math.abs(2 * u - 1), Math.abs(2 * v - 1));
      const moving = fadeWeight(movement.inside, movement.outside, fromMiddle);
      const painted = fadeWeight(paint.inside, paint.outside, fromMiddle);
      if (moving <= 0 && painted <= 0) continue;
      const to = 4 * (row * width + column);
      lookUp(u * maps.size - 0.5, v * maps.size - 0.5, added);
      const across = moving * added[3];
      const down = moving * added[4];
      if (Math.abs(across) < still && Math.abs(down) < still) {
        for (let k = 0; k < 3; k++) seen[k] = result[to + k];
      } else {
        fetch(left + column + across, top + row + down, seen);
      }
      // Uint8ClampedArray rounds half to even, as PyTorch does.
      result[to] = seen[0] + painted * added[0];
      result[to + 1] = seen[1] + painted * added[1];
      result[to + 2] = seen[2] + painted * added[2];
    }
  }
  return { left, top, width, height, data: result };
}

/** A function (x, y, target) that interpolates `count` channels at a place; at (0, 0) is the first value. The border repeats. */
function sampler(data, width, height, stride, count, cubic) {
  return cubic
    ? cubicSampler(data, width, height, stride, count)
    : bilinearSampler(data, width, height, stride, count);
}

function bilinearSampler(data, width, height, stride, count) {
  return (x, y, target) => {
    x = Math.min(Math.max(x, 0), width - 1);
    y = Math.min(Math.max(y, 0), height - 1);
    const left = Math.floor(x);
    const top = Math.floor(y);
    const across = x - left;
    const down = y - top;
    const a = stride * (top * width + left);
    const b = left + 1 < width ? a + stride : a;
    const below = top + 1 < height ? stride * width : 0;
    const weightA = (1 - across) * (1 - down);
    const weightB = across * (1 - down);
    const weightC = (1 - across) * down;
    const weightD = across * down;
    for (let k = 0; k < count; k++) {
      target[k] =
        weightA * data[a + k] + weightB * data[b + k] + weightC * data[a + below + k] + weightD * data[b + below + k];
    }
  };
}

function cubicSampler(data, width, height, stride, count) {
  const across = new Float64Array(4);
  const down = new Float64Array(4);
  return (x, y, target) => {
    const left = Math.floor(x);
    const top = Math.floor(y);
    setCubicWeights(across, x - left);
    setCubicWeights(down, y - top);
    for (let k = 0; k < count; k++) target[k] = 0;
    for (let j = 0; j < 4; j++) {
      const row = width * Math.min(Math.max(top - 1 + j, 0), height - 1);
      for (let i = 0; i < 4; i++) {
        const weight = down[j] * across[i];
        const from = stride * (row + Math.min(Math.max(left - 1 + i, 0), width - 1));
        for (let k = 0; k < count; k++) target[k] += weight * data[from + k];
      }
    }
  };
}
