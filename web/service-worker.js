// Serves the page from the browser's cache, so that it works offline after the first visit. The build writes BUILD.

const { cache: CACHE, shell: SHELL } = self.BUILD;

self.addEventListener("install", (event) => {
  const store = async () => {
    const cache = await caches.open(CACHE);
    await cache.addAll(SHELL.map((path) => new Request(path, { cache: "reload" })));
    await self.skipWaiting();
  };
  event.waitUntil(store());
});

self.addEventListener("activate", (event) => {
  const tidy = async () => {
    const old = (await caches.keys()).filter((name) => name.startsWith("ter-gan-") && name !== CACHE);
    await Promise.all(old.map((name) => caches.delete(name)));
    await self.clients.claim();
  };
  event.waitUntil(tidy());
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || new URL(request.url).origin !== self.location.origin) return;
  const answer = async () => {
    const cache = await caches.open(CACHE);
    const known = await cache.match(request, { ignoreSearch: true });
    if (known) return known;
    const response = await fetch(request);
    // Models and runtimes are kept by the page, which shows their progress.
    if (response.ok && response.status === 200) cache.put(request, response.clone()).catch(() => {});
    return response;
  };
  event.respondWith(answer());
});
