"""`python -m tergan_hf.hub` against a Hub on this machine."""

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout

from tergan_hf.cli import hub as command

from .conftest import ROOT
from .loopback_hub import TOKEN, used_here


def environment(hub, home, **changes):
    values = {
        **os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(home), "HF_TOKEN": TOKEN,
        "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "1", **changes,
    }  # fmt: skip
    return {name: value for name, value in values.items() if value is not None}


def push(hub, home, *arguments, check=True, **changes) -> subprocess.CompletedProcess:
    """Run `python -m tergan_hf.hub`: in this process, which saves its imports, unless its environment is another."""
    words = list(map(str, arguments))
    if changes:
        done = subprocess.run(
            [sys.executable, "-m", "tergan_hf.hub", *words],
            cwd=ROOT, env=environment(hub, home, **changes), capture_output=True, text=True, timeout=120,
        )  # fmt: skip
    else:
        done = push_here(hub, words)
    if check:
        assert done.returncode == 0, done.stderr
    return done


def push_here(hub, words: list[str]) -> subprocess.CompletedProcess:
    out, error, code = io.StringIO(), io.StringIO(), 0
    with used_here(hub) as patch, redirect_stdout(out), redirect_stderr(error):
        patch.chdir(ROOT)
        try:
            command.main(words)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
            error.write(f"{end.code}\n" if isinstance(end.code, str) else "")
    return subprocess.CompletedProcess(words, code, out.getvalue(), error.getvalue())
