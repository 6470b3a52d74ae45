"""The Space: `python app.py` (or `make demo`) opens TER-GAN in a browser.

`TERGAN_MODEL` names another folder or model id on the Hub; the default is the weights beside this file.
"""

import contextlib
import os
import sys
from pathlib import Path


with contextlib.suppress(ImportError):
    import spaces  # noqa: F401  a ZeroGPU Space wants it before torch

from tergan_hf import TerGanPipeline
from tergan_hf.demo.interface import LAUNCH, QUEUE, build_demo
from tergan_hf.demo.upload_folder import use_own_upload_folder


MODEL = os.environ.get("TERGAN_MODEL") or str(Path(__file__).parent / "weights" / "ter-gan")

# Only where there is a screen: elsewhere Python would look for a browser in the terminal.
HAS_SCREEN = sys.platform in ("darwin", "win32") or bool(
    os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
)

use_own_upload_folder()
demo = build_demo(TerGanPipeline.from_pretrained(MODEL), MODEL)

if __name__ == "__main__":
    demo.queue(**QUEUE).launch(**LAUNCH, inbrowser=HAS_SCREEN and os.environ.get("TERGAN_OPEN_BROWSER") == "1")
