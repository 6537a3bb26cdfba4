"""Workers that are started in advance, so that a candidate does not wait for the interpreter and torch."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from autoprune.sandbox.base import Worker


class Pool:
    """Up to `spares` workers that are ready; each is taken once.

    The next worker is started by `warm`, since starting an interpreter would slow down a candidate that computes.
    """

    def __init__(self, start: Callable[[], Worker], spares: int = 1) -> None:
        self._start = start
        self._spares = spares
        self._ready: deque[Future[Worker]] = deque()
        self._lock = threading.Lock()
        self._closed = False
        self._starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sandbox-start")

    def warm(self) -> None:
        """Start missing spares in the background, unless the pool is closed."""
        with self._lock:
            while len(self._ready) < self._spares and not self._closed:
                self._ready.append(self._starter.submit(self._start))

    def take(self) -> Worker:
        """A warm worker; waits for one if necessary. Raises what starting one raises."""
        with self._lock:
            if self._closed:
                raise RuntimeError("the sandbox is closed")
            waiting = self._ready.popleft() if self._ready else self._starter.submit(self._start)
        return waiting.result()

    def wait(self) -> None:
        """Wait until all spares are ready. Raises what starting one raises."""
        with self._lock:
            waiting = list(self._ready)
        for future in waiting:
            future.result()

    def close(self) -> None:
        """End the spares and the thread that starts them, but not the workers that were taken."""
        with self._lock:
            self._closed = True
            waiting, self._ready = list(self._ready), deque()
        for future in waiting:
            if not future.cancel() and future.exception() is None:
                future.result().close()
        self._starter.shutdown()
