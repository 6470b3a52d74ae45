"""Finds a Chromium for the tests of the app; run as a script, installs one where there is none and it may."""

import os
import shutil
import subprocess
import sys


NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_browser() -> str | None:
    """Path of the system's Chromium or of Playwright's own, or `None`."""
    for name in NAMES:
        path = shutil.which(name)
        if path:
            return path
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if os.path.exists(path) else None


def install_browser() -> str | None:
    """Debian's package where we are root on a system with apt, else Playwright's download."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    if hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update", "-qq"], env=environment, check=False, stdout=subprocess.DEVNULL)
        command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"]
        subprocess.run(command, env=environment, check=False, stdout=subprocess.DEVNULL)
    if find_browser() is None:
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)
    return find_browser()


if __name__ == "__main__":
    found = find_browser() or install_browser()
    print(f"Browser for the tests: {found or 'none to be had, the tests of the app will say so'}")
    if found is None and os.environ.get("TERGAN_REQUIRE_BROWSER"):
        sys.exit("a browser is required here (TERGAN_REQUIRE_BROWSER is set)")
