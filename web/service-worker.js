// Serves the page from the browser's cache, so that it works offline after the first visit. The build writes BUILD.
// A new build takes over when all pages of the old one are closed, so that no page mixes the two.

// Pages of the same host share their caches: the names tell which page they belong to, as in src/engine/loading.js.
const ENDING = ` ${new URL(self.registration.scope).pathname}`;
const { shell: SHELL } = self.BUILD;
const [CACHE, LARGE] = [self.BUILD.cache + ENDING, self.BUILD.large + ENDING];

const isOwn = (name, kind = "") => name.startsWith(`ter-gan-${kind}`) && name.endsWith(ENDING);

self.addEventListener("install", (event) => {
  const store = async () => {
    const cache = await caches.open(CACHE);
    await cache.addAll(SHELL.map((path) => new Request(path, { cache: "reload" })));
    await renewLarge();
  };
  event.waitUntil(store());
});

/** Load the new model and runtime for visitors who had those of the build before, so that the page still works offline. */
async function renewLarge() {
  const before = (await caches.keys()).filter((name) => isOwn(name, "large-") && name !== LARGE);
  for (const name of before) {
    const renewed = await caches.open(LARGE);
    for (const { url } of await (await caches.open(name)).keys()) {
      if (await renewed.match(url)) continue;
      const response = await fetch(url, { cache: "no-cache" });
      if (response.ok) await renewed.put(url, response);
    }
  }
}

self.addEventListener("activate", (event) => {
  const tidy = async () => {
    const old = (await caches.keys()).filter((name) => isOwn(name) && name !== CACHE && name !== LARGE);
    await Promise.all(old.map((name) => caches.delete(name)));
    await self.clients.claim();
  };
  event.waitUntil(tidy());
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || new URL(request.url).origin !== self.location.origin) return;
  const answer = async () => {
    // The page itself keeps what lies in LARGE, because it shows the progress.
    for (const name of [CACHE, LARGE]) {
      const known = await (await caches.open(name)).match(request, { ignoreSearch: true });
      if (known) return known;
    }
    return fetch(request);
  };
  event.respondWith(answer());
});
