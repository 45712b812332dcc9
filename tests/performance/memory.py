"""The memory of a process while it works: what is its own, without pages mapped from files."""

import threading
from pathlib import Path


def anonymous_mib() -> float:
    """Return the process's anonymous resident memory now."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


class Peak(threading.Thread):
    """Samples the memory until it is told to stop."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.mib = 0.0
        self.stopped = threading.Event()

    def run(self) -> None:
        while not self.stopped.wait(0.05):
            self.mib = max(self.mib, anonymous_mib())
