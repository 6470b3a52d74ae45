"""Open parquet files by their path alone."""

import os
from pathlib import Path

import pyarrow as pa


def open_parquet(path: Path) -> pa.OSFile:
    """
    Open a file for `pyarrow.parquet`, which takes some paths for addresses or partitions.

    It is Arrow's own file: a thread of Arrow may let go of a Python file when the interpreter is about to end, and the
    process would abort after its work is done (https://github.com/apache/arrow/issues/34314).

    Raises:
        OSError: the file cannot be read.
    """
    return pa.OSFile(os.fsencode(path))
