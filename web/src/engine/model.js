// TER-GAN: f(e) of a crop, the encoded target, and the change to another f(e). See modeling_tergan.py.

import { ExpressionMap } from "./expression-map.js";
import { multiply, rowOf } from "./safetensors.js";

export class Model {
  /**
   * @param run (network, inputs by name, names of outputs) → outputs by name; inputs are {data, dims}.
   * @param manifest model.json. tables: of tables.safetensors.
   */
  constructor(run, manifest, tables) {
    this.runGraph = run;
    this.manifest = manifest;
    this.tables = tables;
    this.size = manifest.image_size;
    this.map = tables["map.axes"] ? new ExpressionMap(tables, manifest) : null;
  }

  get readsBlendshapes() {
    return this.manifest.blendshapes.names.length > 0;
  }

  get setsBlendshapes() {
    return "blendshape_directions" in this.tables;
  }

  /** Pixel values [-1, 1] of crops and, if asked for, of their mirror images, (B, 3, S, S). */
  pixelValues(crops, mirrored = false) {
    const plane = this.size * this.size;
    const views = mirrored ? 2 * crops.length : crops.length;
    const data = new Float32Array(views * 3 * plane);
    crops.forEach((crop, row) => {
      for (let k = 0; k < plane; k++) {
        const column = k % this.size;
        for (let channel = 0; channel < 3; channel++) {
          const value = crop.data[4 * k + channel] * Math.fround(1 / 127.5) - 1;
          data[(row * 3 + channel) * plane + k] = value;
          if (mirrored) data[((crops.length + row) * 3 + channel) * plane + k + this.size - 1 - 2 * column] = value;
        }
      }
    });
    return { data, dims: [views, 3, this.size, this.size] };
  }

  /** f(e) of every row of pixel values. */
  async encodeExpression(pixelValues) {
    const { expression_embedding: found } = await this.runGraph("expression_encoder", { pixel_values: pixelValues });
    const [rows, length] = found.dims;
    return Array.from({ length: rows }, (_, row) => found.data.slice(row * length, (row + 1) * length));
  }

  /** What `change` needs of a target: its pixels, its own f(e), and the outputs of G_et. */
  async encodeTarget(crop) {
    const pixel_values = this.pixelValues([crop]);
    const [own] = await this.encodeExpression(pixel_values);
    const encoded = await this.runGraph("identity_encoder", { pixel_values });
    return { pixel_values, own, encoded };
  }

  /**
   * The change of a target's face to f(e).
   *
   * @returns flow and residual, planes of S×S, and `generated`, the crop in [-1, 1], if asked for.
   */
  async change(embedding, target, intensity, withCrop = false) {
    const exponent = this.manifest.intensity_exponent;
    const way = intensity > 0 && intensity < 1 ? intensity ** exponent : intensity;
    const wanted = target.own.map((value, j) => value + way * (embedding[j] - value));
    const vector = (data) => ({ data, dims: [1, data.length] });
    const inputs = {
      wanted: vector(wanted),
      own: vector(target.own),
      pixel_values: target.pixel_values,
      ...target.encoded,
    };
    return this.runGraph("decoder", inputs, withCrop ? ["generated", "flow", "residual"] : ["flow", "residual"]);
  }

  /**
   * Recognise the expression of a crop.
   *
   * @returns {embedding, scores: {label: score}, blendshapes: {name: value} or null}.
   */
  async recognize(crop) {
    const views = await this.encodeExpression(this.pixelValues([crop], this.manifest.mirror_recognition));
    const embedding = views[0].map((_, j) => views.reduce((sum, view) => sum + view[j], 0) / views.length);
    return {
      embedding,
      scores: this.classify(embedding),
      blendshapes: this.readsBlendshapes ? this.blendshapesOf(views) : null,
    };
  }

  /** The score of each label, which sum to 1. */
  classify(embedding) {
    const logits = multiply(this.tables["classifier.weight"], embedding).map(
      (value, k) => value + this.tables["classifier.bias"].data[k],
    );
    const most = Math.max(...logits);
    const shares = logits.map((value) => Math.exp(value - most));
    const total = shares.reduce((sum, share) => sum + share, 0);
    return Object.fromEntries(this.manifest.labels.map((label, k) => [label, shares[k] / total]));
  }

  /** Blendshapes of f(e): weights from 0 to 1, gaze in degrees. */
  regressBlendshapes(embedding) {
    const { names, gaze_names, gaze_limit } = this.manifest.blendshapes;
    const bias = this.tables["blendshape_regressor.bias"].data;
    return multiply(this.tables["blendshape_regressor.weight"], embedding).map((value, k) => {
      const [low, high] = gaze_names.includes(names[k]) ? [-gaze_limit, gaze_limit] : [0, 1];
      return Math.min(Math.max(value + bias[k], low), high);
    });
  }

  /** Blendshapes of f(e) of a crop and, if there is a second one, of its mirror image, by name. */
  blendshapesOf(views) {
    const { names, mirror_order, mirror_signs } = this.manifest.blendshapes;
    let [values, mirrored] = views.map((view) => this.regressBlendshapes(view));
    if (mirrored) values = values.map((value, k) => (value + mirror_signs[k] * mirrored[mirror_order[k]]) / 2);
    return Object.fromEntries(names.map((name, k) => [name, values[k]]));
  }

  prototype(label) {
    return rowOf(this.tables.expression_prototypes, this.manifest.labels.indexOf(label));
  }

  /** f(e) moved to the prototypes of labels. `shares`: label → share of the way; their sum is at most 1. */
  blend(embedding, shares) {
    const total = Object.values(shares).reduce((sum, share) => sum + share, 0);
    const moved = Float32Array.from(embedding, (value) => (1 - total) * value);
    for (const [label, share] of Object.entries(shares))
      this.prototype(label).forEach((value, j) => (moved[j] += share * value));
    return moved;
  }

  /** f(e) with some blendshapes set: f(e) + Σ_k d_k · (v_k − b_k). `values`: name → value. */
  setBlendshapes(embedding, values) {
    const { names } = this.manifest.blendshapes;
    const now = this.regressBlendshapes(embedding);
    const steps = names.map((name, k) => (name in values ? values[name] - now[k] : 0));
    const moved = multiply(this.tables.blendshape_directions, steps);
    return embedding.map((value, j) => value + moved[j]);
  }
}
