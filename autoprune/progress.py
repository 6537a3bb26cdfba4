"""Progress bars with the remaining time, for everything that takes long.

All bars of a command share one display: that of `shown_in`, such as the live view of a search, else one on standard
error, which the outermost bar starts. Off a terminal there are no bars, and at most a log line for every tenth.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from autoprune.log import is_quiet

logger = logging.getLogger(__name__)
Advance = Callable[[int], None]
MINUTE, HOUR = 60, 3600
MOST = 1000 * 24 * HOUR
"""Seconds that are shown as remaining time; more come from a run's files, which may say anything."""


@dataclass
class Pace:
    """The remaining time of steps of several kinds, from what those of each kind have taken. Thread-safe.

    `left`: kind -> number of steps that are left. `expected`: kind -> seconds of a step before one was timed; they are
    scaled by what other kinds have taken beside what was expected of them.
    """

    left: dict[str, int]
    expected: Mapping[str, float] = field(default_factory=dict)
    clock: Callable[[], float] = field(default_factory=lambda: time.monotonic)
    _timed: dict[str, tuple[int, float]] = field(default_factory=dict)
    """Kind -> number and seconds of the timed steps."""

    def __post_init__(self) -> None:
        self._since = self.clock()
        self._lock = threading.Lock()

    def advance(self, kind: str, count: int = 1, timed: bool = True) -> None:
        """Count finished steps; those that took no work, as from a cache, are not `timed`."""
        with self._lock:
            now = self.clock()
            self.left[kind] = max(self.left.get(kind, 0) - count, 0)
            if timed:
                number, seconds = self._timed.get(kind, (0, 0.0))
                self._timed[kind] = number + count, seconds + now - self._since
            self._since = now

    def expect(self, left: Mapping[str, int]) -> None:
        """Replace the numbers of steps that are left."""
        with self._lock:
            self.left = dict(left)

    def skip(self, seconds: float) -> None:
        """Leave seconds of the current step out of its time, such as work that further steps share."""
        with self._lock:
            self._since += seconds

    def remaining(self) -> float | None:
        """Seconds, or None where nothing is known of a kind that is left, or they are absurd."""
        with self._lock:
            each = {kind: self._seconds(kind) for kind, count in self.left.items() if count}
            known = {kind: seconds for kind, seconds in each.items() if seconds is not None}
            if len(known) < len(each):
                return None
            total = sum(self.left[kind] * seconds for kind, seconds in known.items())
            total -= min(self.clock() - self._since, max(known.values(), default=0.0))
            return total if total < MOST else None

    def _seconds(self, kind: str) -> float | None:
        """Seconds of a step of a kind."""
        if kind in self._timed:
            number, seconds = self._timed[kind]
            return seconds / max(number, 1)
        both = [name for name in self._timed if name in self.expected]
        if kind in self.expected:
            took = sum(self._timed[name][1] for name in both)
            planned = sum(self._timed[name][0] * self.expected[name] for name in both)
            return self.expected[kind] * (took / planned if planned else 1.0)
        number = sum(count for count, _ in self._timed.values())
        return sum(seconds for _, seconds in self._timed.values()) / number if number else None


_display: ContextVar[Progress | None] = ContextVar("display", default=None)
_around: ContextVar[tuple[Pace, ...]] = ContextVar("around", default=())
"""The paces of the bars around the next one."""
_hidden: ContextVar[bool] = ContextVar("hidden", default=False)


class Bar:
    """One bar of a display; without one it only counts. `unit`: of the count; MB for bytes."""

    def __init__(self, display: Progress | None, name: str, unit: str, pace: Pace) -> None:
        self.done = 0
        self._display = display
        self._unit = unit
        self._pace = pace
        if display is not None:
            self._task = display.add_task(name, total=self.total, amount=self._amount(), pace=pace)

    @property
    def total(self) -> int:
        return self.done + sum(self._pace.left.values())

    def advance(self, kind: str = "", count: int = 1, timed: bool = True) -> None:
        """Count finished steps of a kind. See Pace."""
        self._pace.advance(kind, count, timed)
        self.done += count
        self._update()

    def expect(self, left: Mapping[str, int]) -> None:
        """Replace the numbers of steps that are left, by kind."""
        self._pace.expect(left)
        self._update()

    def remove(self) -> None:
        if self._display is not None:
            self._display.remove_task(self._task)

    def _update(self) -> None:
        if self._display is not None:
            self._display.update(self._task, completed=self.done, total=self.total, amount=self._amount())

    def _amount(self) -> str:
        scale = 1e6 if self._unit == "MB" else 1
        return f"{self.done / scale:,.0f}/{self.total / scale:,.0f} {self._unit}"


class _Remaining(ProgressColumn):
    """The remaining time; empty while nothing is known."""

    def render(self, task: Task) -> Text:
        seconds = task.fields["pace"].remaining()
        return Text("" if seconds is None else f"{time_left(seconds)} left", style="cyan")


def time_left(seconds: float) -> str:
    """Seconds as people say them: `40 s`, `5 min`, `2 h 10 min`."""
    if seconds < MINUTE:
        return f"{seconds:.0f} s"
    minutes = round(seconds / MINUTE)
    return f"{minutes} min" if seconds < HOUR else f"{minutes // 60} h {minutes % 60:02} min"


def new_display(console: Console) -> Progress:
    """A display of bars, which can be started or drawn by another one."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[amount]}", markup=False),
        _Remaining(),
    )
    return Progress(*columns, console=console, transient=True, auto_refresh=True)


@contextmanager
def shown_in(display: Progress) -> Iterator[None]:
    """Within this context, bars of this thread, and of those that copy its context, are added to a display."""
    token = _display.set(display)
    try:
        yield
    finally:
        _display.reset(token)


@contextmanager
def hidden() -> Iterator[None]:
    """Within this context, there are no bars, as off a terminal: for work in the background of something else."""
    token = _hidden.set(True)
    try:
        yield
    finally:
        _hidden.reset(token)


@contextmanager
def steps(name: str, left: Mapping[str, int], unit: str = "", expected: Mapping[str, float] = {}) -> Iterator[Bar]:
    """A bar over steps of several kinds, on a terminal. See Pace."""
    with ExitStack() as stack:
        yield stack.enter_context(_bar(_opened(stack), name, unit, Pace(dict(left), expected)))


@contextmanager
def progress(
    name: str, total: int, unit: str = "MB", level: int = logging.INFO, once: bool = False
) -> Iterator[Advance]:
    """A bar over equal steps on a terminal, else a log line for every tenth.

    `total`: in bytes, or a count of `unit`. `level`: of the log lines. `once`: work that later steps of the bars around
    this one share, and that does not count as time of their current step.
    """
    scale = 1e6 if unit == "MB" else 1
    with ExitStack() as stack:
        display = _opened(stack)
        bar = stack.enter_context(_bar(display, name, unit, Pace({"": total}), once))

        def advance(count: int) -> None:
            tenth = 10 * bar.done // total
            bar.advance(count=count)
            if display is None and tenth < 10 * bar.done // total < 10:
                logger.log(level, f"{name}: {bar.done / scale:,.0f} of {total / scale:,.0f} {unit}")

        yield advance


@contextmanager
def _bar(display: Progress | None, name: str, unit: str, pace: Pace, once: bool = False) -> Iterator[Bar]:
    """A bar that is removed at the end. See `progress`."""
    around, started = _around.get(), pace.clock()
    token = _around.set((*around, pace))
    bar = Bar(display, name, unit, pace)
    try:
        yield bar
    finally:
        _around.reset(token)
        bar.remove()
        for outer in around if once else ():
            outer.skip(pace.clock() - started)


def _opened(stack: ExitStack) -> Progress | None:
    """The display for a bar, which is started if there is none yet; None off a terminal and where lines are hidden."""
    if is_quiet() or _hidden.get():
        return None
    if (display := _display.get()) is not None:
        return display
    console = Console(stderr=True)
    if not console.is_terminal:
        return None
    display = stack.enter_context(new_display(console))
    stack.enter_context(shown_in(display))
    return display
