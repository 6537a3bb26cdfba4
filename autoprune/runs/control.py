"""How other processes control the one that works on a run: a request to stop, and a live page that answers approvals.

Both are files of the run directory, which a run in a PostgreSQL database has too.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from autoprune.errors import UsageError
from autoprune.runs.directory import PAGE_LOCK, STOP, RunDirectory
from autoprune.runs.files import is_locked, open_file, read_bytes, write_atomically

LONGEST_NAME = 200


def request_stop(run: RunDirectory, who: str) -> None:
    """Ask the search of a run to end: no further generation begins, and the best candidates are confirmed.

    A search that waits for approvals pauses instead. Raises UsageError if no process works on the run.
    """
    if not run.in_use:
        raise UsageError(f"no search works on {run.path}; continue it with `autoprune resume {run.path}`")
    write_atomically(run.path / STOP, who[:LONGEST_NAME])


def stop_requested(run: RunDirectory) -> str | None:
    """Who asked for the end of the search that works on the run, or None."""
    try:
        return read_bytes(run.path / STOP).decode(errors="replace")[:LONGEST_NAME] or "an unnamed process"
    except FileNotFoundError:
        return None


def clear_stop(run: RunDirectory) -> None:
    """Forget an earlier request, when a process begins to work on the run."""
    if stop_requested(run) is not None:
        (run.path / STOP).unlink()


@contextmanager
def serving_page(run: RunDirectory) -> Iterator[None]:
    """Within this context, a search without a terminal waits for approvals instead of pausing."""
    with os.fdopen(open_file(run.path / PAGE_LOCK, os.O_RDWR | os.O_CREAT), "rb") as handle:
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield


def page_is_served(run: RunDirectory) -> bool:
    return is_locked(run.path / PAGE_LOCK, fcntl.LOCK_EX)
