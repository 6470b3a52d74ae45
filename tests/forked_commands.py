"""Commands that fork from a process with their imports: importing PyTorch takes longer than most of them run."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from subprocess import CompletedProcess

from .conftest import ROOT
from .ports import free_port


# Forks for each line of JSON: the script, the module after "-m", or the program after "-c", with its arguments; the
# folder; the variables of each process; the files for output and errors. A process that fails ends the others.
SERVER = """
import gc, importlib, json, os, runpy, signal, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
gc.freeze()
for line in sys.stdin:
    words, folder, environments, *streams = json.loads(line)
    children, failed = [], 0
    for environment in environments:
        children.append(os.fork())
        if not children[-1]:
            break
    else:
        while children:
            child, status = os.wait()
            children.remove(child)
            code = os.waitstatus_to_exitcode(status)
            if code and not failed:
                failed = code
                for other in children:
                    os.kill(other, signal.SIGTERM)
        print(failed, flush=True)
        continue
    for number, path in enumerate([os.devnull, *streams]):
        os.dup2(os.open(path, os.O_RDWR | os.O_APPEND), number)
    os.chdir(folder)
    os.environ.update(environment)
    if words[0] == "-m":
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    elif words[0] == "-c":
        sys.argv = ["-c", *words[2:]]
        exec(compile(words[1], "-c", "exec"), globals())
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

    def run(self, words: list[str], folder: Path, processes: int = 1, **environment: str) -> CompletedProcess:
        """Run `python WORDS` in a folder, with further variables, and wait for its end. Several processes find each
        other as those of `torchrun` do."""
        environments = [environment]
        if processes > 1:
            group = {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
            ranks = [{"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(processes)]
            environments = [environment | group | rank for rank in ranks]
        with tempfile.TemporaryDirectory() as temporary:
            streams = [Path(temporary) / name for name in ("out", "err")]
            for path in streams:
                path.touch()
            request = [list(map(str, words)), str(folder), environments, *map(str, streams)]
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            code = int(self.process.stdout.readline())
            return CompletedProcess(words, code, *(path.read_text() for path in streams))

    def close(self):
        """End the process."""
        self.process.stdin.close()
        assert self.process.wait(60) == 0
