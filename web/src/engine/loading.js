// Download the files of the model and the runtime once, with progress, and keep them for use offline.

import { VisitorError } from "./image-files.js";

/** Reports the bytes that have arrived, of all downloads together. */
export class Progress {
  constructor(total, report) {
    [this.total, this.done, this.report] = [total, 0, report];
  }

  add(bytes) {
    this.done += bytes;
    this.report(Math.min(1, this.done / this.total));
  }
}

/** The files of this page do not belong together, and the page has to forget what it has kept. */
export class MixedFilesError extends VisitorError {}

/** The name of a cache of this page. Another page of the same host has another one. */
export const cacheOf = (name, base) => `${name} ${new URL("./", base).pathname}`;

/**
 * @param cacheName of the browser's cache, which changes with these files. size: of the file in bytes, if it is known.
 * @returns the file's content.
 */
export async function download(url, cacheName, { progress, size } = {}) {
  const cache = await openCache(cacheName);
  const known = await cache?.match(url);
  // A name stays the same from build to build: what the browser keeps by itself may be that of the build before.
  let response = known ?? (await fetch(url, { cache: "no-cache" }));
  let content = await read(response, url, progress);
  const isWrong = () => size !== undefined && content.size !== size;
  if (isWrong()) {
    // What was kept is wrong, or it comes from a network that asks for a password first.
    await cache?.delete(url);
    progress?.add(-content.size);
    response = await fetch(url, { cache: "reload" });
    content = await read(response, url, progress);
    if (isWrong())
      throw new MixedFilesError(`${url} has ${content.size} bytes instead of ${size}: reload the page.`);
  }
  if (response !== known) {
    // A full disk must not stop the page.
    await cache?.put(url, new Response(content, { headers: response.headers })).catch(() => {});
  }
  return content.arrayBuffer();
}

async function read(response, url, progress) {
  if (!response.ok) throw new VisitorError(`The server answered ${response.status} for ${url}.`);
  const chunks = [];
  const reader = response.body.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    chunks.push(part.value);
    progress?.add(part.value.length);
  }
  return new Blob(chunks);
}

async function openCache(name) {
  try {
    return await caches.open(name);
  } catch {
    return null; // private windows of some browsers have none
  }
}
