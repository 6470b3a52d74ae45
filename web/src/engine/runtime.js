// onnxruntime-web: WebGPU if there is one, else WebAssembly with SIMD and, on an isolated page, threads.

import { VisitorError } from "./image-files.js";
import { Progress, cacheOf, download } from "./loading.js";
import { Model } from "./model.js";
import { readSafetensors } from "./safetensors.js";

const FORMAT = 1;
const GRAPHS = ["pnet", "rnet", "onet", "expression_encoder", "identity_encoder", "decoder"];
// P-, R- and O-Net are small: a GPU would wait longer for them than it computes.
const ON_CPU = new Set(["pnet", "rnet", "onet"]);
const MOST_THREADS = 4;

// A session that would leave a node to the processor fails instead: copies to and fro would cost more than the GPU saves.
const ON_GPU_ALONE = { executionProviders: ["webgpu"], extra: { session: { disable_cpu_ep_fallback: "1" } } };

/** Whether the browser has a GPU for computing. A software renderer is none. */
async function hasWebGpu() {
  try {
    const adapter = await navigator.gpu?.requestAdapter();
    return (
      Boolean(adapter) && !adapter.info.isFallbackAdapter && !/swiftshader|llvmpipe/i.test(adapter.info.architecture)
    );
  } catch {
    return false;
  }
}

/**
 * Load runtime, graphs and tables.
 *
 * @param settings {build, base, backend, report, onFallback}: build.json, the address of the page, "webgpu", "wasm" or
 *   null to choose, a function that gets the share loaded, 0 to 1, and one that gets {backend, threads} if they change.
 * @returns {run, manifest, tables, backend, threads}.
 */
export async function loadRuntime(settings) {
  const { backend } = settings;
  if (backend) return loadBackend(settings, backend);
  if (!(await hasWebGpu())) return loadBackend(settings, "wasm");
  try {
    return withFallback(await loadBackend(settings, "webgpu"), settings);
  } catch (error) {
    console.warn(`WebGPU cannot run the model: ${error.message}`);
    return loadBackend(settings, "wasm");
  }
}

/** The runtime on the GPU until a run fails there, as after a crash of its driver, then that on the processor. */
function withFallback(onGpu, settings) {
  let onCpu = null; // a promise
  const load = async () => {
    const loaded = await loadBackend(settings, "wasm");
    settings.onFallback?.({ backend: loaded.backend, threads: loaded.threads });
    return loaded;
  };
  const run = async (...values) => {
    if (!onCpu) {
      try {
        return await onGpu.run(...values);
      } catch (error) {
        console.warn(`WebGPU has failed: ${error.message}`);
        onCpu ??= load();
        onCpu.catch(() => (onCpu = null)); // without a network, the next run tries again
      }
    }
    return (await onCpu).run(...values);
  };
  return { ...onGpu, run };
}

async function loadBackend({ build, base, report }, backend) {
  const at = (path) => new URL(path, base).href;
  const cache = cacheOf(build.large, base);
  const { path, bytes: size } = build.manifest;
  const manifest = JSON.parse(new TextDecoder().decode(await download(at(path), cache, { size })));
  if (manifest.format !== FORMAT)
    throw new VisitorError(`The model has format ${manifest.format}, and this page reads ${FORMAT}: export it again.`);
  const { module, binary, bytes } = build.runtime[backend];
  const progress = new Progress(bytes + Object.values(manifest.files).reduce((sum, size) => sum + size, 0), report);
  const fetchModel = (name) => download(at(`model/${name}`), cache, { progress, size: manifest.files[name] });
  const [ort, wasmBinary, tables, ...graphs] = await Promise.all([
    import(at(module)),
    download(at(binary), cache, { progress, size: bytes }),
    fetchModel("tables.safetensors"),
    ...GRAPHS.map((name) => fetchModel(`${name}.onnx`)),
  ]);
  ort.env.wasm.wasmBinary = wasmBinary;
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(MOST_THREADS, navigator.hardwareConcurrency || 1) : 1;
  ort.env.logLevel = "error";
  const sessions = {};
  for (const [k, name] of GRAPHS.entries()) {
    const options = backend === "webgpu" && !ON_CPU.has(name) ? ON_GPU_ALONE : { executionProviders: ["wasm"] };
    sessions[name] = await ort.InferenceSession.create(new Uint8Array(graphs[k]), options);
  }
  const run = async (name, inputs, outputs) => {
    const feeds = Object.fromEntries(
      Object.entries(inputs).map(([key, { data, dims }]) => [key, new ort.Tensor("float32", asFloat32(data), dims)]),
    );
    const found = await sessions[name].run(feeds, outputs ?? sessions[name].outputNames);
    return Object.fromEntries(Object.entries(found).map(([key, { data, dims }]) => [key, { data, dims }]));
  };
  const runtime = { run, manifest, tables: readSafetensors(tables), backend, threads: ort.env.wasm.numThreads };
  if (backend === "webgpu") await tryOut(runtime);
  return runtime;
}

/** Run the networks that are on the GPU once: some drivers fail only then. */
async function tryOut({ run, manifest, tables }) {
  const model = new Model(run, manifest, tables);
  const data = new Uint8ClampedArray(4 * model.size ** 2);
  const target = await model.encodeTarget({ width: model.size, height: model.size, data });
  await model.change(target.own, target, 1);
}

const asFloat32 = (data) => (data instanceof Float32Array ? data : Float32Array.from(data));
