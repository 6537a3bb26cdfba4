"""How much memory a worker has used, read by the trusted side from what the kernel counts for its process.

Nothing here is asked of the worker. Not counted: memory of a GPU. Where the kernel has no Landlock, a container's
process can reset its own peak, and the number may then be too small.
"""

import contextlib
from pathlib import Path

_SELF = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


def figures(pid: int) -> dict[str, int]:
    """What /proc/PID/status counts: bytes for what it gives in kB, else plain numbers; empty for a process gone."""
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
    """By how many bytes a process' resident memory has grown at most since this was made.

    Mapped files count as far as they were read: of two candidates the one that reads a full Hessian has it in here.
    The process must have had no higher peak before: it was forked just now, or has called `forget_peak`.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._at_first = figures(pid).get("VmRSS")

    def most(self) -> int | None:
        """None when the kernel does not say, as of a process that has ended."""
        peak = figures(self._pid).get("VmHWM")
        if peak is None or self._at_first is None:
            return None
        return max(0, peak - self._at_first)


def forget_peak() -> None:
    """Have the kernel count this process' peak from now on; kernels that cannot do that leave it as it is."""
    with contextlib.suppress(OSError):
        _SELF.write_text(_RESET_PEAK, encoding="ascii")
