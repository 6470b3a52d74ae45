"""Find and start a Chromium for tests and benchmarks. Run as a script, install one if there is none."""

import io
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


PATIENCE = 60_000 * int(os.environ.get("TERGAN_PATIENCE", "1"))  # milliseconds; set it higher on a busy machine
DESKTOP, PHONE = {"width": 1280, "height": 1000}, {"width": 360, "height": 740}
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NO_GPU = ("--disable-gpu",)
# Chromium's software renderer in place of a GPU.
SOFTWARE_WEBGPU = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan")
SOFTWARE_WEBGL = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader")


def find_browser() -> str | None:
    """Path of the system's Chromium, or of Playwright's own. `None` if there is none."""
    for name in NAMES:
        path = shutil.which(name)
        if path:
            return path
    # In another thread, because Playwright may run in this one already.
    with ThreadPoolExecutor(1) as thread:
        path = thread.submit(_own_browser).result()
    return path if os.path.exists(path) else None


def _own_browser() -> str:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        return playwright.chromium.executable_path


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


def launch_browser(playwright, webcam: Path, arguments: tuple[str, ...] = NO_GPU):
    """Start Chromium. Its webcam shows an MJPEG file, see `write_webcam`."""
    return playwright.chromium.launch(
        executable_path=require_browser(),
        args=[
            "--no-sandbox", "--disable-background-networking", "--disable-component-update",
            "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
            f"--use-file-for-fake-video-capture={webcam}", *arguments,
        ],
    )  # fmt: skip


def write_webcam(clip: Path, path: Path, width: int, frames: int | None = None) -> Path:
    """Write a square clip as the MJPEG file of a webcam with the ratio 4:3."""
    import av

    with av.open(str(clip)) as container, path.open("wb") as file:
        for frame in list(container.decode(video=0))[:frames]:
            buffer = io.BytesIO()
            edge = width // 8
            image = frame.to_image().resize((width, width)).crop((0, edge, width, width - edge))
            image.save(buffer, "JPEG", quality=92)
            file.write(buffer.getvalue())
    return path


if __name__ == "__main__":
    found = find_browser() or install_browser()
    print(f"Browser for the tests: {found or 'none, the tests of the app are skipped'}")
    if found is None and os.environ.get("TERGAN_REQUIRE_BROWSER"):
        sys.exit("TERGAN_REQUIRE_BROWSER is set, but there is no browser")
