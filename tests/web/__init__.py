"""The page in the browser: a real Chromium, WebAssembly, a small model with random weights."""
