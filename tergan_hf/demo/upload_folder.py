"""A folder for visitors' files that disappears with the server."""

import atexit
import os
import shutil
import signal
import tempfile
import threading

from gradio.utils import get_upload_folder


def use_own_upload_folder() -> str:
    """
    Create a folder inside Gradio's temporary folder (`GRADIO_TEMP_DIR` if it is set) and make Gradio use it.

    The folder is removed when this process ends, also on SIGTERM. Call this function before any component is built,
    because each component remembers the folder it finds.

    Returns:
        path of the folder.
    """
    parent = get_upload_folder()
    os.makedirs(parent, exist_ok=True)
    folder = tempfile.mkdtemp(prefix="ter-gan-", dir=parent)
    os.environ["GRADIO_TEMP_DIR"] = folder
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _interrupt)
    return folder


def _interrupt(*_):
    # On SIGTERM Python ends without cleaning up. Gradio closes its server on KeyboardInterrupt.
    raise KeyboardInterrupt
