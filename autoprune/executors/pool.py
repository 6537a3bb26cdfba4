"""Workers side by side, each with one job at a time. One that is lost is replaced, and its job is run again."""

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
"""Workers that may be lost over one job, or in a row before they are open."""


class WorkerLost(Exception):
    """A worker has ended, or cannot be reached any more. Its message says how, in a few words."""


class WorkerHandle(Protocol):
    """The coordinator's end of one worker. Its methods return what the worker's do (worker.py), or raise WorkerLost."""

    name: str

    def open(self) -> Failure | None:
        """Wait until the worker can take jobs. `name` then says where it is."""

    def check(self) -> None:
        """Raises WorkerLost if it is known to have ended."""

    def provide(self, bundle: Path) -> Failure | None:
        """See to it that the worker finds these statistics, which the coordinator has collected."""

    def measure(self, job: Job) -> Measurement | Failure:
        """See worker.Worker."""

    def verify(self) -> Failure | None:
        """See worker.Worker."""

    def close(self) -> None:
        """End it, whatever it is doing. May be called twice, and from another thread."""


class Pool:
    """The executor over several workers; see base.Executor.

    `start(place)` begins to start the worker of a place (0, 1, ...) and returns at once; what is slow is the handle's
    `open`. `statistics(fields)`: the coordinator's bundle with these on-demand fields, collected if need be. `closed`
    is called once all of them have ended.
    """

    def __init__(
        self,
        start: Callable[[int], WorkerHandle],
        workers: int,
        conditions: dict[str, Any],
        statistics: Callable[[tuple[str, ...]], Path],
        closed: Callable[[], None] = lambda: None,
    ) -> None:
        self.workers = workers
        self.conditions = conditions
        self._when_closed = closed
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
        """See base.Executor. CandidateFailure too when `MOST_LOST` workers are lost over the job."""
        reasons: list[str] = []
        fields = expensive_fields_named(job.source)
        bundle = self._statistics(fields) if fields else None
        while len(reasons) < MOST_LOST:
            idle, hand = self._take()
            try:
                if bundle is not None:
                    _raised(hand.provide(bundle))
                answer = hand.measure(job)
            except WorkerLost as lost:
                reasons.append(str(lost))
                last = len(reasons) == MOST_LOST
                then = f"the last of {MOST_LOST} lost over it" if last else "which is measured again"
                self._replace(hand, f"{lost}) while it measured candidate {job.name[:8]}, {then}")
                continue
            self._idle.put(idle)
            return _raised(answer)
        message = f"{MOST_LOST} workers were lost while they measured it; the last one: {reasons[-1]}"
        raise CandidateFailure("measure", "crashed", message)

    def wait_until_warm(self) -> None:
        """Return when every worker waits for jobs. Raises AutoPruneError when one could not be started."""
        idle = [self._take()[0] for _ in range(self.workers)]
        for each in idle:
            self._idle.put(each)

    def verify(self) -> None:
        """See base.Executor; every worker that has nothing to do is asked."""
        for _ in range(self._idle.qsize()):
            idle, hand = self._take()
            try:
                _raised(hand.verify())
            except WorkerLost as lost:
                self._replace(hand, f"{lost}) before its target was verified")
            else:
                self._idle.put(idle)

    def close(self) -> None:
        """See base.Executor."""
        with self._lock:
            self._closed = True
            hands = list(self._places.values())
        for hand in hands:
            hand.close()
        self._starters.shutdown(cancel_futures=True)
        self._when_closed()

    def _hire(self, place: int) -> None:
        """Begin to start a worker; once it is open, it waits for jobs."""
        with self._lock:
            if not self._closed:
                self._starters.submit(self._started, place).add_done_callback(self._idle.put)

    def _started(self, place: int) -> WorkerHandle:
        """An open worker. Raises AutoPruneError when none can be had."""
        reason = ""
        for _ in range(MOST_LOST):
            with self._lock:
                if self._closed:
                    raise AutoPruneError("the executor is closed")
                hand = self._places[place] = self._start(place)
            try:
                _raised(hand.open())
            except WorkerLost as lost:
                reason = str(lost)
                hand.close()
                continue
            return hand
        raise AutoPruneError(f"{MOST_LOST} workers in a row ended before they could take a candidate; last: {reason}")

    def _take(self) -> tuple[Future[WorkerHandle], WorkerHandle]:
        """A worker that waits for jobs. Raises the AutoPruneError of one that could not be started."""
        while True:
            idle = self._idle.get()
            if idle.exception() is not None:
                self._idle.put(idle)  # for the others who wait
            hand = idle.result()
            try:
                hand.check()
            except WorkerLost as lost:  # which is no job's fault
                self._replace(hand, f"{lost}) while it had nothing to do")
                continue
            return idle, hand

    def _replace(self, hand: WorkerHandle, how: str) -> None:
        logger.warning(f"{hand.name} was lost ({how}; another worker takes its place")
        place = next(place for place, other in self._places.items() if other is hand)
        hand.close()
        self._hire(place)


def _raised(answer: Answer | Failure) -> Answer:
    if isinstance(answer, CandidateFailure | AutoPruneError):
        raise answer
    return answer
