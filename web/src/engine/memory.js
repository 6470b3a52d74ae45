// The runtime reserves 4 GiB of addresses for a memory that threads share. Browsers of phones may refuse that much.

const PAGES = [32768, 16384, 8192]; // of 64 KiB: 2 GiB, 1 GiB, 512 MiB

/** Let WebAssembly try again with lower limits where the browser refuses a memory. Call it before the runtime loads. */
export function allowSmallerMemory() {
  WebAssembly.Memory = new Proxy(WebAssembly.Memory, {
    construct(Memory, [descriptor]) {
      const lower = PAGES.filter((pages) => descriptor.initial <= pages && pages < descriptor.maximum);
      return create(Memory, descriptor, lower);
    },
  });
}

function create(Memory, descriptor, [next, ...lower]) {
  try {
    return new Memory(descriptor);
  } catch (error) {
    if (next === undefined || !(error instanceof RangeError)) throw error;
    return create(Memory, { ...descriptor, maximum: next }, lower);
  }
}
