"""The Space: `python app.py` (or `make demo`) serves TER-GAN as a web page.

`TERGAN_MODEL` names another folder or model id on the Hub. The default is the weights beside this file. With
`TERGAN_C2PA_CERT` and `TERGAN_C2PA_KEY`, the files that visitors download carry a signed C2PA manifest.
"""

import contextlib
import os
import sys
from pathlib import Path


os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
with contextlib.suppress(ImportError):
    import spaces  # noqa: F401  a ZeroGPU Space needs this import before torch

from tergan_hf import TerGanPipeline
from tergan_hf.cli.errors import one_line_errors
from tergan_hf.demo.interface import build_demo, serve
from tergan_hf.demo.upload_folder import use_own_upload_folder
from tergan_hf.provenance.signing import environment_signer


MODEL = os.environ.get("TERGAN_MODEL") or str(Path(__file__).parent / "weights" / "ter-gan")

# Without a screen Python would open a browser in the terminal.
HAS_SCREEN = sys.platform in ("darwin", "win32") or bool(
    os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
)

use_own_upload_folder()
with one_line_errors("app.py"):
    environment_signer()  # a certificate that cannot be used stops the app now
    pipe = TerGanPipeline.from_pretrained(MODEL)
demo = build_demo(pipe, MODEL)

if __name__ == "__main__":
    serve(demo, inbrowser=HAS_SCREEN and os.environ.get("TERGAN_OPEN_BROWSER") == "1")
