"""`python -m tergan_hf.hub` against a Hub on this machine."""

import io
import os
import subprocess
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from tergan_hf.cli import hub as command

from .conftest import ROOT
from .loopback_hub import TOKEN, LoopbackHub, used_here


def environment(hub: LoopbackHub, home: Path, **changes: str | None) -> dict[str, str]:
    """The environment of a process that uses the Hub."""
    values = {
        **os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(home), "HF_TOKEN": TOKEN,
        "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "1", **changes,
    }  # fmt: skip
    return {name: value for name, value in values.items() if value is not None}


def push(hub: LoopbackHub, *arguments, check: bool = True, token: str = TOKEN) -> subprocess.CompletedProcess:
    """Run `python -m tergan_hf.hub`, in this process, which saves its imports."""
    words = list(map(str, arguments))
    out, error, code = io.StringIO(), io.StringIO(), 0
    with used_here(hub, token) as patch, redirect_stdout(out), redirect_stderr(error):
        patch.chdir(ROOT)
        try:
            command.main(words)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
            error.write(f"{end.code}\n" if isinstance(end.code, str) else "")
    if check:
        assert code == 0, error.getvalue()
    return subprocess.CompletedProcess(words, code, out.getvalue(), error.getvalue())
