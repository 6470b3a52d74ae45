// MTCNN's arithmetic on boxes, see facenet-pytorch's detect_face. A box is {left, top, right, bottom, score, …}.

export const area = (box) => (box.right - box.left) * (box.bottom - box.top);

/**
 * Non-maximum suppression.
 *
 * @param smaller divide the intersection by the smaller box instead of the union, and count borders as pixels.
 * @returns the boxes that stay, the surest first.
 */
export function suppress(boxes, threshold, smaller = false) {
  const extra = smaller ? 1 : 0;
  const size = (box) => (box.right - box.left + extra) * (box.bottom - box.top + extra);
  const kept = [];
  for (const box of [...boxes].sort((one, other) => other.score - one.score)) {
    const overlaps = kept.some((other) => {
      const width = Math.min(box.right, other.right) - Math.max(box.left, other.left) + extra;
      const height = Math.min(box.bottom, other.bottom) - Math.max(box.top, other.top) + extra;
      const shared = Math.max(0, width) * Math.max(0, height);
      const whole = smaller ? Math.min(size(box), size(other)) : size(box) + size(other) - shared;
      return shared / whole > threshold;
    });
    if (!overlaps) kept.push(box);
  }
  return kept;
}

/** Move the sides of a box by shares of its width and height. `extra` is 1 where borders count as pixels. */
export function moveSides(box, offsets, extra) {
  const [width, height] = [box.right - box.left + extra, box.bottom - box.top + extra];
  return {
    ...box,
    left: box.left + offsets[0] * width,
    top: box.top + offsets[1] * height,
    right: box.right + offsets[2] * width,
    bottom: box.bottom + offsets[3] * height,
  };
}

/** The square about the same centre whose side is the longer side of the box. */
export function toSquare(box) {
  const [width, height] = [box.right - box.left, box.bottom - box.top];
  const side = Math.max(width, height);
  const [left, top] = [box.left + width / 2 - side / 2, box.top + height / 2 - side / 2];
  return { ...box, left, top, right: left + side, bottom: top + side };
}

/** The pixels of a box that lie in the image, `null` if there are none. */
export function pixelsOf(box, width, height) {
  const left = Math.max(1, Math.trunc(box.left)) - 1;
  const top = Math.max(1, Math.trunc(box.top)) - 1;
  const right = Math.min(width, Math.trunc(box.right));
  const bottom = Math.min(height, Math.trunc(box.bottom));
  return right > left && bottom > top ? { left, top, right, bottom } : null;
}
