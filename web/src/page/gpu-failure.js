// Whether the GPU has failed in this visit: a reload then does without it. A browser that keeps nothing tries it again.

const NAME = "ter-gan: the GPU has failed";

export function hasGpuFailed() {
  try {
    return sessionStorage.getItem(NAME) !== null;
  } catch {
    return false;
  }
}

export function rememberGpuFailure() {
  try {
    sessionStorage.setItem(NAME, "yes");
  } catch {
    // Cookies are off.
  }
}
