// Scale a change for brows, eyes and mouth separately, by the rows of the crop. See demo/face_regions.py.

const [BROWS_END, EYES_END, SOFTNESS] = [0.265, 0.55, 0.05];
const sigmoid = (x) => 1 / (1 + Math.exp(-x));

/** A function from a row's height in the crop (0 top, 1 bottom) to its weight; `null` if the whole face changes alike. */
export function partWeight({ brows = 1, eyes = 1, mouth = 1 } = {}) {
  if (brows === 1 && eyes === 1 && mouth === 1) return null;
  const passed = (height, end) => sigmoid(((height - end) / SOFTNESS) * 4);
  return (height) => brows + (eyes - brows) * passed(height, BROWS_END) + (mouth - eyes) * passed(height, EYES_END);
}
