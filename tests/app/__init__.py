"""The app as a visitor meets it: a real Chromium, the published weights, no network."""
