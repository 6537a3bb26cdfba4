"""What the live page shows, as messages: the state of the run, and what the events since the last message changed.

A message has `head` (the state), `pending` (slot and content hash of what waits for approval), `forks`, `rows` (slot ->
the candidates that changed) and `lines` (the events as text). A page that reconnects names the number of events that it
has, and gets what followed.
"""

from datetime import datetime
from typing import Any

from autoprune.report.html.safe import cut, number, shareable
from autoprune.report.live import counted, describe
from autoprune.report.picture import Picture, Slot
from autoprune.report.text import one_line
from autoprune.runs.control import stop_requested
from autoprune.runs.events import Event, EventReader
from autoprune.runs.facts import reading_facts
from autoprune.web.live_run import LiveRun

MOST_LINES = 400
"""Lines of one message; earlier ones are left out."""
SAID = 400
"""Maximum characters of an idea, a problem or an event."""


class Feed:
    """The messages for one open page. `seen`: the number of events that it has already."""

    def __init__(self, live: LiveRun, seen: int = 0) -> None:
        self._live = live
        self._seen = seen
        self._reader = EventReader(live.directory.events_file)
        self._picture = Picture()
        self._clock: datetime | None = None
        self._last: dict[str, Any] = {}

    @property
    def count(self) -> int:
        """The number of events that the messages so far cover."""
        return self._reader.count

    def next(self) -> dict[str, Any] | None:
        """The next message; None if nothing has changed. Raises UsageError for events that cannot be read."""
        with reading_facts(self._live.directory):
            slots, lines = self._read()
            state = self._state()
            if state == self._last and not lines and not slots:
                return None
            self._last = state
            rows = {slot: _row(self._picture.slots[slot]) for slot in slots if slot in self._picture.slots}
            return {**state, "seconds": self._seconds(), "rows": rows, "lines": lines[-MOST_LINES:]}

    def _read(self) -> tuple[list[str], list[str]]:
        """Apply the new events. Returns the slots that they changed, and their lines."""
        slots: dict[str, None] = {}
        lines = []
        for event in self._reader.new():
            self._picture.apply(event)
            if event.kind in ("run-started", "run-resumed", "spent"):
                self._clock = datetime.fromisoformat(event.time)
            if self._reader.count > self._seen:
                slots |= dict.fromkeys(_slots_of(event))
                line = describe(event, SAID)
                lines += [f"{event.time[11:19]} {line.plain}"] if line is not None else []
        return list(slots), lines

    def _state(self) -> dict[str, Any]:
        live, picture = self._live, self._picture
        pending = [[request.slot, request.candidate] for request in live.pending()]
        best, baseline = picture.best, picture.best_baseline
        perplexity = number(best.perplexity) if best else None
        running = live.directory.in_use
        head = {
            "name": one_line(live.directory.path.resolve().name),
            "model": shareable(picture.started.get("model", live.config.model)),
            "sparsity": f"{live.config.sparsity:g}",
            "state": self._standing(running, bool(pending)),
            "running": running and not picture.stop,
            "generation": picture.generation,
            "best": {"slot": best.slot, "perplexity": perplexity} if best else None,
            "baseline": {"name": cut(baseline[0], SAID), "perplexity": number(baseline[1])} if baseline else None,
            "ratio": number(perplexity / baseline[1]) if perplexity and baseline and baseline[1] else None,
            "dense": number(picture.dense),
            "candidates": counted(picture.done, live.config.search.max_candidates),
            "mode": live.mode(),
            "conclusion": cut(picture.conclusion, SAID),
        }
        return {"head": head, "pending": pending, "forks": live.forks.states()}

    def _standing(self, running: bool, waits: bool) -> str:
        if self._picture.stop:
            return f"ended: {cut(self._picture.stop, SAID)}"
        if not running:
            return f"not running; continue with: autoprune resume {self._live.directory.path}"
        if who := stop_requested(self._live.directory):
            return f"stopping, as asked by {one_line(who)}"
        return "waits for approval" if waits else "running"

    def _seconds(self) -> float:
        """Elapsed time over all sessions of the run, as for the limit `search.max_minutes`."""
        spent = float(self._picture.spent.get("seconds", 0.0))
        if self._picture.stop or self._clock is None or not self._live.directory.in_use:
            return spent
        return spent + max((datetime.now().astimezone() - self._clock).total_seconds(), 0.0)


def _slots_of(event: Event) -> list[str]:
    if event.kind == "planned":
        return [str(plan["slot"]) for plan in event.data["slots"]]
    return [str(event.data["slot"])] if "slot" in event.data else []


def _row(slot: Slot) -> dict[str, Any]:
    return {
        "slot": slot.slot,
        "operator": cut(slot.operator, SAID),
        "engine": cut(slot.engine, SAID),
        "idea": one_line(slot.idea, SAID),
        "perplexity": number(slot.perplexity),
        "status": cut(slot.status, SAID),
        "agent": cut(slot.agent, SAID),
        "problem": one_line(slot.problem, SAID),
    }
