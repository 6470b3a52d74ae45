// Put the page together: `npm run build -- --model FOLDER --out FOLDER`. Nothing is bundled or translated: the modules of
// src/ are copied, beside onnxruntime-web, the model, the example photos, and the views shared with the Gradio app.

import { createHash } from "node:crypto";
import { copyFileSync, cpSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { fileURLToPath } from "node:url";

const WEB = dirname(fileURLToPath(import.meta.url));
const ROOT = dirname(WEB);
const VIEWS = join(ROOT, "tergan_hf", "demo", "static");
const DIST = join(WEB, "node_modules", "onnxruntime-web", "dist");
// The builds with their JavaScript inside: threads start from the same file.
const RUNTIME = {
  wasm: { module: "ort.wasm.bundle.min.mjs", binary: "ort-wasm-simd-threaded.wasm" },
  webgpu: { module: "ort.webgpu.bundle.min.mjs", binary: "ort-wasm-simd-threaded.asyncify.wasm" },
};
// Loaded on demand and then kept for use offline, in a cache of their own that outlives a change of the page.
const LARGE = /\.(onnx|wasm|safetensors)$|^model\/model\.json$/;

const { values } = parseArgs({
  options: { model: { type: "string" }, out: { type: "string", default: join(ROOT, "build", "web") } },
});
if (!values.model) throw new Error("--model: name the folder that `python -m tergan_hf.export … --web` wrote");
const out = resolve(values.out);

rmSync(out, { recursive: true, force: true });
mkdirSync(join(out, "runtime"), { recursive: true });
for (const name of ["index.html", "style.css", "icon.svg", "page.webmanifest", "README.md"])
  copyFileSync(join(WEB, name), join(out, name));
cpSync(join(WEB, "src"), join(out, "src"), { recursive: true });
cpSync(resolve(values.model), join(out, "model"), { recursive: true });
for (const name of ["examples", "expressions"]) {
  const isPicture = (path) => !path.endsWith(".mp4");
  cpSync(join(ROOT, "assets", name), join(out, "assets", name), { recursive: true, filter: isPicture });
}

// The app's views: their markup, and scripts that are bodies of functions with these four parameters.
const SCRIPTS = { compare: "compare", row: "row", map: "map", map_pickable: "map", sliders: "sliders" };
mkdirSync(join(out, "src", "views"));
for (const [name, script] of Object.entries(SCRIPTS)) {
  const markup = readFileSync(join(VIEWS, `${name}.html`), "utf8");
  const body = readFileSync(join(VIEWS, `${script}.js`), "utf8");
  writeFileSync(
    join(out, "src", "views", `${name}.js`),
    `export const markup = ${JSON.stringify(markup)};\nexport function start(element, props, watch, trigger) {\n${body}}\n`,
  );
}
copyFileSync(join(VIEWS, "style.css"), join(out, "views.css"));

const runtime = {};
for (const [backend, { module, binary }] of Object.entries(RUNTIME)) {
  for (const name of [module, binary]) copyFileSync(join(DIST, name), join(out, "runtime", name));
  const bytes = statSync(join(DIST, binary)).size;
  runtime[backend] = { module: `runtime/${module}`, binary: `runtime/${binary}`, bytes };
}

const files = (folder) =>
  readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(out, join(entry.parentPath ?? entry.path, entry.name)).replaceAll("\\", "/"))
    .sort();
const worker = readFileSync(join(WEB, "service-worker.js"), "utf8");
function cacheName(kind, names, ...more) {
  const hash = createHash("sha256");
  for (const name of names) hash.update(name).update(readFileSync(join(out, name)));
  for (const text of more) hash.update(text);
  return `ter-gan-${kind}-${hash.digest("hex").slice(0, 16)}`;
}
const large = cacheName(
  "large",
  files(out).filter((name) => LARGE.test(name)),
);
const cache = cacheName(
  "page",
  files(out).filter((name) => !LARGE.test(name)),
  worker,
  large,
);
const pictures = (folder) => files(join(out, "assets", folder)).filter((name) => name.endsWith(".jpg"));
const manifest = { path: "model/model.json", bytes: statSync(join(out, "model", "model.json")).size };
const build = { large, runtime, manifest, people: pictures("examples"), expressions: pictures("expressions") };
writeFileSync(join(out, "build.json"), JSON.stringify(build, null, 1));
const shell = ["./", ...files(out).filter((name) => !LARGE.test(name) && name !== "README.md")];
writeFileSync(join(out, "service-worker.js"), `self.BUILD = ${JSON.stringify({ cache, large, shell })};\n${worker}`);
console.log(
  `${out}: ${(files(out).reduce((sum, name) => sum + statSync(join(out, name)).size, 0) / 1e6).toFixed(1)} MB`,
);
