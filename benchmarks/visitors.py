"""Let several visitors use the app at once, and measure errors, seconds per result, and the server's memory.

`python benchmarks/visitors.py --visitors 8 --seconds 120` starts the app and its visitors. Each visitor checks that
the results are made from their own photo. Linux only.
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

import numpy as np
from gradio_client import Client, handle_file
from PIL import Image


ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "assets" / "examples"
SMILING = EXAMPLES / "london_099_happiness.jpg"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--visitors", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--url", help="address of a running app; --pid also measures its memory")
    parser.add_argument("--pid", type=int, help="process of the running app")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.url:
            report(options.url, options.pid, options, Path(folder))
            return
        with App(Path(folder) / "files") as app:
            report(app.url, app.process.pid, options, Path(folder))
        left = [path for path in app.files.rglob("*") if path.is_file()]
        print(f"files left after the app ended: {len(left)}")


def report(url: str, pid: int | None, options, folder: Path):
    """Run the visitors and print the measurements."""
    visitors = [Visitor(url, number, folder) for number in range(options.visitors)]
    visitors[0].act()  # loads what is loaded only once
    before = resident_mebibytes(pid)
    end = time.monotonic() + options.seconds
    threads = [threading.Thread(target=visitor.stay, args=(end,)) for visitor in visitors]
    for thread in threads:
        thread.start()
    sizes = []
    while any(thread.is_alive() for thread in threads):
        time.sleep(1)
        sizes.append(resident_mebibytes(pid))
    seconds = np.concatenate([visitor.seconds for visitor in visitors])
    errors = [error for visitor in visitors for error in visitor.errors]
    print(f"{options.visitors} visitors, {options.seconds:g} s: {len(seconds)} results, {len(errors)} errors")
    print(f"seconds per result: median {np.median(seconds):.2f}, 95 % below {np.quantile(seconds, 0.95):.2f}")
    if pid:
        thirds = [np.median(part) for part in np.array_split(sizes, 3)]
        then = ", ".join(f"{size:.0f}" for size in thirds)
        print(f"memory: {before:.0f} MiB before, then by thirds {then} MiB")
    for error in errors[:5]:
        print("   ", error)
    if errors:
        sys.exit(1)


class Visitor:
    """A visitor with their own photo, who checks that every result is made from it."""

    def __init__(self, url: str, number: int, folder: Path):
        people = sorted(EXAMPLES.glob("*_neutral.jpg"))
        photo = Image.open(people[number % len(people)]).convert("RGB")
        # Every visitor's photo has a border of another colour.
        framed = Image.new("RGB", (700, 700), (30 * number % 256, 80 * number % 256, 200 - 20 * number % 256))
        framed.paste(photo, (30, 30))
        self.path = folder / f"visitor {number}.png"
        framed.save(self.path)
        self.pixels = np.asarray(framed, int)
        self.client = Client(url, download_files=str(folder / f"downloads {number}"), verbose=False)
        self.seconds: list[float] = []
        self.errors: list[str] = []
        self.turn = number

    def stay(self, end: float):
        """Use the app until a time of `time.monotonic`."""
        while time.monotonic() < end:
            start = time.monotonic()
            try:
                self.act()
                self.seconds.append(time.monotonic() - start)
            except Exception as error:
                self.errors.append(f"{type(error).__name__}: {error}")

    def act(self):
        """Use one endpoint and check its result."""
        self.turn += 1
        photo = handle_file(str(self.path))
        if self.turn % 3 == 0:
            faces = self.client.predict(photo, api_name="/recognize")
            if len(faces) != 1:
                raise AssertionError(f"{len(faces)} faces instead of one")
            return
        if self.turn % 3 == 1:
            made = self.client.predict(handle_file(str(SMILING)), photo, 1.0, False, api_name="/transfer")
        else:
            made = self.client.predict(photo, "surprise", 1.0, False, api_name="/edit")
        result = np.asarray(Image.open(made), int)
        Path(made).unlink()
        if result.shape != self.pixels.shape or (result[:30] != self.pixels[:30]).any():
            raise AssertionError("another visitor's photo came back")
        if (result == self.pixels).all():
            raise AssertionError("the photo came back unchanged")


class App:
    """The app in its own process, with its own folder for files."""

    def __init__(self, files: Path):
        self.files = files

    def __enter__(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        environment = {**os.environ, "GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": str(self.files)}
        environment |= {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1", "GRADIO_SERVER_NAME": "127.0.0.1"}
        start = time.monotonic()
        self.process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=environment)
        while self.process.poll() is None:
            try:
                urllib.request.urlopen(self.url, timeout=5)
                break
            except OSError:
                time.sleep(0.2)
        print(f"the app answers after {time.monotonic() - start:.1f} s")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)


def resident_mebibytes(pid: int | None) -> float:
    """Memory of a process in MiB."""
    if pid is None:
        return float("nan")
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return float("nan")


if __name__ == "__main__":
    main()
