// Whether the browser changes the colours of a photo that has a colour profile.

// One pixel of (200, 60, 40) with the profile Display P3. In sRGB it would be another colour.
const PIXEL = [200, 60, 40];
const P3_PNG =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAA92lDQ1BJQ0MgUHJvZmlsZQAAeJxjYGDcwgAELAYMDLl5JUVB" +
  "7k4KEZFRCuyvGBiBEAwSk4sLGPCCb9cgai/r4leHFXCmpBYnA+kPQGyQXFBUwsDAqABkK5WXFIDYLkC2SBHQUUB2BIidDmHn" +
  "gNhJEHYDWE1IkDOQPQXIVkhHYichsXNzSpOh9oJczJOaFxoM0gvEMgwuDJkMxQwFDDkMiQyVDAoMAQzGONSzgdU7AyEw3EDh" +
  "hR4OCLHm+wwMtvv///+/GyHmtZ+BYaM5AwPXToSYhgUDgyA3A8OJnQWJRYlgIWYgZkpLY2D4tJyBgTeSgUH4AlBPNAAxEEAH" +
  "1lKJXAAAAAxJREFUeNpjOGGjAQAC/AEtwX7p+wAAAABJRU5ErkJggg==";
const ROUNDING = 2;

let answer = null;

/**
 * Whether photos are decoded with the values of their file. Safari converts them to sRGB whatever it is asked for, and
 * the photo's profile would be wrong for what it gives.
 */
export function leavesColours() {
  answer ??= decodesUnchanged().catch(() => true);
  return answer;
}

async function decodesUnchanged() {
  const bytes = Uint8Array.from(atob(P3_PNG), (letter) => letter.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }), { colorSpaceConversion: "none" });
  const context = new OffscreenCanvas(1, 1).getContext("2d");
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const { data } = context.getImageData(0, 0, 1, 1);
  return PIXEL.every((value, k) => Math.abs(value - data[k]) <= ROUNDING);
}
