"""Quality diversity of a run's measured candidates: a MAP-Elites map and a Pareto front.

The map (arXiv 1504.04909) has a cell for each niche, with its candidate of lowest perplexity. The front has the
candidates that are Pareto-optimal in perplexity, time and memory.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from autoprune.errors import AutoPruneError
from autoprune.runs.archive import Outcome
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import Event

COSTS = ("light", "medium", "heavy")
"""The classes of cost, as `agents.niche` assigns them."""
_MIB = 1 << 20


@dataclass(frozen=True)
class Niche:
    """A kind of candidate: the inputs that it uses in addition to the weight, its class of cost, and its GROUP."""

    inputs: tuple[str, ...]
    cost: str
    group: str


@dataclass(frozen=True)
class Placed:
    """A measured candidate. `cell`: None if its source is missing. `seconds` of scoring and bytes of `memory`: None if
    this run did not measure them, as for a candidate from the user's cache."""

    slot: str
    candidate: str
    perplexity: float
    cell: Niche | None
    seconds: float | None = None
    memory: int | None = None

    @property
    def costs(self) -> tuple[float, float, int] | None:
        """The objectives of the front. Memory is rounded to MiB, since smaller differences are noise."""
        if self.seconds is None or self.memory is None:
            return None
        return self.perplexity, self.seconds, round(self.memory / _MIB)


def place(run: RunDirectory, outcomes: Iterable[Outcome], describe: Callable[[str], Niche]) -> list[Placed]:
    """The measured candidates of a run in the order of their slots, each source once. `describe`: source -> niche."""
    placed: dict[str, Placed] = {}
    for outcome in outcomes:
        name, data = outcome.candidate, outcome.data
        if outcome.status != "measured" or name is None or name in placed:
            continue
        try:
            cell = describe(run.source(name))
        except AutoPruneError:  # missing or changed: the measurement stands, but its niche is unknown
            cell = None
        seconds = data.get("seconds", {}).get("score")
        placed[name] = Placed(outcome.slot, name, data["perplexity"], cell, seconds, data.get("memory_bytes"))
    return list(placed.values())


def outcomes_told(events: Iterable[Event]) -> list[Outcome]:
    """The outcomes from events, without opening the archive."""
    ends = [event.data for event in events if event.kind == "ended"]
    return [Outcome(end["slot"], end["generation"], end["candidate"], end["status"], data=end) for end in ends]


def best_of_cells(placed: Iterable[Placed]) -> dict[Niche, Placed]:
    """The map: cell -> its candidate of lowest perplexity (the earlier slot if equal), best cell first."""
    best: dict[Niche, Placed] = {}
    for candidate in sorted(placed, key=lambda candidate: candidate.perplexity):
        if candidate.cell is not None:
            best.setdefault(candidate.cell, candidate)
    return best


def pareto_front(placed: Sequence[Placed]) -> list[Placed]:
    """Pareto-optimal candidates among those of known costs, best perplexity first."""
    known = [(candidate.costs, candidate) for candidate in placed if candidate.costs is not None]
    front = [candidate for costs, candidate in known if not any(_dominates(other, costs) for other, _ in known)]
    return sorted(front, key=lambda candidate: candidate.perplexity)


def unknown_costs(placed: Iterable[Placed]) -> int:
    """How many candidates the front excludes because their costs are unknown."""
    return sum(candidate.costs is None for candidate in placed)


def _dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(mine <= theirs for mine, theirs in zip(one, other, strict=True))


def as_data(placed: Sequence[Placed]) -> dict[str, Any]:
    cells = [{**vars(cell), **_facts(candidate)} for cell, candidate in best_of_cells(placed).items()]
    front = [
        {**_facts(candidate), "seconds_score": candidate.seconds, "memory_bytes": candidate.memory}
        for candidate in pareto_front(placed)
    ]
    return {"measured": len(placed), "cells": cells, "front": front, "unknown_costs": unknown_costs(placed)}


def _facts(candidate: Placed) -> dict[str, Any]:
    return {"slot": candidate.slot, "candidate": candidate.candidate, "perplexity": candidate.perplexity}
