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

/**
 * @param cacheName of the browser's cache, which changes with these files. size: of the file in bytes, if it is known.
 * @returns the file's content.
 */
export async function download(url, cacheName, { progress, size } = {}) {
  const cache = await openCache(cacheName);
  const known = await cache?.match(url);
  // A name stays the same from build to build: what the browser keeps by itself may be that of the build before.
  const response = known ?? (await fetch(url, { cache: "no-cache" }));
  if (!response.ok) throw new VisitorError(`The server answered ${response.status} for ${url}.`);
  const chunks = [];
  const reader = response.body.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    chunks.push(part.value);
    progress?.add(part.value.length);
  }
  const content = new Blob(chunks);
  // A network that asks for a password first answers with a page of its own.
  if (size !== undefined && content.size !== size)
    throw new VisitorError(`${url} has ${content.size} bytes instead of ${size}: reload the page.`);
  if (!known) {
    // A full disk must not stop the page.
    await cache?.put(url, new Response(content, { headers: response.headers })).catch(() => {});
  }
  return content.arrayBuffer();
}

async function openCache(name) {
  try {
    return await caches.open(name);
  } catch {
    return null; // private windows of some browsers have none
  }
}
