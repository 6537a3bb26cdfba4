"""The comparisons of candidates with baselines in the event of a run's confirmation."""

import math
from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict


class Comparison(TypedDict):
    """One candidate against one baseline on the report split, under one condition: model, target sparsity, and
    pattern N:M ("none", or missing in runs of older versions).

    `difference`: candidate minus baseline, in nats per token, with the 95 % interval `low` to `high` (None with too few
    windows). `p`: two-sided; `p_holm`: corrected for all comparisons of the run. `verdict`: better, no difference
    shown, or worse. `seeds`: the calibration seeds that both have.
    """

    model: str
    sparsity: float
    pattern: NotRequired[str]
    candidate: str
    baseline: str
    difference: float
    low: float | None
    high: float | None
    p: float
    p_holm: float
    verdict: str
    windows: int
    seeds: list[int]


def place(facts: Mapping[str, Any]) -> tuple[Any, Any, str]:
    """The condition of a comparison, a table of rows, or a run's settings."""
    return facts.get("model"), facts.get("sparsity"), facts.get("pattern", "none")


LARGEST = 50.0
"""Differences in nats are cut at this value, to avoid unreadably large numbers."""


def change_percent(nats: float) -> float:
    """A difference of log-perplexities as a change of perplexity in per cent."""
    return 100 * math.expm1(min(nats, LARGEST))


def percent(nats: float | None) -> str:
    """A difference of log-perplexities as a change of perplexity in per cent; empty for an unknown one."""
    if nats is None:
        return ""
    change = change_percent(nats)
    return f"{change:+.1f}" if change < 1e5 else f"{change:+.1e}"


def interval(compared: Comparison) -> str:
    """The 95 % interval of the change in per cent; empty where there is none."""
    low, high = percent(compared["low"]), percent(compared["high"])
    return f"{low} to {high}" if low and high else ""
