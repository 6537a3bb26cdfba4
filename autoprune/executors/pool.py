"""A pool of workers that run one job at a time each. A lost worker is replaced, and its job is run again."""

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeVar

from autoprune.candidates.contract import expensive_fields_named
from autoprune.errors import AutoPruneError, CandidateFailure
from autoprune.executors.base import Job
from autoprune.executors.worker import Failure
from autoprune.runs.measurement import Measurement

logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")

MOST_LOST = 3
"""Limit of workers that are lost while they run the same job, or in a row while they start."""


class WorkerLost(Exception):
    """A worker has ended or cannot be reached. The message gives the reason in a few words."""


class WorkerHandle(Protocol):
    """The coordinator's end of one worker. Its methods return what the worker's do (worker.py), or raise WorkerLost."""

    name: str

    def open(self) -> Failure | None:
        """Wait until the worker can take jobs. Then `name` includes its location."""

    def check(self) -> None:
        """Raises WorkerLost if it is known to have ended."""

    def provide(self, bundle: Path) -> Failure | None:
        """Make sure that the worker has these statistics of the coordinator."""

    def measure(self, job: Job) -> Measurement | Failure: ...

    def verify(self) -> Failure | None: ...

    def close(self) -> None:
        """End it, even during a job. May be called twice, and from another thread."""


class Pool:
    """The executor over several workers; see base.Executor.

    `start(place)` begins to start the worker of a place (0, 1, ...) and returns at once; the handle's `open` waits for
    it. `statistics(fields)`: the coordinator's bundle with these on-demand fields, collected if necessary.
    """

    def __init__(
        self,
        start: Callable[[int], WorkerHandle],
        workers: int,
        conditions: dict[str, Any],
        statistics: Callable[[tuple[str, ...]], Path],
    ) -> None:
        self.workers = workers
        self.conditions = conditions
        self._start = start
        self._statistics = statistics
        self._idle: queue.Queue[Future[WorkerHandle]] = queue.Queue()
        self._places: dict[int, WorkerHandle] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._starters = ThreadPoolExecutor(workers, thread_name_prefix="workers-start")
        for place in range(workers):
            self._hire(place)

    def measure(self, job: Job) -> Measurement:
        """See base.Executor. Also raises CandidateFailure when `MOST_LOST` workers are lost during the job."""
        reasons: list[str] = []
        fields = expensive_fields_named(job.source)
        bundle = self._statistics(fields) if fields else None
        while len(reasons) < MOST_LOST:
            idle, handle = self._take()
            try:
                if bundle is not None:
                    _raised(handle.provide(bundle))
                answer = handle.measure(job)
            except WorkerLost as lost:
                reasons.append(str(lost))
                last = len(reasons) == MOST_LOST
                consequence = f"the last of {MOST_LOST} lost over it" if last else "which is measured again"
                self._replace(handle, f"{lost}) while it measured candidate {job.name[:8]}, {consequence}")
                continue
            self._idle.put(idle)
            return _raised(answer)
        message = f"{MOST_LOST} workers were lost while they measured it; the last one: {reasons[-1]}"
        raise CandidateFailure("measure", "crashed", message)

    def wait_until_warm(self) -> None:
        """Wait until all workers are idle. Raises AutoPruneError when one could not be started."""
        idle = [self._take()[0] for _ in range(self.workers)]
        for worker in idle:
            self._idle.put(worker)

    def verify(self) -> None:
        """See base.Executor; checks all idle workers."""
        for _ in range(self._idle.qsize()):
            idle, handle = self._take()
            try:
                _raised(handle.verify())
            except WorkerLost as lost:
                self._replace(handle, f"{lost}) before its target was verified")
            else:
                self._idle.put(idle)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            handles = list(self._places.values())
        for handle in handles:
            handle.close()
        self._starters.shutdown(cancel_futures=True)

    def _hire(self, place: int) -> None:
        """Begin to start a worker, which becomes idle once it is open."""
        with self._lock:
            if not self._closed:
                self._starters.submit(self._started, place).add_done_callback(self._idle.put)

    def _started(self, place: int) -> WorkerHandle:
        """An open worker. Raises AutoPruneError when `MOST_LOST` in a row fail to start."""
        reason = ""
        for _ in range(MOST_LOST):
            with self._lock:
                if self._closed:
                    raise AutoPruneError("the executor is closed")
                handle = self._places[place] = self._start(place)
            try:
                _raised(handle.open())
            except WorkerLost as lost:
                reason = str(lost)
                handle.close()
                continue
            return handle
        raise AutoPruneError(f"{MOST_LOST} workers in a row ended before they could take a candidate; last: {reason}")

    def _take(self) -> tuple[Future[WorkerHandle], WorkerHandle]:
        """An idle worker. Raises the AutoPruneError of one that could not be started."""
        while True:
            idle = self._idle.get()
            if idle.exception() is not None:
                self._idle.put(idle)  # for other waiting threads
            handle = idle.result()
            try:
                handle.check()
            except WorkerLost as lost:  # while idle, so it does not count against a job
                self._replace(handle, f"{lost}) while it had nothing to do")
                continue
            return idle, handle

    def _replace(self, handle: WorkerHandle, circumstances: str) -> None:
        logger.warning(f"{handle.name} was lost ({circumstances}; another worker takes its place")
        place = next(place for place, other in self._places.items() if other is handle)
        handle.close()
        self._hire(place)


def _raised(answer: Answer | Failure) -> Answer:
    if isinstance(answer, CandidateFailure | AutoPruneError):
        raise answer
    return answer
