"""Peak memory of a process."""

import re
import sys
from pathlib import Path


def peak_memory_gib() -> float:
    """The most memory that this process has held, in GiB."""
    status = Path("/proc/self/status")
    if status.is_file() and (found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        # On Linux `ru_maxrss` also counts the process that started this one.
        return int(found[1]) / 2**20
    try:
        import resource
    except ImportError:  # Windows
        import psutil

        return psutil.Process().memory_info().peak_wset / 2**30
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**30 if sys.platform == "darwin" else 2**20)
