"""What a run's measured candidates are worth beside their perplexity: a map of the best of each kind, and a front.

The map is MAP-Elites' (arXiv 1504.04909): a cell for each kind of candidate, which keeps the best (lowest perplexity)
of it. The front is Pareto's: those of which no other is better in perplexity, time and memory at once.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from autoprune.errors import AutoPruneError
from autoprune.runs.archive import Outcome
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import Event

COSTS = ("light", "medium", "heavy")
"""The classes of cost; `agents.cells` says which source is in which."""
_MIB = 1 << 20


@dataclass(frozen=True)
class Niche:
    """A kind of candidate: the inputs that it reads beside the weight, its class of cost (one of COSTS), its GROUP."""

    inputs: tuple[str, ...]
    cost: str
    group: str


@dataclass(frozen=True)
class Placed:
    """A measured candidate. `cell`: None when its source is gone. `seconds` of scoring and bytes of `memory`: None when
    this run did not measure them, as of a candidate that was found in the user's cache."""

    slot: str
    candidate: str
    perplexity: float
    cell: Niche | None
    seconds: float | None = None
    memory: int | None = None

    @property
    def costs(self) -> tuple[float, float, int] | None:
        """What the front minimises. Memory in whole MiB: below that the kernel counts no two processes alike."""
        if self.seconds is None or self.memory is None:
            return None
        return self.perplexity, self.seconds, round(self.memory / _MIB)


def place(run: RunDirectory, outcomes: Iterable[Outcome], describe: Callable[[str], Niche]) -> list[Placed]:
    """The measured candidates of a run in the order of their slots, each source once. `describe` reads a source."""
    placed: dict[str, Placed] = {}
    for outcome in outcomes:
        name, data = outcome.candidate, outcome.data
        if outcome.status != "measured" or name is None or name in placed:
            continue
        try:
            cell = describe(run.source(name))
        except AutoPruneError:  # gone, or changed since: what was measured stands, of which kind it was is lost
            cell = None
        seconds = data.get("seconds", {}).get("score")
        placed[name] = Placed(outcome.slot, name, data["perplexity"], cell, seconds, data.get("memory_bytes"))
    return list(placed.values())


def outcomes_told(events: Iterable[Event]) -> list[Outcome]:
    """The outcomes as events tell them, for those who do not open the archive."""
    ends = [event.data for event in events if event.kind == "ended"]
    return [Outcome(end["slot"], end["generation"], end["candidate"], end["status"], data=end) for end in ends]


def best_of_cells(placed: Iterable[Placed]) -> dict[Niche, Placed]:
    """The map: of each cell the lowest perplexity, best cell first; the earlier slot where two are equal."""
    best: dict[Niche, Placed] = {}
    for each in sorted(placed, key=lambda each: each.perplexity):
        if each.cell is not None:
            best.setdefault(each.cell, each)
    return best


def pareto_front(placed: Sequence[Placed]) -> list[Placed]:
    """Those of known costs that no other dominates (no worse in anything, better in something), best first."""
    known = [(each.costs, each) for each in placed if each.costs is not None]
    front = [each for costs, each in known if not any(_dominates(other, costs) for other, _ in known)]
    return sorted(front, key=lambda each: each.perplexity)


def unknown_costs(placed: Iterable[Placed]) -> int:
    """How many the front leaves out because not all of their costs are known."""
    return sum(each.costs is None for each in placed)


def _dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(mine <= theirs for mine, theirs in zip(one, other, strict=True))


def as_data(placed: Sequence[Placed]) -> dict[str, Any]:
    """Map and front as plain data."""
    cells = [{**vars(cell), **_facts(each)} for cell, each in best_of_cells(placed).items()]
    front = [
        {**_facts(each), "seconds_score": each.seconds, "memory_bytes": each.memory} for each in pareto_front(placed)
    ]
    return {"measured": len(placed), "cells": cells, "front": front, "unknown_costs": unknown_costs(placed)}


def _facts(each: Placed) -> dict[str, Any]:
    return {"slot": each.slot, "candidate": each.candidate, "perplexity": each.perplexity}
