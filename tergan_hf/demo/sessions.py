"""What the server remembers of its visitors, and for how long."""

import time
from collections.abc import Collection
from datetime import datetime
from pathlib import Path

from . import limits
from .upload_folder import LOCK


def forget_idle_sessions(state_holder, busy: Collection[str] = ()) -> int:
    """
    Delete the sessions of visitors who closed the page or are idle. Gradio alone keeps a session, with its default
    states and every picture it was last shown, until the server ends.

    Args:
        state_holder: Gradio's, of the app.
        busy: session hashes to keep.

    Returns:
        the number of deleted sessions.
    """
    now, forgotten = datetime.now(), 0
    for session_hash, used in list(state_holder.time_last_used.items()):
        session = state_holder.session_data.get(session_hash)
        closed = session is not None and session.is_closed
        kept = limits.CLOSED_SESSION_KEPT_SECONDS if closed else limits.STATE_KEPT_SECONDS
        if session is not None and not session.state_data:  # of a program, which would push out visitors of the page
            kept = limits.STATELESS_SESSION_KEPT_SECONDS
        if session_hash not in busy and (now - used).total_seconds() > kept:
            with state_holder.lock:
                state_holder.session_data.pop(session_hash, None)
                state_holder.time_last_used.pop(session_hash, None)
            forgotten += 1
    return forgotten


def delete_old_files(folder: str | Path, seconds: float, keep=()) -> int:
    """
    Delete the files of a folder that were made longer ago than `seconds`, and folders that are empty since. Gradio
    alone knows neither uploads that broke off nor what its endpoints write.

    Args:
        keep: paths of files to keep.

    Returns:
        the number of deleted files.
    """
    kept, deleted, now = {str(Path(path).resolve()) for path in keep}, 0, time.time()
    for path in sorted(Path(folder).rglob("*"), reverse=True):
        try:
            # The time of the last change of its inode: a copied file has the original's time of modification.
            if now - path.lstat().st_ctime <= seconds or path.name == LOCK or str(path.resolve()) in kept:
                continue
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink()
                deleted += 1
        except OSError:  # not empty, or already gone
            continue
    return deleted
