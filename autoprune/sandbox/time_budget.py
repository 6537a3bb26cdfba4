"""How long a candidate may keep us waiting."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class TimeBudget:
    """Seconds of wall clock; one for all workers of a candidate. They count only while we wait for one of them."""

    seconds: float
    left: float = field(init=False)

    def __post_init__(self) -> None:
        self.left = self.seconds

    @contextmanager
    def waiting(self) -> Iterator[float]:
        """Takes from what is left the time that is spent inside; gives the moment (time.monotonic) of its end."""
        started = time.monotonic()
        try:
            yield started + self.left
        finally:
            self.left -= time.monotonic() - started
