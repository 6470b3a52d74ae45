"""Commands that fork from a process with their imports: importing PyTorch takes longer than most of them run."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from .conftest import ROOT


# Forks once for each line of JSON: the script, or the module after "-m", with its arguments; the folder; variables;
# the files for output and errors.
SERVER = """
import importlib, json, os, runpy, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
for line in sys.stdin:
    words, folder, environment, *streams = json.loads(line)
    child = os.fork()
    if child:
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        continue
    for number, path in enumerate([os.devnull, *streams]):
        os.dup2(os.open(path, os.O_RDWR), number)
    os.chdir(folder)
    os.environ.update(environment)
    if words[0] == "-m":
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")
    sys.exit()
"""


class ForkedCommands:
    """
    A process that has imported some modules and runs commands of Python in forks of itself.

    Args:
        modules: names of the modules.
        environment: variables of all commands, and of the imports.
    """

    def __init__(self, *modules: str, environment: dict[str, str]):
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER, *modules], env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, words: list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess:
        """Run `python WORDS` in a folder, with further variables, and wait for its end."""
        with tempfile.TemporaryDirectory() as temporary:
            streams = [Path(temporary) / name for name in ("out", "err")]
            for path in streams:
                path.touch()
            request = [list(map(str, words)), str(folder), environment, *map(str, streams)]
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            code = int(self.process.stdout.readline())
            return subprocess.CompletedProcess(words, code, *(path.read_text() for path in streams))

    def close(self):
        """End the process."""
        self.process.stdin.close()
        assert self.process.wait(60) == 0
