"""A folder for visitors' files that disappears with the server."""

import atexit
import os
import shutil
import signal
import tempfile
import threading
from pathlib import Path

from filelock import FileLock, Timeout
from gradio.utils import get_upload_folder


PREFIX = "ter-gan-"
LOCK = ".in-use"  # file in the folder that a running server holds locked


def made_upload_folder() -> Path:
    """Gradio's folder for uploads, which is created if needed."""
    folder = Path(get_upload_folder())
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def use_own_upload_folder() -> str:
    """
    Create a folder inside Gradio's temporary folder (`GRADIO_TEMP_DIR` if it is set) and make Gradio use it.

    The folder is removed when this process ends, also on SIGTERM. Folders that killed servers have left are removed
    now. Call this function before any component is built, because each component remembers the folder it finds.

    Returns:
        path of the folder.
    """
    parent = made_upload_folder()
    remove_abandoned_folders(parent)
    # It takes its name once it is locked, or a server that starts now might remove it.
    folder = Path(tempfile.mkdtemp(prefix=f".{PREFIX}", dir=parent))
    lock = FileLock(folder / LOCK)
    lock.acquire()
    folder = folder.rename(parent / folder.name[1:])
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    atexit.register(_remove, folder, lock)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _interrupt)
    return str(folder)


def remove_abandoned_folders(parent: str | Path):
    """Remove the upload folders whose server has ended without removing them."""
    for folder in Path(parent).glob(f"{PREFIX}*"):
        try:
            with FileLock(folder / LOCK, timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
        except (Timeout, OSError):  # in use, or another user's
            continue


def _remove(folder: Path, lock: FileLock):
    shutil.rmtree(folder, ignore_errors=True)
    lock.release()
    shutil.rmtree(folder, ignore_errors=True)  # Windows does not delete a locked file


def _interrupt(*_):
    # On SIGTERM Python ends without cleaning up. Gradio closes its server on KeyboardInterrupt.
    raise KeyboardInterrupt
