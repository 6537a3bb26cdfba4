"""Shared by the commands: consoles, the error line, JSON output."""

import errno
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from rich.console import Console

from autoprune.errors import AutoPruneError, OutputLost
from autoprune.report.text import plain
from autoprune.secrets import masked, masked_tree

OUTPUT_CLOSED = 1


class _Output:
    """Standard output that raises OutputLost in place of OSError."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lost: OutputLost | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._explained():
            return self._stream.write(text)

    def flush(self) -> None:
        if self._lost is not None:  # again, since a library may have caught the first
            raise self._lost
        with self._explained():
            self._stream.flush()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """After an error the stream is redirected to /dev/null, or Python would flush its buffer again at exit."""
        try:
            yield
        except OSError as error:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
            if error.errno == errno.EPIPE:  # the reader has ended, as in `autoprune trace RUN | head`
                sys.exit(OUTPUT_CLOSED)
            self._lost = OutputLost(f"cannot write to standard output: {error.strerror}")
            raise self._lost from None


class _Progress(_Output):
    """Standard error, whose errors are ignored: the exit code reports the result."""

    @contextmanager
    def _explained(self) -> Iterator[None]:
        with suppress(OSError):
            yield


@contextmanager
def guarded_output() -> Iterator[None]:
    """Guards the standard streams: an output error becomes one line, or none if a pipe was closed."""
    _reopen_closed()
    streams = sys.stdout, sys.stderr
    guarded = _Output(sys.stdout)
    sys.stdout, sys.stderr = guarded, _Progress(sys.stderr)
    try:
        try:
            yield
        finally:
            guarded.flush()
    finally:
        sys.stdout, sys.stderr = streams


def _reopen_closed() -> None:
    """Reopen standard streams that were closed before the start (`>&-`), so that no other file gets their descriptor.
    Standard output remains unwritable."""
    if sys.stdin is None:
        sys.stdin = os.fdopen(os.open(os.devnull, os.O_RDONLY))
    if sys.stdout is None:
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w")
    if sys.stderr is None:
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")


def console() -> Console:
    return Console(highlight=False)


def errors() -> Console:
    return Console(stderr=True, highlight=False)


def say(line: str) -> None:
    errors().print(plain(masked(line), "dim"), soft_wrap=True)


def report_error(error: AutoPruneError) -> int:
    """Print the error's one line; returns the exit code."""
    with suppress(OSError):  # if standard error goes to a full disk
        errors().print(plain(masked(f"autoprune: {error}")), soft_wrap=True)
    return error.exit_code


def print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(masked_tree(value), indent=2, allow_nan=False) + "\n")
