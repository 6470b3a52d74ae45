"""Let a forked child compute: OpenMP's threads do not survive a fork, and torch would wait for them for ever."""

import functools
import os

import torch


@functools.cache
def use_one_thread_after_fork():
    """From now on, let torch compute in a single thread in processes that are forked off this one."""
    if hasattr(os, "register_at_fork"):  # Windows has no fork
        os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


__all__ = ["use_one_thread_after_fork"]
