// 2×3 matrices as six numbers [a, b, c, d, e, f]: x' = a x + b y + c, y' = d x + e y + f. Points are [x, y].

export const applyTransform = ([a, b, c, d, e, f], [x, y]) => [a * x + b * y + c, d * x + e * y + f];

/** The matrix that applies `first`, then `second`. */
export function composeTransforms(second, first) {
  const [a, b, c, d, e, f] = second;
  const [p, q, r, s, t, u] = first;
  return [a * p + b * s, a * q + b * t, a * r + b * u + c, d * p + e * s, d * q + e * t, d * r + e * u + f];
}

export const determinant = ([a, b, , d, e]) => a * e - b * d;

export function invertTransform(matrix) {
  const [a, b, c, d, e, f] = matrix;
  const area = determinant(matrix);
  return [e / area, -b / area, (b * f - c * e) / area, -d / area, a / area, (c * d - a * f) / area];
}

export const meanPoint = (points) => {
  const sum = points.reduce(([x, y], point) => [x + point[0], y + point[1]], [0, 0]);
  return [sum[0] / points.length, sum[1] / points.length];
};

/** [left, top, right, bottom] of what a transform makes of a rectangle [left, top, right, bottom]. */
export function transformedBounds(matrix, [left, top, right, bottom]) {
  const corners = [left, right].flatMap((x) => [top, bottom].map((y) => applyTransform(matrix, [x, y])));
  const [xs, ys] = [corners.map(([x]) => x), corners.map(([, y]) => y)];
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

export const distance = (one, other) => Math.hypot(one[0] - other[0], one[1] - other[1]);

/**
 * Fit the weighted least-squares similarity from five landmarks to the template (Umeyama 1991).
 *
 * @param landmarks five points in photo pixels.
 * @param alignment `alignment` of model.json.
 * @returns the crop transform: photo pixels → the unit square of the crop.
 */
export function fitCropTransform(landmarks, { template, weights }) {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const weighted = (points) =>
    points.reduce(
      ([x, y], point, k) => [x + (weights[k] * point[0]) / total, y + (weights[k] * point[1]) / total],
      [0, 0],
    );
  const [from, to] = [weighted(landmarks), weighted(template)];
  let [spread, real, turned] = [0, 0, 0];
  landmarks.forEach((point, k) => {
    const [px, py] = [point[0] - from[0], point[1] - from[1]];
    const [tx, ty] = [template[k][0] - to[0], template[k][1] - to[1]];
    spread += (weights[k] / total) * (px * px + py * py);
    real += (weights[k] / total) * (px * tx + py * ty);
    turned += (weights[k] / total) * (px * ty - py * tx);
  });
  if (!(spread >= 1e-6)) throw new RangeError("the landmarks coincide");
  const [a, b] = [real / spread, turned / spread];
  return [a, -b, to[0] - (a * from[0] - b * from[1]), b, a, to[1] - (b * from[0] + a * from[1])];
}

/** The matrix from a square to one of the same size that is shifted by a share of its side and turned. */
export function shiftAndTurn(right, degrees) {
  const [cos, sin] = [Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180)];
  return [cos, sin, 0.5 - (cos * (0.5 + right) + sin * 0.5), -sin, cos, 0.5 - (-sin * (0.5 + right) + cos * 0.5)];
}
