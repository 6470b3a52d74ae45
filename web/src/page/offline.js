// The page is kept for use offline: by a service worker, and by its caches.

import { cacheOf } from "../engine/loading.js";

/** Install the service worker, which makes the page work offline. */
export function keepForOffline() {
  if ("serviceWorker" in navigator) navigator.serviceWorker.register("service-worker.js").catch(() => {});
}

/** Forget all that is kept, so that the page comes anew from its server when it is reloaded. */
export async function forgetOffline() {
  try {
    const registration = await navigator.serviceWorker?.getRegistration();
    await registration?.unregister();
    const own = (await caches.keys()).filter((name) => name.endsWith(cacheOf("", document.baseURI)));
    await Promise.all(own.map((name) => caches.delete(name)));
  } catch {
    // Private windows of some browsers keep nothing.
  }
}
