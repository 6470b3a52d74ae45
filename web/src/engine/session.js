// What the page does with the model: open photos, read expressions, draw results. See demo/edit_session.py.

import { faceAt } from "./face-detection.js";
import { partWeight } from "./face-regions.js";
import { composeTransforms, fitCropTransform } from "./geometry.js";
import { VisitorError, copyOf, decodePhoto, encodePicture, withPatch } from "./image-files.js";
import { prepareChange } from "./paste-back.js";
import { cropFace, cutOut, resize, roundEven } from "./resampling.js";

const [PREVIEW_SIDE, THUMBNAIL_SIDE] = [720, 160];
const NO_FACE =
  "no face was found. Try a photo that shows a whole face from the front, upright, well lit and not too small.";

export class Session {
  constructor(model, detector, paster) {
    [this.model, this.detector, this.paster] = [model, detector, paster];
    this.provenance = model.manifest.provenance;
    this.photos = new Map(); // slot → opened photo
    this.expressions = new Map(); // address of an example → f(e)
  }

  /**
   * Open a photo in a slot, and choose a face.
   *
   * @param point [x, y] in photo pixels on the face; default: the largest face.
   * @returns faces and thumbnails for the page.
   */
  async openPhoto(slot, file, name, point) {
    this.photos.delete(slot);
    const copy = await copyOf(file, name);
    const photo = await decodePhoto(copy, name);
    const faces = await this.detector.detect(photo);
    if (!faces.length) throw new VisitorError(`${name}: ${NO_FACE}`);
    return this.keep(
      slot,
      { file: copy, name, faces, ...reduced(photo, PREVIEW_SIDE) },
      photo,
      point ? faceAt(faces, point) : 0,
    );
  }

  /** Choose another face, by its index or by a point in photo pixels. */
  async chooseFace(slot, choice) {
    const opened = this.opened(slot);
    const chosen = Array.isArray(choice) ? faceAt(opened.faces, choice) : choice;
    return this.keep(slot, opened, await decodePhoto(opened.file, opened.name), chosen);
  }

  async keep(slot, opened, photo, chosen) {
    const { profile } = photo;
    const transform = fitCropTransform(opened.faces[chosen].landmarks, this.model.manifest.alignment);
    const crop = cropFace(photo, transform, this.model.size);
    const closeup = reduced(cutAround(photo, opened.faces[chosen].box), THUMBNAIL_SIDE);
    this.photos.set(slot, { ...opened, chosen, transform, crop, closeup, profile, target: null, embedding: null });
    const thumbnails =
      opened.faces.length > 1
        ? opened.faces.map(({ box }) => reduced(cutAround(photo, box), THUMBNAIL_SIDE).picture)
        : [];
    return {
      width: photo.width,
      height: photo.height,
      chosen,
      faces: opened.faces,
      thumbnails: await Promise.all(thumbnails.map((picture) => this.encode(picture, { profile }))),
      before: await this.encode(opened.picture, { profile }),
    };
  }

  closePhoto(slot) {
    this.photos.delete(slot);
  }

  swapPhotos(one, other) {
    const [first, second] = [this.photos.get(one), this.photos.get(other)];
    for (const [slot, photo] of [
      [one, second],
      [other, first],
    ]) {
      if (photo) this.photos.set(slot, photo);
      else this.photos.delete(slot);
    }
  }

  opened(slot) {
    const photo = this.photos.get(slot);
    if (!photo)
      throw new VisitorError("Please add a photo first: choose a file, use your webcam, or click an example.");
    return photo;
  }

  async target(slot) {
    const photo = this.opened(slot);
    photo.target ??= await this.model.encodeTarget(photo.crop);
    return photo.target;
  }

  /** f(e) of the face in a slot. */
  async embeddingOf(slot) {
    const photo = this.opened(slot);
    photo.embedding ??=
      photo.target?.own ?? (await this.model.encodeExpression(this.model.pixelValues([photo.crop])))[0];
    return photo.embedding;
  }

  /**
   * f(e) of a wanted expression: {slot}, {label}, {point} of the map, {example} by its address, {embedding} itself, or
   * {labels, values}: shares of labels, then values of blendshapes, for the face in the slot {of}.
   *
   * @param own f(e) of another face than that in {of}.
   */
  async resolve({ slot, label, point, example, embedding, labels, values, of }, own) {
    if (embedding) return embedding;
    if (values)
      return this.model.setBlendshapes(this.model.blend(own ?? (await this.embeddingOf(of)), labels), values);
    if (slot) return this.embeddingOf(slot);
    if (label) return this.model.prototype(label);
    if (point) return this.model.map.expressionAt(point);
    if (!this.expressions.has(example)) {
      const photo = await decodePhoto(await (await fetch(example)).blob(), "example");
      const [face] = await this.detector.detect(photo);
      if (!face) throw new VisitorError(`${example}: ${NO_FACE}`);
      const crop = cropFace(photo, fitCropTransform(face.landmarks, this.model.manifest.alignment), this.model.size);
      this.expressions.set(example, (await this.model.encodeExpression(this.model.pixelValues([crop])))[0]);
    }
    return this.expressions.get(example);
  }

  /** The preview of a photo with an expression, as a JPEG file. `settings`: {intensity, mark, parts}. */
  async draw(slot, expression, settings) {
    const photo = this.opened(slot);
    const patch = await this.change(photo, await this.target(slot), expression, settings, photo);
    return this.encode(withPatch(photo.picture, patch), { mark: settings.mark, profile: photo.profile });
  }

  /** A small picture of the face with an expression, as a JPEG file. */
  async drawCloseup(slot, expression, intensity) {
    const photo = this.opened(slot);
    const patch = await this.change(photo, await this.target(slot), expression, { intensity }, photo.closeup);
    return this.encode(withPatch(photo.closeup.picture, patch), { quality: 0.8, profile: photo.profile });
  }

  /** The result at the photo's own size, as a file. */
  async download(slot, expression, settings, kind) {
    const photo = this.opened(slot);
    const target = await this.target(slot);
    const { profile, ...picture } = await decodePhoto(photo.file, photo.name);
    const patch = await this.change(photo, target, expression, settings, { picture, toPhoto: [1, 0, 0, 0, 1, 0] });
    return this.encode(withPatch(picture, patch), { kind, quality: 0.95, mark: settings.mark, profile });
  }

  /** The changed part of a view of a photo. `view`: {picture, toPhoto}, pixels of the view → photo pixels. */
  async change(photo, target, expression, { intensity = 1, parts }, { picture, toPhoto }) {
    const [low, high] = this.model.manifest.intensities;
    const change = await this.model.change(
      await this.resolve(expression),
      target,
      Math.min(Math.max(intensity, low), high),
    );
    const transform = composeTransforms(photo.transform, toPhoto);
    const { blending } = this.model.manifest;
    return this.paster.paste(prepareChange(picture, transform, this.model.size, change, partWeight(parts), blending));
  }

  /** The scores, and blendshapes if the model reads them, of every face of a photo. */
  async recognize(file, name) {
    const photo = await decodePhoto(file, name);
    const faces = await this.detector.detect(photo);
    if (!faces.length) throw new VisitorError(`${name}: ${NO_FACE}`);
    const read = [];
    for (const face of faces) read.push({ box: face.box, ...(await this.read(photo, face.landmarks)) });
    return {
      faces: read,
      width: photo.width,
      height: photo.height,
      before: await this.encode(reduced(photo, PREVIEW_SIDE).picture, { profile: photo.profile }),
    };
  }

  /** The scores, blendshapes and place on the map of a face. */
  async read(picture, landmarks) {
    const crop = cropFace(picture, fitCropTransform(landmarks, this.model.manifest.alignment), this.model.size);
    const { embedding, ...found } = await this.model.recognize(crop);
    return { ...found, place: this.model.map?.locate(embedding) ?? null };
  }

  /** The blendshapes of the face in a slot after it has moved to some labels, each by its share. */
  async startingBlendshapes(slot, labels) {
    const read = this.model.regressBlendshapes(this.model.blend(await this.embeddingOf(slot), labels));
    return Object.fromEntries(this.model.manifest.blendshapes.names.map((name, k) => [name, read[k]]));
  }

  /** The place of a wanted expression on the map. */
  async place(expression) {
    return this.model.map?.locate(await this.resolve(expression)) ?? null;
  }

  encode(picture, settings) {
    return encodePicture(picture, this.provenance, settings);
  }
}

/** A view of a picture with at most `side` pixels on its longer side: {picture, toPhoto}. */
function reduced({ picture, toPhoto = [1, 0, 0, 0, 1, 0], ...own }, side) {
  const whole = picture ?? own;
  const scale = Math.min(1, side / Math.max(whole.width, whole.height));
  const [width, height] = [whole.width, whole.height].map((length) => Math.max(1, roundEven(length * scale)));
  const small = scale < 1 ? resize(whole, width, height, "lanczos") : { width, height, data: whole.data };
  return {
    picture: small,
    toPhoto: composeTransforms(toPhoto, [whole.width / width, 0, 0, 0, whole.height / height, 0]),
  };
}

/** A square around a face with a margin, clipped to the photo. */
function cutAround(photo, [left, top, right, bottom]) {
  const [x, y, half] = [(left + right) / 2, (top + bottom) / 2, 0.68 * Math.max(right - left, bottom - top)];
  const [x0, y0] = [Math.max(0, Math.round(x - half)), Math.max(0, Math.round(y - half))];
  const [x1, y1] = [Math.min(photo.width, Math.round(x + half)), Math.min(photo.height, Math.round(y + half))];
  return { picture: cutOut(photo, x0, y0, Math.max(x0 + 1, x1), Math.max(y0 + 1, y1)), toPhoto: [1, 0, x0, 0, 1, y0] };
}
