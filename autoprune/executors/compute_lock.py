"""A lock for heavy work by one thread at a time, which ends the thread's OpenMP helpers when it is released.

OpenMP keeps a team of helper threads for every thread that has run a parallel loop. GNU's helpers spin between loops,
but sleep once all teams together have more threads than there are cores; then every loop starts with a wake-up, which
slows down small models. Agents measure from several threads in turn, and each would leave a team behind.
"""

import ctypes
import threading
from contextlib import AbstractContextManager
from types import TracebackType

# As in omp.h, OpenMP 5.0.
_PAUSE_SOFT = 1


def end_helpers() -> bool:
    """End the OpenMP helpers of the calling thread; its next loop restarts them within microseconds.

    Returns False if the loaded runtime does not support it.
    """
    pause = getattr(ctypes.CDLL(None), "omp_pause_resource_all", None)
    return pause is not None and pause(_PAUSE_SOFT) == 0


class ComputeLock(AbstractContextManager[None]):
    """A reentrant lock. The thread's helpers end before another thread can acquire it."""

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        end_helpers()
        self._lock.release()
