// Calls the engine in its worker.

export class Engine {
  constructor(onProgress = () => {}) {
    this.worker = new Worker(new URL("../engine/worker.js", import.meta.url), { type: "module" });
    this.calls = new Map();
    this.waiting = new Map(); // key → the newest call that waits
    this.next = 0;
    this.worker.onmessage = ({ data }) => {
      if ("progress" in data) return onProgress(data.progress);
      const { resolve, reject } = this.calls.get(data.id);
      this.calls.delete(data.id);
      if ("error" in data) reject(new Error(data.error));
      else resolve(data.result);
    };
    this.failed = new Promise((_, reject) => {
      this.worker.onerror = () => reject(new Error("This browser cannot run the model."));
    });
    this.failed.catch(() => {});
  }

  /** Call a method of the worker. Errors have messages for visitors. */
  call(method, ...values) {
    return this.send(method, values, []);
  }

  send(method, values, transfer) {
    const id = this.next++;
    const answered = new Promise((resolve, reject) => this.calls.set(id, { resolve, reject }));
    this.worker.postMessage({ id, method, values }, transfer);
    return Promise.race([answered, this.failed]);
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
