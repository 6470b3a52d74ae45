// Presets of labels and blendshapes, in the format of the app and of `tergan edit --set @preset.json`.
// See expression_requests_tergan.py.

const LARGEST = 100_000; // bytes

export function presetFile({ labels, values }) {
  const rounded = Object.entries({ ...labels, ...values }).map(([name, value]) => [
    name,
    Math.round(value * 1e4) / 1e4,
  ]);
  return new Blob([JSON.stringify(Object.fromEntries(rounded), null, 2), "\n"], { type: "application/json" });
}

/**
 * Read a preset.
 *
 * @param settable of the manifest: name → {range, sets}. labels: of the model.
 * @returns {labels: label → share, values: blendshape → value}. Errors have messages for visitors.
 */
export async function readPreset(file, settable, labels) {
  let content = null;
  if (file.size <= LARGEST)
    content = await file
      .text()
      .then(JSON.parse)
      .catch(() => null);
  if (!content || typeof content !== "object" || Array.isArray(content) || !Object.keys(content).length) {
    throw new Error("The preset must be a JSON file with values by name.");
  }
  const known = { ...settable, ...Object.fromEntries(labels.map((label) => [label, { range: [0, 1] }])) };
  const spelling = new Map(Object.keys(known).map((name) => [name.toLowerCase(), name]));
  const found = { labels: {}, values: {} };
  // Blendshapes that were read from a photo are a preset, too: beside the gaze, eyeLook says nothing new.
  const axes = Object.keys(content).flatMap((key) => Object.keys(settable[key]?.sets ?? {}));
  const hasGaze = axes.includes("gazeX") && axes.includes("gazeY");
  for (const [key, value] of Object.entries(content)) {
    if (hasGaze && /^eyeLook(Down|In|Out|Up)(Left|Right)$/.test(key)) continue;
    const name = spelling.get(key.trim().toLowerCase());
    if (!name) throw new Error(`The preset names “${key.slice(0, 40)}”, which this model does not know.`);
    const {
      range: [low, high],
      sets,
    } = known[name];
    if (typeof value !== "number" || value < low || value > high) {
      throw new Error(`The preset's ${name} must be a number from ${low} to ${high}.`);
    }
    const [place, own] = sets ? [found.values, sets] : [found.labels, { [name]: 1 }];
    for (const [single, factor] of Object.entries(own)) {
      if (single in place) throw new Error(`The preset sets ${single} twice.`);
      place[single] = factor * value;
    }
  }
  if (shareOf(found.labels) > 1 + 1e-6) throw new Error("The preset's labels must not exceed 1 together.");
  return found;
}

const shareOf = (labels) => Object.values(labels).reduce((sum, share) => sum + share, 0);
