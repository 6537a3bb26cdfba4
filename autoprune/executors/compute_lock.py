"""Heavy work by one thread at a time, whose helpers end with it.

torch's loops are OpenMP's, whose runtime keeps a team of helpers for every thread that ever had a loop. GNU's lets a
helper wait awake between two loops, which follow each other within microseconds, but no longer once all teams together
are more threads than cores: then each loop begins with a wake-up, and passes of a small model are slower for it.
Agents' threads measure one after the other, and each would leave a team behind.
"""

import ctypes
import threading
from contextlib import AbstractContextManager
from types import TracebackType

# As in omp.h, OpenMP 5.0.
_PAUSE_SOFT = 1


def end_helpers() -> bool:
    """End the OpenMP helpers of the calling thread; its next loop starts them anew, which takes microseconds.

    False, and nothing changed, where the runtime that is loaded cannot do that.
    """
    pause = getattr(ctypes.CDLL(None), "omp_pause_resource_all", None)
    return pause is not None and pause(_PAUSE_SOFT) == 0


class ComputeLock(AbstractContextManager[None]):
    """A lock that a thread may take again while it has it. Helpers of the thread end before it is another's."""

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        end_helpers()
        self._lock.release()
