"""The memory of a worker, read by the trusted side from the kernel's figures on its process.

GPU memory is not included. Without Landlock, a container's process can reset its own peak, which makes the figure too
small.
"""

import contextlib
from pathlib import Path

_SELF = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


def figures(pid: int) -> dict[str, int]:
    """The figures of /proc/PID/status, in bytes instead of kB; empty if the process has ended."""
    counts = {}
    with (
        contextlib.suppress(FileNotFoundError, ProcessLookupError),
        open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as status,
    ):
        for line in status:
            key, _, value = line.partition(":")
            words = value.split()
            if words and words[0].isdecimal():
                counts[key] = int(words[0]) * (1024 if words[1:] == ["kB"] else 1)
    return counts


class Growth:
    """Peak growth of a process' resident memory in bytes since this object was created.

    Includes the read pages of mapped files, for example a full Hessian. The process must be freshly forked or have
    called `forget_peak`, so that there was no higher peak before.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._at_first = figures(pid).get("VmRSS")

    def most(self) -> int | None:
        """The peak growth; None if unknown, for example after the process has ended."""
        peak = figures(self._pid).get("VmHWM")
        if peak is None or self._at_first is None:
            return None
        return max(0, peak - self._at_first)


def forget_peak() -> None:
    """Reset the peak memory of this process, if the kernel supports that."""
    with contextlib.suppress(OSError):
        _SELF.write_text(_RESET_PEAK, encoding="ascii")
