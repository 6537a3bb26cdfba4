"""The metrics of a search for an experiment tracker, from its events, so that reading them again gives the same."""

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from autoprune.report.confirmation import own_verdicts, peers
from autoprune.report.picture import Picture
from autoprune.runs.events import Event
from autoprune.runs.verdicts import change_percent

ALWAYS = "cost/seconds"
"""A metric that every step has."""


@dataclass(frozen=True)
class Metrics:
    """Finite metrics at one step: the number of the candidate that has ended, from 1, in the order of ending."""

    step: int
    values: dict[str, float]


class SearchMetrics:
    """Converts the events of a run in order to metrics."""

    def __init__(self) -> None:
        self.picture = Picture()
        self.steps = 0
        self._seconds = 0.0
        self._since: datetime | None = None
        self._last: datetime | None = None

    def take(self, event: Event) -> Metrics | None:
        """Apply an event; returns the metrics of the candidate that it ends."""
        self.picture.apply(event)
        self._tell_time(event)
        if event.kind != "ended":
            return None
        self.steps += 1
        best, baseline = self.picture.best, self.picture.best_baseline
        lowest = best.perplexity if best else None
        values: dict[str, Any] = {
            "search/perplexity": event.data.get("perplexity"),
            "search/best_perplexity": lowest,
            "search/ratio_to_best_baseline": lowest / baseline[1] if lowest and baseline and baseline[1] else None,
            ALWAYS: self._elapsed(),
            "cost/tokens": self.picture.spent.get("tokens", 0),
            "cost/usd": self.picture.spent.get("usd", 0.0),
        }
        return Metrics(self.steps, _finite(values))

    def _tell_time(self, event: Event) -> None:
        """Keep the seconds of all sessions up to an event, without the pauses between them."""
        now = datetime.fromisoformat(event.time)
        if event.kind == "spent":
            self._seconds, self._since = event.data["seconds"], now
        elif event.kind in ("run-started", "run-resumed"):
            self._seconds, self._since = self._elapsed(), now
        self._last = now

    def _elapsed(self) -> float:
        if self._since is None or self._last is None:
            return self._seconds
        return self._seconds + max(0.0, (self._last - self._since).total_seconds())


def confirmed_figures(picture: Picture) -> dict[str, float]:
    """The confirmation on the report split: the finalist of the conclusion, the best baseline of its league and the
    dense model, and the change of perplexity against that baseline with its 95 % interval, in per cent.

    Empty if no finalist was measured.
    """
    finalist = picture.finalist
    if finalist is None:
        return {}
    dense = next((row["report"] for row in picture.rows if row["kind"] == "dense"), None)
    values: dict[str, Any] = {"report/perplexity": finalist["report"], "report/dense_perplexity": dense}
    baseline = min(peers(finalist, picture.rows), key=lambda row: row["report"], default=None)
    if baseline is None:
        return _finite(values)
    values["report/best_baseline_perplexity"] = baseline["report"]
    for comparison in own_verdicts(picture):
        if (comparison["candidate"], comparison["baseline"]) == (finalist["name"], baseline["name"]):
            low, high = comparison["low"], comparison["high"]
            values |= {
                "report/change_percent": change_percent(comparison["difference"]),
                "report/change_percent_low": None if low is None else change_percent(low),
                "report/change_percent_high": None if high is None else change_percent(high),
                "report/p_holm": comparison["p_holm"],
            }
    return _finite(values)


def _finite(values: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items() if value is not None and math.isfinite(value)}
