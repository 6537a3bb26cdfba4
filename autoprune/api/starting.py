"""Starting a search and working on it until it ends, for the command and for the Python API."""

import errno
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from autoprune.api.replay import chosen
from autoprune.config import Config
from autoprune.errors import AutoPruneError, RunPaused, UsageError
from autoprune.log import log_to
from autoprune.runs.control import clear_stop
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import EventLog

if TYPE_CHECKING:
    from autoprune.search.budget import StopRule
    from autoprune.search.context import SearchContext

Wait = Callable[[], None]
"""Called repeatedly while only approvals are missing: it sleeps briefly, or raises RunPaused."""
DISK_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO)


class CannotWrite(AutoPruneError):
    """Disk or database cannot be written any more; the run can be resumed."""


def check_second_model(config: Config) -> None:
    """Raises UsageError now for a transfer model that is only needed at the end; reads its configuration only."""
    if config.confirmation.transfer_model is not None:
        from autoprune.models.loading import stored_dtype

        stored_dtype(config.confirmation.transfer_model)


def check_share(config: Config, sparsity: float | None, params: float | None) -> None:
    """Raises UsageError for a share of parameters in a search of single weights, or beside a sparsity: both are one
    setting."""
    if params is not None and config.search.structure is None:
        raise UsageError("params is a share of structures' parameters; it needs a structure, such as width")
    if params is not None and sparsity is not None:
        raise UsageError("sparsity and params are one setting; give one of them")


def work_until_ended(
    run: RunDirectory,
    config: Config,
    events: EventLog,
    begin: Callable[[], None],
    waiting: "Callable[[Config, SearchContext], AbstractContextManager[Wait | None]]",
    fresh: bool,
    *rules: "StopRule",
) -> Config:
    """Start the search of a run, or continue it, and work on it until it has ended.

    `begin`: called when the target, the chat models and the sandbox are there. `waiting`: opened around the work; gives
    what waits for approvals, or None to pause for them. `rules`: limits beside those of the settings and a request to
    stop by another process. Returns the settings with the chosen chat model. Raises UsageError for what is missing,
    RunPaused, and AutoPruneError.
    """
    clear_stop(run)
    from autoprune.llm.provider import choose_llm
    from autoprune.search.budget import StopFile
    from autoprune.search.resolving import check_agents
    from autoprune.search.session import open_context, work

    if not fresh:
        events.emit("run-resumed")
    with log_to(events.notice):
        choice = choose_llm(config.llm, config.model)
    problem = check_agents(config, choice)
    if problem:
        raise UsageError(problem)
    config = chosen(config, choice)
    with faults_explained(run), open_context(run, config, choice, events, *rules, StopFile(run)) as context:
        begin()
        with waiting(config, context) as wait:
            work(context, wait)
    return config


@contextmanager
def gone_unless_begun(run: RunDirectory, config: Config, fresh: bool) -> Iterator[Callable[[], None]]:
    """Removes the directory of a new run that cannot start, whatever the reason: a missing key or extra, no memory on
    the device.

    Yields a function to call when the search has started. Runs that are paused, or lack disk space, are kept.
    """
    begun, kept = threading.Event(), False
    try:
        yield begun.set
    except (RunPaused, CannotWrite):
        kept = True
        raise
    finally:
        if fresh and not (kept or begun.is_set()):
            run.discard(config)


@contextmanager
def faults_explained(run: RunDirectory) -> Iterator[None]:
    """Raises CannotWrite when disk or database cannot be written any more."""
    from sqlalchemy.exc import DatabaseError

    from autoprune.errors import message_of
    from autoprune.runs.postgres import driver_errors

    faults: tuple[type[Exception], ...] = (OSError, sqlite3.Error, DatabaseError, *driver_errors())
    try:
        yield
    except faults as error:
        if isinstance(error, OSError) and error.errno not in DISK_FAULTS:
            raise
        schema = None if isinstance(error, OSError) else run.schema()
        place = f"the database {schema.database.url}" if schema else f"the run directory {run.path}"
        reason = error.strerror if isinstance(error, OSError) else message_of(getattr(error, "orig", error))
        remedy = "when it is available again," if schema else "free some space, then"
        raise CannotWrite(
            f"{place} cannot be written ({reason}); {remedy} continue with `autoprune resume {run.path}`"
        ) from None
