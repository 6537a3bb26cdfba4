"""The interface of sandboxes: open a candidate's source on a bundle, and get scores or a CandidateFailure."""

import socket
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from autoprune.pruning.layers import Session


class Sandbox(Protocol):
    """Where candidates run. Several sessions may be open from different threads."""

    name: str

    def open(self, source: str, bundle: Path, times: float = 1.0) -> AbstractContextManager[Session]:
        """Load a candidate's source with access to the bundle. Raises CandidateFailure.

        `times`: a multiple of the configured seconds, for candidates that score repeatedly, or only a few layers.
        """

    def wait_until_warm(self) -> None:
        """Wait until a worker has imported torch. Raises SandboxUnavailable."""

    def close(self) -> None:
        """End all processes of this sandbox."""


class Worker(Protocol):
    """A warm process that waits for a candidate, and its control from outside."""

    channel: socket.socket
    need_landlock: bool

    def overuse(self) -> tuple[str, str] | None:
        """(reason, message) if it exceeds a limit, checked from outside."""

    def ended(self) -> tuple[str, str]:
        """(reason, message) of its end, after its channel was closed."""

    def memory(self) -> int | None:
        """Peak growth in bytes, measured from outside; None if unknown."""

    def pause(self) -> None:
        """Suspend all its threads until `resume`."""

    def resume(self) -> None:
        """Continue after `pause`."""

    def close(self) -> None:
        """Kill it and free its resources. May be called twice."""
