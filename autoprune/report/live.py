"""The view of a running search from its events, with bars of what takes long: a live panel on a terminal, else plain
lines."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from autoprune.config_sections import SearchSettings
from autoprune.phases import CANDIDATE
from autoprune.progress import Pace, new_display, shown_in, time_left
from autoprune.report.picture import Picture, Slot
from autoprune.report.text import duration, one_line, plain
from autoprune.runs.events import Event

SHOWN = 8
_DECIDED = {"approve": "approved", "modify": "modified", "reject": "rejected"}
_COLOURS = {"measured": "green", "failed": "red", "rejected": "yellow", "unusable": "yellow"}
_COLOURS |= {"duplicate": "yellow", "stopped": "yellow"}


class LiveView:
    """Shows generation, active agents, the best result, the use of each limit, and the bars of `progress`.

    A context manager.
    """

    def __init__(self, console: Console, limits: SearchSettings) -> None:
        self._console = console
        self._limits = limits
        self._picture = Picture()
        self._clock = time.monotonic()
        self._lock = threading.Lock()
        self._held: list[Text] | None = None
        self._expected: dict[str, float] = {}
        self._pace: Pace | None = None
        self._bars = new_display(console)
        self._entered = ExitStack()
        self._live = Live(console=console, get_renderable=self._draw, refresh_per_second=4, transient=True)

    def __enter__(self) -> "LiveView":
        if self._console.is_terminal:
            self._live.start()
            self._entered.enter_context(shown_in(self._bars))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entered.close()
        self.stop()

    def stop(self) -> None:
        self._live.stop()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Within this context, the terminal is free for a dialog; lines are printed at its end."""
        running = self._live.is_started
        with self._lock:
            self._held = []
        self._live.stop()
        try:
            yield
        finally:
            with self._lock:
                lines, self._held = self._held or [], None
            for line in lines:
                self._console.print(line)
            if running:
                self._live.start()

    def catch_up(self, event: Event) -> None:
        """Apply an event of an earlier session without printing it."""
        self._take(event, now=False)

    def on_event(self, event: Event) -> None:
        """Apply an event and print its line, if it has one."""
        self._take(event)
        line = describe(event)
        if line is None:
            return
        line = Text(f"{event.time[11:19]} ", style="dim") + line
        with self._lock:
            if self._held is not None:
                self._held.append(line)
                return
        self._console.print(line)

    def _take(self, event: Event, now: bool = True) -> None:
        self._picture.apply(event)
        if event.kind == "spent":
            self._clock = time.monotonic()
        elif event.kind == "notice" and now:  # not those of a stored run, which may be anybody's
            self._expected = event.data.get("phases", self._expected)
        elif event.kind == "planned" and now and self._pace is None:
            left = max(self._limits.max_candidates - self._picture.done, 0)
            self._pace = Pace({CANDIDATE: left}, self._expected)
        elif event.kind == "ended" and self._pace is not None:
            self._pace.advance(CANDIDATE, timed=not event.data.get("cached"))

    def _draw(self) -> RenderableType:
        """The panel. `elapsed` covers all sessions of the run, like the limit."""
        picture, limits = self._picture, self._limits
        elapsed = picture.spent.get("seconds", 0.0) + time.monotonic() - self._clock
        stage = f"generation {picture.generation}" if picture.generation else "preparing: dense model and baselines"
        head = Text(stage, style="bold")
        head.append(f"   candidates {counted(picture.done, limits.max_candidates)}{self._left()}")
        head.append(f"   elapsed {duration(elapsed)}{_of(limits.max_minutes, lambda most: duration(60 * most))}")
        if spent := _spent(picture, limits):
            head.append(f"   {spent}")
        bars = [self._bars.get_renderable()] if self._bars.tasks else []
        return Group(head, *bars, _standing(picture), _table(picture))

    def _left(self) -> str:
        """The remaining time of the candidates, while there are any."""
        seconds = self._pace.remaining() if self._pace and any(self._pace.left.values()) else None
        return "" if seconds is None else f" ({time_left(seconds)} left)"


def counted(done: int, limit: int) -> str:
    """The number of ended candidates and their limit; those that finish the search come on top of it."""
    return f"{min(done, limit)}/{limit}{f' and {done - limit} to finish' if done > limit else ''}"


def describe(event: Event, longest: int = 200) -> Text | None:
    """The line of an event, with texts of agents cut to `longest`; None for events that only change the panel."""
    data = event.data
    match event.kind:
        case "notice":
            return plain(data["text"], longest=600)
        case "run-resumed":
            return plain("resumed")
        case "forked":
            changed = ", ".join(f"{key}={new}" for key, (_, new) in data["changed"].items()) or "nothing"
            origin = f"forked from {data['origin']} after generation {data['generation']}"
            return plain(f"{origin}, changed: {one_line(changed)}", style="bold")
        case "dense":
            return plain(f"dense model: perplexity {data['perplexity']:.2f} on the search split{_found(data)}")
        case "baseline":
            parameters = f" ({data['parameters']})" if data.get("parameters") else ""
            return plain(f"baseline {data['name']}{parameters}: perplexity {data['perplexity']:.2f}{_found(data)}")
        case "planned":
            return plain(f"generation {data['generation']}: {len(data['slots'])} candidates", style="bold")
        case "proposed":
            who = f"{data['slot']} proposer ({data['engine']}, {data['operator']})"
            text = data["problem"] or data["thought"].get("edited") or _idea(data) or "revised code"
            return plain(f"{who}: {one_line(text, longest)}", style="cyan")
        case "reviewed":
            text = one_line("; ".join(data["comments"]), longest)
            who = "sandbox" if data["by"] == "sandbox" else f"critic ({data['by']})"
            return plain(f"{data['slot']} {who}: {data['verdict']}{': ' if text else ''}{text}")
        case "asked":
            return plain(f"{data['slot']} needs approval ({data['candidate'][:8]})", style="bold")
        case "decided":
            return decided(event)
        case "approval-switched":
            return plain(f"approval mode set to {data['approval']} by {data['who']}", style="bold")
        case "ended":
            return _ended(event)
        case "lesson":
            return plain(f"analyst ({data['by']}): {one_line(data['text'], 400)}", style="magenta")
        case "explained":
            return plain(f"{data['slot']} explained ({data['by']}): {one_line(data['text'], 400)}", style="magenta")
        case "run-ended":
            return plain(f"search ended: {data['stop']}", style="bold")
    return None


def _idea(proposal: dict[str, Any]) -> str:
    """The idea of a proposal; empty for a revision, which keeps it."""
    return "" if proposal["revision"] else str(proposal["thought"].get("idea", ""))


def decided(event: Event) -> Text:
    """The line of a decision."""
    return plain(decision_line({"time": event.time, **event.data}), style="dim")


def decision_line(decision: dict[str, Any]) -> str:
    """Who decided what on a candidate, and when. `decision`: the fields of a `Decision`."""
    comment = f": {one_line(decision['comment'])}" if decision["comment"] else ""
    instead = f", {decision['replacement'][:8]} runs instead" if decision.get("replacement") else ""
    when = decision["time"][:19].replace("T", " ")
    verdict = f"{decision['slot']} {_DECIDED[decision['decision']]} by {one_line(decision['who'])}"
    return f"{verdict} at {when}{instead}{comment}"


def _found(data: dict[str, Any]) -> str:
    return " (cached)" if data.get("cached") else ""


def _ended(event: Event) -> Text:
    data = event.data
    style = _COLOURS.get(data["status"], "")
    if data["status"] == "measured":
        flags = "".join(f" [{flag}]" for flag in data.get("flags", []))
        change = f"gain {data['gain']:+.3f} over its parent"
        return plain(
            f"{data['slot']} measured: perplexity {data['perplexity']:.2f}, {change}{_found(data)}{flags}", style=style
        )
    why = ": ".join(part for part in (data["stage"], data["reason"], one_line(data["message"])) if part)
    return plain(f"{data['slot']} {data['status']}: {why}", style=style)


def _standing(picture: Picture) -> Text:
    best, baseline = picture.best, picture.best_baseline
    wanda = picture.baselines.get("wanda+uniform")
    text = Text("best so far: ")
    text.append(f"{best.slot} {best.perplexity:.2f}" if best else "none yet", style="green")
    if wanda is not None:
        text.append(f"   Wanda (uniform) {wanda:.2f}")
    if baseline is not None:
        text.append(f"   best baseline {baseline[0]} {baseline[1]:.2f}")
    return text


def _spent(picture: Picture, limits: SearchSettings) -> str:
    """Tokens and money with their limits; empty without calls of a chat model and such limits."""
    tokens, usd = picture.spent.get("tokens", 0), picture.spent.get("usd", 0.0)
    if not tokens and limits.max_tokens is None and limits.max_usd is None:
        return ""
    price = "price unknown" if usd is None else f"{usd:.2f}{_of(limits.max_usd, '{:.2f}'.format)} USD"
    return f"{tokens:,}{_of(limits.max_tokens, '{:,}'.format)} tokens, {price}"


def _of(limit: float | None, shown: Callable[[float], str]) -> str:
    return "" if limit is None else f"/{shown(limit)}"


def _table(picture: Picture) -> Table:
    table = Table(box=None, padding=(0, 1), expand=True, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for slot in list(picture.slots.values())[-SHOWN:]:
        table.add_row(slot.slot, slot.operator, _state(slot), plain(one_line(slot.idea or slot.problem)))
    return table


def _state(slot: Slot) -> Text:
    if slot.perplexity is not None:
        return Text(f"{slot.perplexity:.2f}", style="green")
    return Text(slot.status or f"{slot.agent} …", style=_COLOURS.get(slot.status, "cyan"))
