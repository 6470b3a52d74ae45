"""Find a Chromium for the tests of the app. Run as a script, install one if there is none."""

import os
import shutil
import subprocess
import sys
from pathlib import Path


NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_browser() -> str | None:
    """Path of the system's Chromium, or of Playwright's own. `None` if there is none."""
    for name in NAMES:
        path = shutil.which(name)
        if path:
            return path
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if os.path.exists(path) else None


def install_browser() -> str | None:
    """Install Debian's package if we are root and apt is there, else download Playwright's Chromium."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    if hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update", "-qq"], env=environment, check=False, stdout=subprocess.DEVNULL)
        command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"]
        subprocess.run(command, env=environment, check=False, stdout=subprocess.DEVNULL)
    if find_browser() is None:
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)
    return find_browser()


def require_browser() -> str:
    """Path of a Chromium. Without one the test is skipped, or fails if `TERGAN_REQUIRE_BROWSER` is set."""
    path = find_browser()
    if path is None and not os.environ.get("TERGAN_REQUIRE_BROWSER"):
        import pytest

        pytest.skip("there is no Chromium: run `python tests/browser.py` to install one")
    assert path is not None, "TERGAN_REQUIRE_BROWSER is set, but there is no Chromium"
    return path


def launch_browser(playwright, webcam: Path, *arguments: str):
    """Start Chromium, by default without a GPU. Its webcam shows an MJPEG file."""
    return playwright.chromium.launch(
        executable_path=require_browser(),
        args=[
            "--no-sandbox", "--disable-background-networking", "--disable-component-update",
            "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
            f"--use-file-for-fake-video-capture={webcam}", *(arguments or ["--disable-gpu"]),
        ],
    )  # fmt: skip


if __name__ == "__main__":
    found = find_browser() or install_browser()
    print(f"Browser for the tests: {found or 'none, the tests of the app are skipped'}")
    if found is None and os.environ.get("TERGAN_REQUIRE_BROWSER"):
        sys.exit("TERGAN_REQUIRE_BROWSER is set, but there is no browser")
