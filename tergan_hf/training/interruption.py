"""Stopping a run between two steps, so that nothing it has computed is lost."""

import signal
import threading

import torch
from accelerate import Accelerator

from ..model.errors_tergan import TerGanError


class TrainingInterrupted(TerGanError):
    """A signal stopped the run after a checkpoint was written."""


def survive_one_sigterm(worker: int):
    """
    Let a process that loads data go on after a first SIGTERM, for `worker_init_fn` of a `DataLoader`. Launchers and
    schedulers send it to every process of a run, and the trainer would fail for want of data before its checkpoint.
    """
    signal.signal(signal.SIGTERM, lambda *_: signal.signal(signal.SIGTERM, signal.SIG_DFL))


class StopRequest:
    """
    A context in which Ctrl-C and SIGTERM ask for a stop instead of ending the process. A second Ctrl-C ends it at
    once.

    Args:
        accelerator: every process stops if any of them is asked to.
    """

    def __init__(self, accelerator: Accelerator):
        self.accelerator = accelerator
        self._asked = False
        self._former: dict[int, object] = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._former[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_):
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame):
        if self._asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._asked = True

    def __bool__(self) -> bool:
        """Whether any process was asked to stop. All processes must ask this together."""
        if self.accelerator.num_processes == 1:
            return self._asked
        asked = torch.tensor([float(self._asked)], device=self.accelerator.device)
        return bool(self.accelerator.reduce(asked, reduction="sum").item())
