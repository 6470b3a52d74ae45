// Pillow's resampling, to the bit: the landmarks and crops must be those of the Python package.
// A picture is {width, height, data}, RGBA bytes, as ImageData has them. Alpha is always 255.

import { determinant, invertTransform, transformedBounds } from "./geometry.js";

const PRECISION = 22; // bits of a weight

const FILTERS = {
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  lanczos: { support: 3, weight: (x) => (Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0) },
};

const sinc = (x) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));

/** Round half to even, as Python does. */
export function roundEven(value) {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return rest < 0.5 ? below : below + 1;
  return below % 2 === 0 ? below : below + 1;
}

export const newPicture = (width, height) => ({ width, height, data: new Uint8ClampedArray(4 * width * height) });

function weightsOf(inSize, outSize, filter) {
  const scale = inSize / outSize;
  const filterScale = Math.max(scale, 1);
  const support = filter.support * filterScale;
  const most = Math.ceil(support) * 2 + 1;
  const starts = new Int32Array(outSize);
  const counts = new Int32Array(outSize);
  const weights = new Int32Array(outSize * most);
  for (let out = 0; out < outSize; out++) {
    const centre = (out + 0.5) * scale;
    const start = Math.max(0, Math.trunc(centre - support + 0.5));
    const count = Math.min(inSize, Math.trunc(centre + support + 0.5)) - start;
    const own = [];
    for (let k = 0; k < count; k++) own.push(filter.weight((k + start - centre + 0.5) / filterScale));
    const sum = own.reduce((total, weight) => total + weight, 0);
    own.forEach((weight, k) => {
      const exact = (weight / sum) * 2 ** PRECISION;
      weights[out * most + k] = Math.trunc(exact + (exact < 0 ? -0.5 : 0.5));
    });
    starts[out] = start;
    counts[out] = count;
  }
  return { starts, counts, weights, most };
}

/** `Image.resize` with Pillow's antialiased filters. */
export function resize(picture, width, height, filterName = "bilinear") {
  const filter = FILTERS[filterName];
  let current = picture;
  if (width !== picture.width) current = resizeRows(current, width, weightsOf(picture.width, width, filter));
  if (height !== picture.height) current = resizeColumns(current, height, weightsOf(picture.height, height, filter));
  return current;
}

function resizeRows({ width, height, data }, outWidth, { starts, counts, weights, most }) {
  const result = newPicture(outWidth, height);
  const made = result.data;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < outWidth; x++) {
      let [red, green, blue] = [2 ** (PRECISION - 1), 2 ** (PRECISION - 1), 2 ** (PRECISION - 1)];
      let from = 4 * (y * width + starts[x]);
      for (let k = x * most, end = k + counts[x]; k < end; k++, from += 4) {
        const weight = weights[k];
        red += data[from] * weight;
        green += data[from + 1] * weight;
        blue += data[from + 2] * weight;
      }
      const to = 4 * (y * outWidth + x);
      made[to] = red >> PRECISION;
      made[to + 1] = green >> PRECISION;
      made[to + 2] = blue >> PRECISION;
      made[to + 3] = 255;
    }
  }
  return result;
}

function resizeColumns({ width, data }, outHeight, { starts, counts, weights, most }) {
  const result = newPicture(width, outHeight);
  const made = result.data;
  const sums = new Int32Array(4 * width);
  for (let y = 0; y < outHeight; y++) {
    sums.fill(2 ** (PRECISION - 1));
    for (let k = 0; k < counts[y]; k++) {
      const weight = weights[y * most + k];
      const from = 4 * width * (starts[y] + k);
      for (let x = 0; x < 4 * width; x++) sums[x] += data[from + x] * weight;
    }
    const to = 4 * width * y;
    for (let x = 0; x < 4 * width; x++) made[to + x] = sums[x] >> PRECISION;
    for (let x = 3; x < 4 * width; x += 4) made[to + x] = 255;
  }
  return result;
}

/** The part of a picture from (left, top) to (right, bottom). Outside the picture its edge repeats. */
export function cutOut(picture, left, top, right, bottom) {
  const cut = newPicture(right - left, bottom - top);
  const from = new Uint32Array(picture.data.buffer, picture.data.byteOffset, picture.width * picture.height);
  const to = new Uint32Array(cut.data.buffer);
  const inside = left >= 0 && right <= picture.width;
  for (let y = 0; y < cut.height; y++) {
    const row = picture.width * Math.min(Math.max(top + y, 0), picture.height - 1);
    if (inside) {
      to.set(from.subarray(row + left, row + right), y * cut.width);
      continue;
    }
    for (let x = 0; x < cut.width; x++) {
      to[y * cut.width + x] = from[row + Math.min(Math.max(left + x, 0), picture.width - 1)];
    }
  }
  return cut;
}

/** `Image.transform` with AFFINE and BILINEAR: `matrix` maps output pixels to input pixels. */
function transformBilinear({ width, height, data }, size, [a, b, c, d, e, f]) {
  const result = newPicture(size, size);
  const made = result.data;
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      const to = 4 * (row * size + column);
      made[to + 3] = 255;
      const x = a * (column + 0.5) + b * (row + 0.5) + c;
      const y = d * (column + 0.5) + e * (row + 0.5) + f;
      if (x < 0 || x >= width || y < 0 || y >= height) continue;
      const left = Math.floor(x - 0.5);
      const top = Math.floor(y - 0.5);
      const across = x - 0.5 - left;
      const down = y - 0.5 - top;
      const [x0, x1] = [4 * Math.max(left, 0), 4 * Math.min(left + 1, width - 1)];
      const y0 = 4 * width * Math.max(top, 0);
      const y1 = top + 1 < height ? 4 * width * (top + 1) : y0;
      for (let channel = 0; channel < 3; channel++) {
        const above = data[y0 + x0 + channel] * (1 - across) + data[y0 + x1 + channel] * across;
        const below = data[y1 + x0 + channel] * (1 - across) + data[y1 + x1 + channel] * across;
        made[to + channel] = Math.trunc(above * (1 - down) + below * down);
      }
    }
  }
  return result;
}

/**
 * Crop a face as `crop_face` does. If the crop is coarser than the photo, the photo is reduced first.
 *
 * @param cropTransform photo pixels → the unit square.
 * @returns a picture of size×size.
 */
export function cropFace(photo, cropTransform, size) {
  const toPhoto = invertTransform(cropTransform);
  const bounds = transformedBounds(toPhoto, [0, 0, 1, 1]);
  const ratio = Math.sqrt(Math.abs(determinant(toPhoto))) / size;
  const border = Math.ceil(2 * Math.max(1, ratio)) + 1;
  const [left, top] = bounds.slice(0, 2).map((value) => Math.floor(value) - border);
  const [right, bottom] = bounds.slice(2).map((value) => Math.ceil(value) + border);
  let patch = cutOut(photo, left, top, right, bottom);
  let [a, b, c, d, e, f] = toPhoto;
  [c, f] = [c - left, f - top];
  if (ratio > 1) {
    const width = Math.max(1, roundEven(patch.width / ratio));
    const height = Math.max(1, roundEven(patch.height / ratio));
    const [across, down] = [width / patch.width, height / patch.height];
    patch = resize(patch, width, height);
    [a, b, c, d, e, f] = [a * across, b * across, c * across, d * down, e * down, f * down];
  }
  return transformBilinear(patch, size, [a / size, b / size, c, d / size, e / size, f]);
}

/** A picture turned counterclockwise by 90, 180 or 270 degrees. */
export function turn(picture, degrees) {
  const { width, height } = picture;
  const turned = degrees === 180 ? newPicture(width, height) : newPicture(height, width);
  const from = new Uint32Array(picture.data.buffer, picture.data.byteOffset, width * height);
  const to = new Uint32Array(turned.data.buffer);
  for (let y = 0; y < turned.height; y++) {
    for (let x = 0; x < turned.width; x++) {
      const source = {
        90: x * width + (width - 1 - y),
        180: (height - 1 - y) * width + (width - 1 - x),
        270: (height - 1 - x) * width + y,
      };
      to[y * turned.width + x] = from[source[degrees]];
    }
  }
  return turned;
}
