"""A search in a thread of this process."""

import atexit
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.pool import AsyncResult, ThreadPool
from typing import TYPE_CHECKING

from autoprune.api.run_data import write_report
from autoprune.api.starting import gone_unless_begun, work_until_ended
from autoprune.api.tracking import tracked
from autoprune.config import Config
from autoprune.errors import AutoPruneError, RunPaused, UsageError
from autoprune.progress import hidden
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import EventLog
from autoprune.sandbox.leftovers import remove_own
from autoprune.search.budget import StopRequest

if TYPE_CHECKING:
    from autoprune.search.context import SearchContext

logger = logging.getLogger(__name__)
POLL = 0.1
"""Seconds between checks for an approval, and for the beginning of a search."""
_ONE = threading.Lock()
"""Held by the search of this process: log lines become notices of the run, which two searches would mix up."""


class BackgroundSearch:
    """Works on a run until it has ended. The thread ends with the interpreter; the run can then be resumed."""

    def __init__(self, run: RunDirectory, config: Config, fresh: bool) -> None:
        self._run = run
        self._config = config
        self._fresh = fresh
        self._stop = StopRequest()
        self._begun = threading.Event()
        self._pool = ThreadPool(1)
        atexit.register(remove_own)  # containers are no child processes, and would outlive the interpreter
        self._outcome: AsyncResult[None] = self._pool.apply_async(self._work)

    @classmethod
    def begin(cls, run: RunDirectory, config: Config, fresh: bool) -> "BackgroundSearch":
        """Start a thread, and wait until target, chat models and sandbox are there.

        Raises UsageError if this process has a search already, and what a search raises that cannot start; a `fresh`
        run is then removed.
        """
        if not _ONE.acquire(blocking=False):
            if fresh:
                run.discard(config)
            raise UsageError("a search of this process goes on; wait for its result(), or stop() it")
        search = cls(run, config, fresh)
        try:
            while not (search._begun.wait(POLL) or search.done):
                pass
        except KeyboardInterrupt:
            search.stop()
            raise
        if not search._begun.is_set():
            search.result()
        return search

    @property
    def done(self) -> bool:
        return self._outcome.ready()

    def stop(self) -> None:
        """Ask for the end; see StopRequest."""
        self._stop.ask()

    def result(self) -> None:
        """Wait for the end of the thread; raises the error that ended it."""
        while not self.done:
            time.sleep(POLL)  # unlike a wait without a time-out, it can be interrupted
        self._outcome.get()

    def _work(self) -> None:
        try:
            with self._run.locked(), gone_unless_begun(self._run, self._config, self._fresh) as begin:
                self._search(begin)
        finally:
            self._pool.close()
            atexit.unregister(remove_own)
            _ONE.release()

    def _search(self, begin: Callable[[], None]) -> None:
        def begun() -> None:
            begin()
            self._begun.set()

        events = EventLog(self._run.events_file)
        try:
            with hidden(), tracked(self._run, self._config, events, self._fresh):
                config = work_until_ended(
                    self._run, self._config, events, begun, self._waiting, self._fresh, self._stop
                )
                self._write_report(config)
        finally:
            events.close()

    def _write_report(self, config: Config) -> None:
        """Write the report; an error is logged, since the search itself has succeeded."""
        try:
            write_report(self._run, config=config)
        except AutoPruneError as error:
            logger.warning(str(error))

    @contextmanager
    def _waiting(self, config: Config, context: "SearchContext") -> Iterator[Callable[[], None]]:
        """Approvals come from elsewhere, as by `autoprune approve`."""

        def wait() -> None:
            if self._stop.asked:
                raise RunPaused(f"stopped; to decide on pending candidates: autoprune approve {self._run.path}")
            time.sleep(POLL)

        yield wait
