"""How commands end on an error or a signal."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ..model.errors_tergan import CROP_HINT, TerGanError, is_disk_full


TERMINATED = 128 + signal.SIGTERM


@contextmanager
def one_line_errors(program: str, again: str = "") -> Iterator[None]:
    """
    End the program with one line for a foreseen error, a full disk, Ctrl-C and SIGTERM. Any other error keeps its
    traceback. What the console cannot encode is printed as an escape sequence.

    Args:
        program: name at the start of the line.
        again: what to do to continue, if the work can be continued.

    Raises:
        SystemExit: with the line; 143 for SIGTERM.
    """
    print_any_name()
    with _unwinding_on_sigterm(program):
        try:
            yield
            sys.stdout.flush()
        except BrokenPipeError:  # the reader, such as `head`, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except KeyboardInterrupt:
            sys.exit(f"\n{program}: stopped{f'; {again}' if again else ''}")
        except TerGanError as error:
            hint = f": free some space, then {again}" if again and is_disk_full(error) else ""
            sys.exit(f"{program}: {' '.join(said_here(error).splitlines())}{hint}")
        except Exception as error:
            if not is_disk_full(error):
                raise
            place = getattr(error, "filename", None)
            place = f" for {place}" if place else " on the disk"
            sys.exit(f"{program}: no space left{place}: free some, then {again or 'try again'}")


def said_here(error: TerGanError) -> str:
    """The message of an error without the hint for Python, which commands have no option for."""
    return str(error).replace(CROP_HINT, "")


def print_any_name():
    """Let file names be printed that the console cannot encode, such as Cyrillic ones on a cp1252 console and names
    that are not UTF-8."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):  # replaced by a caller, or closed
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def _unwinding_on_sigterm(program: str) -> Iterator[None]:
    """Turn SIGTERM into an exception, so that unfinished files are removed."""

    def stop(*_):
        print(f"{program}: stopped", file=sys.stderr)
        raise SystemExit(TERMINATED)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
