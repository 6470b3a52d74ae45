// The page: start the engine, then the views.

import { EditingView } from "./editing-view.js";
import { Engine } from "./engine-client.js";
import { make } from "./dom.js";
import { hasGpuFailed, rememberGpuFailure } from "./gpu-failure.js";
import { forgetOffline, keepForOffline } from "./offline.js";
import { RecognitionView } from "./recognition-view.js";
import { TransferView } from "./transfer-view.js";

const byId = (id) => document.getElementById(id);
const started = performance.now();

/** The expression in an example's file name; a number tells photos of one expression apart. */
function captioned(paths) {
  const names = paths.map((path) =>
    path
      .replace(/\.[^.]*$/, "")
      .split("_")
      .pop(),
  );
  return paths.map((path, k) => {
    const before = names.slice(0, k + 1).filter((name) => name === names[k]).length;
    const repeated = names.filter((name) => name === names[k]).length > 1;
    return {
      address: new URL(path, document.baseURI).href,
      expression: names[k],
      caption: repeated ? `${names[k]} ${before}` : names[k],
    };
  });
}

function examplesOf({ people, expressions }) {
  const photos = captioned(people);
  const shown = captioned(expressions).filter(({ expression }) => expression !== "neutral");
  return {
    people: photos
      .filter(({ expression }) => expression === "neutral")
      .map((item, k) => ({ ...item, caption: `person ${k + 1}` })),
    smiling: photos.filter(({ expression }) => expression === "happiness"),
    expressions: shown,
    everything: [...photos, ...captioned(expressions)],
  };
}

function startTabs(onOpen) {
  const tabs = [...document.querySelectorAll('[role="tab"]')];
  const open = (tab) => {
    for (const other of tabs) {
      const isOpen = other === tab;
      other.setAttribute("aria-selected", String(isOpen));
      other.tabIndex = isOpen ? 0 : -1;
      byId(other.getAttribute("aria-controls")).hidden = !isOpen;
    }
    onOpen(tab.getAttribute("aria-controls"));
  };
  tabs.forEach((tab, k) => {
    tab.addEventListener("click", () => open(tab));
    tab.addEventListener("keydown", ({ key }) => {
      const next = { ArrowLeft: k - 1, ArrowRight: k + 1, Home: 0, End: tabs.length - 1 }[key];
      if (next === undefined) return;
      const other = tabs[(next + tabs.length) % tabs.length];
      other.focus();
      open(other);
    });
  });
}

function showProgress(share) {
  byId("loading-bar").value = share;
  byId("loading-share").textContent = share < 1 ? `${Math.round(100 * share)} %` : "and starting it";
}

function showFacts({ name, backend, threads }, seconds) {
  const how =
    backend === "webgpu"
      ? "on the GPU (WebGPU)"
      : `on the processor (WebAssembly, ${threads === 1 ? "one thread" : `${threads} threads`})`;
  const facts = { Model: name, "It runs": how, "Loaded in": `${seconds} seconds` };
  byId("facts").replaceChildren(
    ...Object.entries(facts).flatMap(([term, text]) => [make("dt", {}, term), make("dd", {}, text)]),
  );
}

/** A file that is dropped beside a frame must not replace the page. */
function ignoreOtherDrops() {
  for (const kind of ["dragover", "drop"]) window.addEventListener(kind, (event) => event.preventDefault());
}

async function start() {
  const settings = new URLSearchParams(location.search);
  const views = {};
  let opened = "transfer";
  let examples;
  const openView = (name) => {
    // A view that is not seen needs no webcam.
    if (name !== opened) views[opened]?.stopWebcams();
    if (name === "editing") views.editing?.startOnce(examples.people);
    opened = name;
  };
  startTabs(openView);
  ignoreOtherDrops();
  const build = await (await fetch("build.json")).json();
  const engine = new Engine(showProgress, (fallback) => {
    rememberGpuFailure();
    Object.assign(facts, fallback);
    showFacts(facts, seconds);
  });
  const backend = settings.get("backend") ?? (hasGpuFailed() ? "wasm" : null);
  const facts = await engine.call("load", { build, base: document.baseURI, backend });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  showFacts(facts, seconds);
  examples = examplesOf(build);
  Object.assign(views, {
    transfer: new TransferView(engine, byId("transfer"), facts, examples),
    editing: new EditingView(engine, byId("editing"), facts, examples),
    recognition: new RecognitionView(engine, byId("recognition"), facts, examples),
  });
  byId("loading").hidden = true;
  window.tergan = { engine, facts, views }; // for tests and the browser's console
  openView(opened);
  await views.transfer.start(examples.people, examples.smiling);
  document.documentElement.dataset.ready = ((performance.now() - started) / 1000).toFixed(2);
  keepForOffline();
}

start().catch(async (error) => {
  console.error(error);
  if (error.isMixed) await forgetOffline();
  byId("loading").hidden = true;
  byId("failure").hidden = false;
  byId("failure").textContent = navigator.onLine
    ? `The page could not start: ${error.message}`
    : "The page could not start offline. Open it once with a network connection; then it works offline.";
});
