// Calls the engine in its worker.

// A worker made of a blob has the page's Content-Security-Policy; one from an address would have that of its server.
const WORKER = `import ${JSON.stringify(new URL("../engine/worker.js", import.meta.url).href)};`;
const BROKEN = "This browser cannot run the model.";

export class Engine {
  /** @param onProgress gets the share loaded. onFallback: {backend, threads} once the GPU has failed. */
  constructor(onProgress = () => {}, onFallback = () => {}) {
    const address = URL.createObjectURL(new Blob([WORKER], { type: "text/javascript" }));
    this.worker = new Worker(address, { type: "module" });
    this.calls = new Map();
    this.waiting = new Map(); // key → the newest call that waits
    this.next = 0;
    this.worker.onmessage = ({ data }) => {
      if ("progress" in data) return onProgress(data.progress);
      if ("fallback" in data) return onFallback(data.fallback);
      const { resolve, reject } = this.calls.get(data.id);
      this.calls.delete(data.id);
      if ("error" in data) reject(Object.assign(new Error(data.error), { isMixed: data.isMixed }));
      else resolve(data.result);
    };
    this.worker.onerror = () => {
      this.isBroken = true;
      for (const { reject } of this.calls.values()) reject(new Error(BROKEN));
      this.calls.clear();
    };
  }

  /** Call a method of the worker. Errors have messages for visitors. */
  call(method, ...values) {
    return this.send(method, values, []);
  }

  send(method, values, transfer) {
    if (this.isBroken) return Promise.reject(new Error(BROKEN));
    const id = this.next++;
    const answered = new Promise((resolve, reject) => this.calls.set(id, { resolve, reject }));
    this.worker.postMessage({ id, method, values }, transfer);
    return answered;
  }

  /**
   * Like `call`, for controls that move: while a call with this key runs, only the newest one waits.
   *
   * @returns the result, or `undefined` if a newer call took its place.
   */
  async latest(key, method, ...values) {
    if (this.waiting.has(key)) {
      this.waiting.get(key)?.({ skipped: true });
      const turn = await new Promise((resolve) => this.waiting.set(key, resolve));
      if (turn.skipped) return undefined;
    }
    this.waiting.set(key, null);
    try {
      return await this.call(method, ...values);
    } finally {
      const next = this.waiting.get(key);
      if (next) {
        this.waiting.set(key, null);
        next({});
      } else {
        this.waiting.delete(key);
      }
    }
  }
}
