"""One bound on all work of the server at full resolution, which is what takes memory."""

import contextlib
import ctypes
import os
import threading
import time
from collections import deque
from collections.abc import Callable

from .limits import MAX_PIXELS, LimitError, photo_pixels


PATIENCE_SECONDS = 120
TRIM_ABOVE = 8_000_000  # pixels
LEAST_PIXELS = 1_000_000  # the cost of a small photo


class PixelBudget:
    """
    A number of pixels that may be worked on at a time. Photos wait for their turn in the order of their arrival.

    Args:
        pixels: the budget. A photo that is larger alone uses up all of it.
        patience: how many seconds a photo waits.
    """

    def __init__(self, pixels: int = MAX_PIXELS, patience: float = PATIENCE_SECONDS):
        self.pixels, self.patience = pixels, patience
        self.begin_anew()

    def begin_anew(self):
        """Forget all work at hand, as a forked process does, in which its threads are missing."""
        self._free = self.pixels
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def reserve(self, *paths: str, has_left: Callable[[], bool] = lambda: False):
        """
        Hold the pixels of photos while they are worked on. Do not nest this.

        Args:
            paths: of the photos.
            has_left: whether the visitor has left, so that the work can be dropped.

        Raises:
            LimitError: there was no room for too long, or the visitor has left.
        """
        cost = min(self.pixels, sum(max(LEAST_PIXELS, photo_pixels(path) or 0) for path in paths))
        self._take(cost, has_left)
        try:
            yield
        finally:
            if cost > TRIM_ABOVE:
                return_free_memory()
            with self._changed:
                self._free += cost
                self._changed.notify_all()

    def _take(self, cost: int, has_left: Callable[[], bool]):
        ticket, deadline = object(), time.monotonic() + self.patience
        with self._changed:
            self._waiting.append(ticket)
            try:
                while self._waiting[0] is not ticket or self._free < cost:
                    if has_left() or time.monotonic() > deadline:
                        raise LimitError("the server is busy with other photos. Please try again in a minute")
                    self._changed.wait(1)
                self._free -= cost
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()


def return_free_memory():
    """Give freed memory back to the system. The C library of Linux keeps it, anew for every thread."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


FULL_RESOLUTION = PixelBudget()
if hasattr(os, "register_at_fork"):  # a ZeroGPU Space works in forked processes
    os.register_at_fork(after_in_child=FULL_RESOLUTION.begin_anew)
