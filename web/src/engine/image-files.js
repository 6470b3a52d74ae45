// Visitors' photos: decode a file as upright RGB, or say in a sentence why not. Encode results.

import { leavesColours } from "./colours.js";
import { drawMark, readProfile, withNotice } from "./provenance.js";
import { newPicture } from "./resampling.js";

const MOST_PIXELS = 60e6;
const WHITE = "#fff";
const NO_MEMORY = "the photo is too large for the memory of this browser. Reduce it.";

/** An error whose message is for visitors. */
export class VisitorError extends Error {}

/** A copy of a file in memory: the file itself may be moved or overwritten while the page is open. */
export async function copyOf(file, name) {
  try {
    return new Blob([await file.arrayBuffer()], { type: file.type });
  } catch {
    throw new VisitorError(`${name}: the file cannot be read any more. Choose it again.`);
  }
}

/**
 * Decode a photo.
 *
 * @param file a Blob. name: of the photo in messages.
 * @returns {width, height, data, profile}: RGBA bytes with alpha 255, and the bytes of its colour profile or null. The
 *   pixels are those of the file, with its profile. If results cannot carry the profile, or the browser converts all
 *   photos to sRGB, the pixels are in sRGB and the profile is null. Transparency becomes white; an animation gives its
 *   first frame.
 */
export async function decodePhoto(file, name) {
  let bitmap, profile;
  try {
    const found = await readProfile(new Uint8Array(await file.arrayBuffer()));
    profile = found.profile;
    const colorSpaceConversion = found.converted ? "default" : "none";
    bitmap = await createImageBitmap(file, { colorSpaceConversion, premultiplyAlpha: "none" });
  } catch {
    throw new VisitorError(`${name}: this browser cannot read the file as a photo. Use JPEG, PNG or WebP.`);
  }
  try {
    const { width, height } = bitmap;
    if (width * height > MOST_PIXELS) {
      throw new VisitorError(
        `${name}: the photo is too large for this page, which takes up to ${MOST_PIXELS / 1e6} megapixels. Reduce it.`,
      );
    }
    const context = canvasOf(width, height);
    context.fillStyle = WHITE;
    context.fillRect(0, 0, width, height);
    context.drawImage(bitmap, 0, 0);
    const { data } = context.getImageData(0, 0, width, height);
    if (!isDrawn(data)) throw new Error(NO_MEMORY);
    return { width, height, data, profile: (await leavesColours()) ? profile : null };
  } catch (error) {
    if (error instanceof VisitorError) throw error;
    throw new VisitorError(`${name}: ${NO_MEMORY}`);
  } finally {
    bitmap.close();
  }
}

let frames = null; // the canvas of the last frame; the next one mostly has its size

/** A frame of a video as a picture. */
export function pictureOf(bitmap) {
  const { width, height } = bitmap;
  if (frames?.canvas.width !== width || frames.canvas.height !== height) frames = canvasOf(width, height);
  frames.drawImage(bitmap, 0, 0);
  return { width, height, data: frames.getImageData(0, 0, width, height).data };
}

function canvasOf(width, height) {
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("no canvas");
  return context;
}

/** Above a limit of their own, browsers draw nothing on a canvas, and say nothing. */
const isDrawn = (data) => data[3] === 255;

/** A copy of a picture with a part replaced. */
export function withPatch(picture, patch) {
  const copy = newPicture(picture.width, picture.height);
  copy.data.set(picture.data);
  for (let row = 0; row < patch.height; row++) {
    const from = patch.data.subarray(4 * row * patch.width, 4 * (row + 1) * patch.width);
    copy.data.set(from, 4 * ((patch.top + row) * picture.width + patch.left));
  }
  return copy;
}

/**
 * Encode a picture with the notice that it is synthetic.
 *
 * @param kind "image/png" or "image/jpeg". mark: draw the visible mark. profile: of the photo.
 */
export async function encodePicture(
  picture,
  provenance,
  { kind = "image/jpeg", quality = 0.88, mark = false, profile = null } = {},
) {
  const context = canvasOf(picture.width, picture.height);
  context.putImageData(new ImageData(picture.data, picture.width, picture.height), 0, 0);
  if (!isDrawn(context.getImageData(0, 0, 1, 1).data)) throw new VisitorError(`Your photo: ${NO_MEMORY}`);
  if (mark) drawMark(context, provenance);
  const encoded = await context.canvas.convertToBlob({ type: kind, quality });
  const bytes = new Uint8Array(await encoded.arrayBuffer());
  return new Blob([await withNotice(bytes, provenance, profile)], { type: kind });
}
