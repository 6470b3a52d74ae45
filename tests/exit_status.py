"""Commands called as functions."""

from collections.abc import Callable

import pytest


def exit_status(main: Callable[[list[str]], None], *words) -> int | str:
    """Run a command. Returns its exit status, or the message that it ends with."""
    with pytest.raises(SystemExit) as ended:
        main(list(map(str, words)))
    return ended.value.code
