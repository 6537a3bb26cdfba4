"""The time of a candidate: its limit, and what its worker reports."""

import time
from collections.abc import Iterator, Mapping
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
    time of the worker since it received the candidate; `by_role`: `own` by the roles of layers; `by_part`: by the
    candidate's functions, with `allocate`, which is timed from outside and no part of `own`.
    """

    own: float = 0.0
    own_processor: float = 0.0
    processor: float = 0.0
    by_role: dict[str, float] = field(default_factory=dict)
    by_part: dict[str, float] = field(default_factory=dict)

    def __add__(self, other: "ReportedTimings") -> "ReportedTimings":
        return ReportedTimings(
            self.own + other.own,
            self.own_processor + other.own_processor,
            self.processor + other.processor,
            _sums(self.by_role, other.by_role),
            _sums(self.by_part, other.by_part),
        )

    def add(self, answer: Timed, role: str) -> None:
        """Add the timings of an answer on a layer of this role."""
        self.own += answer.own
        self.by_role = _sums(self.by_role, {role: answer.own})
        self.by_part = _sums(self.by_part, answer.by_part)
        self.own_processor += answer.own_processor
        self.processor = max(self.processor, answer.processor)

    @contextmanager
    def allocating(self) -> Iterator[None]:
        """Add the wall clock of this context, in which `allocate` is waited for."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.by_part = _sums(self.by_part, {"allocate": time.monotonic() - started})


def _sums(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    return {name: one.get(name, 0.0) + other.get(name, 0.0) for name in {**one, **other}}
