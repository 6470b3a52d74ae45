// The expression map: the plane through f(e) on which the training photos spread most. See evaluation/expression_map.py.

import { rowOf } from "./safetensors.js";

export class ExpressionMap {
  constructor(tables, manifest) {
    this.embeddings = tables["map.embeddings"];
    this.labels = tables["map.labels"].data;
    this.mean = tables["map.mean"].data;
    this.axes = tables["map.axes"];
    this.expressions = manifest.labels;
    this.points = Array.from(this.labels, (_, k) => this.locate(rowOf(this.embeddings, k)));
    const spread = [0, 1].map((axis) => extent(this.points.map((point) => point[axis])));
    this.deviation = manifest.blending.map_neighbourhood * Math.max(...spread.map(([low, high]) => high - low));
    const margin = 0.04 * Math.max(...spread.map(([low, high]) => high - low));
    const [[left, right], [bottom, top]] = spread;
    this.range = [left - margin, bottom - margin, right + margin, top + margin];
  }

  /** The point of an f(e). */
  locate(embedding) {
    return [0, 1].map((k) =>
      rowOf(this.axes, k).reduce((sum, value, j) => sum + value * (embedding[j] - this.mean[j]), 0),
    );
  }

  /** The f(e) of a point: on the plane the point itself, across it the weighted mean of the photos around. */
  expressionAt(point) {
    const distances = this.points.map(([x, y]) => (x - point[0]) ** 2 + (y - point[1]) ** 2);
    const nearest = Math.min(...distances);
    const weights = distances.map((distance) => Math.exp((nearest - distance) / (2 * this.deviation ** 2)));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const onPlane = ([x, y]) =>
      this.mean.map((value, j) => value + x * rowOf(this.axes, 0)[j] + y * rowOf(this.axes, 1)[j]);
    const result = onPlane(point);
    this.points.forEach((own, k) => {
      if (weights[k] / total < 1e-7) return;
      const base = onPlane(own);
      rowOf(this.embeddings, k).forEach((value, j) => (result[j] += (weights[k] / total) * (value - base[j])));
    });
    return result;
  }

  /** What the view of the map draws. */
  get photos() {
    const groups = this.expressions.map((name, label) => {
      const points = this.points.filter((_, k) => this.labels[k] === label);
      return { name, points, centre: [0, 1].map((axis) => median(points.map((point) => point[axis]))) };
    });
    return { range: this.range, groups: groups.filter(({ points }) => points.length) };
  }
}

const extent = (values) => [Math.min(...values), Math.max(...values)];

function median(values) {
  const sorted = [...values].sort((one, other) => one - other);
  const middle = sorted.length / 2;
  return sorted.length ? (sorted[Math.ceil(middle) - 1] + sorted[Math.floor(middle)]) / 2 : 0;
}
