"""How commands end on an error."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ..model.errors_tergan import TerGanError


@contextmanager
def one_line_errors(program: str, *further: type[BaseException]) -> Iterator[None]:
    """
    End the program with one line for a foreseen error. Any other error keeps its traceback.

    Args:
        program: name at the start of the line.
        further: foreseen errors besides `TerGanError`.

    Raises:
        SystemExit: 1, with the line.
    """
    try:
        yield
    except (TerGanError, *further) as error:
        sys.exit(f"{program}: {' '.join(str(error).splitlines())}")
