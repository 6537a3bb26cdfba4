"""Logging a search to an experiment tracker while it runs, in a thread that reads the run's events.

A tracker that fails or hangs neither delays nor ends a search: it is reported once, as a notice of the run.
"""

import hashlib
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.pool import AsyncResult, ThreadPool
from pathlib import Path

from autoprune import __version__
from autoprune.api.run_data import REPORT
from autoprune.config import Config, flat_settings
from autoprune.errors import first_line
from autoprune.report.text import one_line, visible
from autoprune.report.tracking.files import own_folder, write_files
from autoprune.report.tracking.metrics import Metrics, SearchMetrics, confirmed_figures
from autoprune.report.tracking.tracker import LONGEST, Ending, TrackedRun, Tracker, check_server, open_tracker
from autoprune.runs.contacts import admit
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import Event, EventLog, follow_events
from autoprune.secrets import masked, masked_tree

POLL = 0.2
"""Seconds between reads of the events."""
CLOSING = 60.0
"""Seconds that the end of a search waits for the tracker."""
LONGEST_TAG = 4000


@contextmanager
def tracked(run: RunDirectory, config: Config, events: EventLog, fresh: bool = False) -> Iterator[None]:
    """Within this context, the run is logged to the tracker of its settings, if there is one.

    Around the search and the report that follows it. Raises UsageError at once if the tracker is not installed, if its
    address was not confirmed, or if the server of a `fresh` run cannot be reached; a later session goes on without it.
    """
    if config.tracking.to == "none":
        yield
        return
    admit(run.path, run.settings()[0], config)
    tracker = open_tracker(config.tracking)
    if fresh:
        check_server(tracker)
    tracking = _Tracking(run, tracker, events)
    try:
        yield
    finally:
        tracking.close()


class _NothingMore(Exception):
    """The search's work is over, and all of its events were read."""


class _Tracking:
    """The thread, which is a daemon: it does not outlive the interpreter."""

    def __init__(self, run: RunDirectory, tracker: Tracker, events: EventLog) -> None:
        self._run = run
        self._tracker = tracker
        self._events = events
        self._over = threading.Event()
        self._quiet = False
        self._closed = False
        self._pool = ThreadPool(1)
        self._outcome: AsyncResult[None] = self._pool.apply_async(self._work, error_callback=self._report)

    def close(self) -> None:
        """Wait for the thread, which logs the rest."""
        self._over.set()
        self._outcome.wait(CLOSING)
        if not self._outcome.ready():
            self._notice(f"the tracker does not answer; after {CLOSING:g} seconds the rest is not logged")
        self._closed = True
        self._pool.close()

    def _report(self, error: BaseException) -> None:
        if not self._closed:
            reason = one_line(first_line(error), LONGEST)
            self._notice(f"tracking has failed, and the search goes on without it: {reason}")

    def _notice(self, text: str) -> None:
        with suppress(OSError):  # a full disk, which ends the search with its own message
            self._events.notice(text)

    def _work(self) -> None:
        metrics = SearchMetrics()
        waiting: list[Metrics] = []
        identity, begun = "", False
        with suppress(_NothingMore):
            for event in follow_events(self._run.events_file, self._wait):
                identity = identity or _identity(event)
                waiting += [taken] if (taken := metrics.take(event)) else []
                if event.kind == "run-started":  # a fork has events of its origin before it
                    self._begin(identity, event)
                    begun = True
                while begun and waiting:
                    self._tracker.log(waiting.pop(0))
        if begun:
            self._end(metrics)

    def _wait(self) -> None:
        """Raises _NothingMore when the search is over and the events were read once more."""
        if self._quiet:
            raise _NothingMore
        self._quiet = self._over.wait(POLL)

    def _begin(self, identity: str, event: Event) -> None:
        text = self._tracker.begin(_described(self._run, identity, event))
        self._events.emit("notice", f"tracked/{hashlib.sha256(text.encode()).hexdigest()}", text=f"tracked by {text}")

    def _end(self, metrics: SearchMetrics) -> None:
        picture = metrics.picture
        if not picture.stop:
            self._tracker.end(None)
            return
        self._over.wait()  # for the report
        with tempfile.TemporaryDirectory() as folder:
            files = write_files(self._run, picture, self._run.path / REPORT, Path(folder))
            conclusion = masked(visible(picture.conclusion, LONGEST_TAG))
            self._tracker.end(Ending(metrics.steps, confirmed_figures(picture), conclusion, files))


def _identity(first: Event) -> str:
    """An id of a run, from its first event."""
    return hashlib.sha256(f"{first.key} {first.time}".encode()).hexdigest()[:16]


def _described(run: RunDirectory, identity: str, started: Event) -> TrackedRun:
    """`started`: the run's event run-started."""
    record = started.data["record"]
    settings = masked_tree(flat_settings(run.settings()[0]))
    tags = {
        "autoprune.version": __version__,
        "autoprune.model": started.data["model"],
        "autoprune.model_fingerprint": record["model"],
        "autoprune.llm": started.data["llm"],
    }
    return TrackedRun(
        identity,
        run.name,
        own_folder(run),
        {key: visible(value, LONGEST) for key, value in settings.items() if value not in (None, {}, [])},
        {key: visible(value, LONGEST) for key, value in masked_tree(tags).items()},
    )
