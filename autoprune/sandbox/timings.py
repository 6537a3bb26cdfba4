"""The time of a candidate: its limit, and what its worker reports."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from autoprune.sandbox.answers import Timed


@dataclass
class TimeBudget:
    """The wall-clock limit of a candidate over all its workers. Time counts only while a session waits for a worker."""

    seconds: float
    left: float = field(init=False)

    def __post_init__(self) -> None:
        self.left = self.seconds

    @contextmanager
    def waiting(self) -> Iterator[float]:
        """Deduct the time within this context; yields the deadline (time.monotonic)."""
        started = time.monotonic()
        try:
            yield started + self.left
        finally:
            self.left -= time.monotonic() - started


@dataclass
class ReportedTimings:
    """Seconds that a worker reports, which are untrusted and used for benchmarks and messages only.

    `own`, `own_processor`: wall clock and processor time of the candidate's functions on layers; `processor`: processor
    time of the worker since it received the candidate; `by_role`: `own` by the roles of layers.
    """

    own: float = 0.0
    own_processor: float = 0.0
    processor: float = 0.0
    by_role: dict[str, float] = field(default_factory=dict)

    def add(self, answer: Timed, role: str) -> None:
        """Add the timings of an answer on a layer of this role."""
        self.own += answer.own
        self.by_role[role] = self.by_role.get(role, 0.0) + answer.own
        self.own_processor += answer.own_processor
        self.processor = max(self.processor, answer.processor)
