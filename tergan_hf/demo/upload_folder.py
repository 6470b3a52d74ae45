"""Where visitors' files lie while they are needed: a folder of this server's own that goes when the server does."""

import atexit
import os
import shutil
import signal
import tempfile
import threading

from gradio.utils import get_upload_folder


def use_own_upload_folder() -> str:
    """
    Make a folder inside Gradio's temporary one (`GRADIO_TEMP_DIR`, where it is set) and have Gradio use it. It is
    removed when this process ends, also where it is told to (SIGTERM). Call it before any component is made: each
    remembers the folder it met.

    Returns:
        the folder's path.
    """
    above = get_upload_folder()
    os.makedirs(above, exist_ok=True)
    folder = tempfile.mkdtemp(prefix="ter-gan-", dir=above)
    os.environ["GRADIO_TEMP_DIR"] = folder
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _interrupt)
    return folder


def _interrupt(*_):
    # Gradio closes its server on this one; on SIGTERM Python would end without any clearing up.
    raise KeyboardInterrupt
