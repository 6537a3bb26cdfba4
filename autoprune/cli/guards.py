"""Context managers around a search in a terminal: Ctrl+C, and questions to the user."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from types import FrameType

from rich.console import Console

from autoprune.cli.common import console
from autoprune.config import Config
from autoprune.errors import RunPaused
from autoprune.report.live import LiveView
from autoprune.report.text import plain
from autoprune.runs.directory import RunDirectory

INTERRUPTED = 130
POLL = 0.1
"""Seconds between checks for an approval."""


@contextmanager
def attended(run: RunDirectory, config: Config, view: LiveView, screen: Console) -> Iterator[Callable[[], None] | None]:
    """On a terminal, asks for approvals while the search runs. Yields a function that waits for an answer."""
    if not (screen.is_terminal and sys.stdin.isatty()):
        yield None
        return
    from autoprune.cli.dialog import Dialog
    from autoprune.runs.archive import Archive

    ended = threading.Event()
    with (
        closing(Archive.of(run, config)) as archive,
        ThreadPoolExecutor(max_workers=1, thread_name_prefix="approvals") as thread,
    ):
        dialog = Dialog(run, archive, screen, sys.stdin.fileno(), ended.is_set, view.held)
        asking = thread.submit(dialog.attend)

        def wait() -> None:
            if asking.done():
                asking.result()
                raise RunPaused(f"stopped; to decide on pending candidates: autoprune approve {run.path}")
            time.sleep(POLL)

        try:
            yield wait
        finally:
            ended.set()


@contextmanager
def stop_at_once(run: RunDirectory, view: LiveView) -> Iterator[None]:
    """On Ctrl+C print how to resume and exit at once: all finished steps are on disk, and child processes end.

    Containers are not child processes, and are removed.
    """
    from autoprune.sandbox.leftovers import remove_own

    def interrupt(signum: int, frame: FrameType | None) -> None:
        view.stop()
        signal.signal(signum, signal.SIG_DFL)  # a second Ctrl+C does not wait for the engine
        console().print(plain(f"\ninterrupted; continue with: autoprune resume {run.path}"), soft_wrap=True)
        remove_own()
        os._exit(INTERRUPTED)

    handlers = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
