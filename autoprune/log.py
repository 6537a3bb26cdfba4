"""Handling of the package's log lines. Every module has a logger below "autoprune"."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_quiet: ContextVar[bool] = ContextVar("quiet", default=False)


class _Lines(logging.Handler):
    """Calls `show` with every message in the logging thread, to which exceptions of `show` are propagated."""

    def __init__(self, show: Callable[[str], object]) -> None:
        super().__init__(logging.INFO)
        self._show = show

    def emit(self, record: logging.LogRecord) -> None:
        if not is_quiet():
            self._show(record.getMessage())


@contextmanager
def log_to(show: Callable[[str], object]) -> Iterator[None]:
    """Within this context, call `show` with every log line of the package of at least INFO. Also a decorator.

    For the lines of all threads of the process; contexts may nest, but not overlap otherwise.
    """
    package, handler = logging.getLogger("autoprune"), _Lines(show)
    level = package.level
    package.setLevel(min(level or logging.INFO, logging.INFO))
    package.addHandler(handler)
    try:
        yield
    finally:
        package.removeHandler(handler)
        package.setLevel(level)


def is_quiet() -> bool:
    """Whether log lines of this thread are hidden."""
    return _quiet.get()


@contextmanager
def quiet() -> Iterator[None]:
    """Within this context, log lines and bars of this thread are hidden, for repeated work. Also a decorator."""
    token = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(token)
