// onnxruntime-web: WebGPU if there is one, else WebAssembly with SIMD and, on an isolated page, threads.

import { Progress, download } from "./loading.js";
import { readSafetensors } from "./safetensors.js";

const FORMAT = 1;
const GRAPHS = ["pnet", "rnet", "onet", "expression_encoder", "identity_encoder", "decoder"];
// P-, R- and O-Net are small: a GPU would wait longer for them than it computes.
const ON_CPU = new Set(["pnet", "rnet", "onet"]);
const MOST_THREADS = 4;

/** Whether the browser has a GPU for computing. */
export async function hasWebGpu() {
  try {
    return Boolean(await navigator.gpu?.requestAdapter());
  } catch {
    return false;
  }
}

/**
 * Load runtime, graphs and tables.
 *
 * @param build build.json: {cache, runtime: {webgpu|wasm: {module, binary, bytes}}}. base: address of the page.
 * @param backend "webgpu", "wasm", or null to choose. report: share loaded, 0 to 1.
 * @returns {run, manifest, tables, backend, threads}.
 */
export async function loadRuntime({ build, base, backend, report }) {
  const chosen = backend ?? ((await hasWebGpu()) ? "webgpu" : "wasm");
  const at = (path) => new URL(path, base).href;
  const manifest = JSON.parse(new TextDecoder().decode(await download(at("model/model.json"), build.cache)));
  if (manifest.format !== FORMAT) throw new Error(`model.json has format ${manifest.format}, and this page reads ${FORMAT}`);
  const { module, binary, bytes } = build.runtime[chosen];
  const total = bytes + Object.values(manifest.files).reduce((sum, size) => sum + size, 0);
  const progress = new Progress(total, report);
  const fetchModel = (name) => download(at(`model/${name}`), build.cache, progress);
  const [ort, wasmBinary, tables, ...graphs] = await Promise.all([
    import(at(module)),
    download(at(binary), build.cache, progress),
    fetchModel("tables.safetensors"),
    ...GRAPHS.map((name) => fetchModel(`${name}.onnx`)),
  ]);
  ort.env.wasm.wasmBinary = wasmBinary;
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(MOST_THREADS, navigator.hardwareConcurrency || 1) : 1;
  ort.env.logLevel = build.verbose ? "verbose" : "error";
  const sessions = {};
  for (const [k, name] of GRAPHS.entries()) {
    const executionProviders = chosen === "webgpu" && !ON_CPU.has(name) ? ["webgpu"] : ["wasm"];
    sessions[name] = await ort.InferenceSession.create(new Uint8Array(graphs[k]), { executionProviders, graphOptimizationLevel: "all" });
  }
  const run = async (name, inputs, outputs) => {
    const feeds = Object.fromEntries(
      Object.entries(inputs).map(([key, { data, dims }]) => [key, new ort.Tensor("float32", asFloat32(data), dims)]),
    );
    const found = await sessions[name].run(feeds, outputs ?? sessions[name].outputNames);
    return Object.fromEntries(Object.entries(found).map(([key, { data, dims }]) => [key, { data, dims }]));
  };
  return { run, manifest, tables: readSafetensors(tables), backend: chosen, threads: ort.env.wasm.numThreads };
}

const asFloat32 = (data) => (data instanceof Float32Array ? data : Float32Array.from(data));
