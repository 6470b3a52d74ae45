// The engine in a worker: the page stays alive while it computes. One call at a time, in the order of arrival.

import { FaceDetector } from "./face-detection.js";
import { VisitorError } from "./image-files.js";
import { Live } from "./live.js";
import { MixedFilesError } from "./loading.js";
import { allowSmallerMemory } from "./memory.js";
import { Model } from "./model.js";
import { Paster } from "./paste-back-webgl.js";
import { loadRuntime } from "./runtime.js";
import { Session } from "./session.js";

allowSmallerMemory();

let session = null;
let live = null;

const METHODS = {
  async load(settings) {
    const report = (share) => postMessage({ progress: share });
    const onFallback = (fallback) => postMessage({ fallback });
    const runtime = await loadRuntime({ ...settings, report, onFallback });
    const { run, manifest, tables, backend, threads } = runtime;
    const model = new Model(run, manifest, tables);
    const detect = (name, data, dims) => run(name, { pixels: { data, dims } });
    session = new Session(model, new FaceDetector(detect, manifest), new Paster());
    const { labels, name, blendshapes, provenance } = manifest;
    const canSet = model.setsBlendshapes;
    return { labels, name, blendshapes, canSet, provenance, map: model.map?.photos ?? null, backend, threads };
  },
  startLive() {
    live = new Live(session);
  },
  liveFrame: (bitmap, time, request) => live.process(bitmap, time, request),
};

const METHODS_OF_SESSION = new Set([
  "openPhoto",
  "chooseFace",
  "closePhoto",
  "swapPhotos",
  "draw",
  "drawCloseup",
  "download",
  "recognize",
  "startingBlendshapes",
  "place",
  "embeddingOf",
]);

async function answer({ id, method, values }) {
  try {
    const result = METHODS_OF_SESSION.has(method)
      ? await session[method](...values)
      : await METHODS[method](...values);
    postMessage({ id, result }, result?.patch ? [result.patch.data.buffer] : []);
  } catch (error) {
    if (!(error instanceof VisitorError)) console.error(error);
    postMessage({
      id,
      isMixed: error instanceof MixedFilesError,
      error:
        error instanceof VisitorError
          ? error.message
          : "Something went wrong on this page. Reload it, or try another photo.",
    });
  }
}

let last = Promise.resolve();
onmessage = ({ data }) => {
  last = last.then(() => answer(data));
};
