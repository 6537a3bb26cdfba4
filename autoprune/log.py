"""Where the package's log lines go. Every module logs to a logger of its own below "autoprune"."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_quiet: ContextVar[bool] = ContextVar("quiet", default=False)


class _Lines(logging.Handler):
    """Calls `show` with every message, in the thread that logs. What `show` raises reaches the line that logs."""

    def __init__(self, show: Callable[[str], object]) -> None:
        super().__init__(logging.INFO)
        self._show = show

    def emit(self, record: logging.LogRecord) -> None:
        if not _quiet.get():
            self._show(record.getMessage())


@contextmanager
def log_to(show: Callable[[str], object]) -> Iterator[None]:
    """Call `show` with every line that the package logs while this holds, from INFO on. Also a decorator."""
    package, handler = logging.getLogger("autoprune"), _Lines(show)
    level = package.level
    package.setLevel(min(level or logging.INFO, logging.INFO))
    package.addHandler(handler)
    try:
        yield
    finally:
        package.removeHandler(handler)
        package.setLevel(level)


@contextmanager
def quiet() -> Iterator[None]:
    """What this thread logs while this holds goes to no `log_to`: it was said before. Also a decorator."""
    token = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(token)
