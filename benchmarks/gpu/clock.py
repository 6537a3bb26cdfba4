"""The wall clock of a check, which ends what would take too long."""

import time

OUT_OF_TIME = "skipped: out of time"


class OutOfTime(Exception):
    """The time for the whole check is used up."""


class Clock:
    """Counts from its creation; `seconds`: for the whole check."""

    def __init__(self, seconds: float) -> None:
        self._started = time.monotonic()
        self._seconds = seconds

    @property
    def spent(self) -> float:
        return time.monotonic() - self._started

    @property
    def left(self) -> float:
        """Seconds; zero or less when no time is left."""
        return self._seconds - self.spent

    @property
    def over(self) -> bool:
        """Whether no time is left."""
        return self.left <= 0

    def check(self) -> None:
        """Raises OutOfTime when no time is left."""
        if self.over:
            raise OutOfTime
