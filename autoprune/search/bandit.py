"""Random choice of operators, parents and prompt sections, weighted by their success so far in this run."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from autoprune.config_values import Operator
from autoprune.gcot.chain import SECTIONS

PARENTS: dict[Operator, int] = {
    "initialise": 0,
    "explore": 1,
    "structure": 1,
    "constants": 1,
    "simplify": 1,
    "cross": 2,
    "allocation": 1,
    "repair": 1,
    "ablate": 1,
    "recombine": 2,
    "deepen": 1,
    "polish": 1,
}
"""How many parents each operator takes, at least. `repair` takes a failed candidate."""


@dataclass(frozen=True)
class Trial:
    """One slot's choices, and whether it improved on its best parent. `sections`: None if sections were not drawn."""

    operator: str
    improved: bool
    sections: frozenset[str] | None = None


def choose_operator(
    trials: Sequence[Trial], measured: int, failed: int, random: Random, allowed: Sequence[str] | None = None
) -> Operator:
    """Thompson sampling: one draw per operator from Beta(1 + improved, 1 + not), the largest wins.

    `measured` and `failed`: numbers of possible parents. Operators with too few parents are excluded, and those that
    are not `allowed` (None: all are). The fallback is `initialise`.
    """
    eligible: list[Operator] = [
        operator
        for operator, parents in PARENTS.items()
        if (failed if operator == "repair" else measured) >= parents and (allowed is None or operator in allowed)
    ]
    draws = {}
    for operator in eligible or ["initialise"]:
        improved = [trial.improved for trial in trials if trial.operator == operator]
        draws[operator] = random.betavariate(1 + sum(improved), 1 + len(improved) - sum(improved))
    return max(draws, key=lambda operator: draws[operator])


def choose_sections(trials: Sequence[Trial], random: Random) -> list[str]:
    """Thompson sampling for each section: Beta(2 + improved, 1 + not) with it against Beta(1 + improved, 1 + not)
    without it. Without trials a section is more often included than not."""
    chosen = []
    for section in SECTIONS:
        draws = {}
        for shown, prior in ((True, 2), (False, 1)):
            improved = [t.improved for t in trials if t.sections is not None and (section in t.sections) == shown]
            draws[shown] = random.betavariate(prior + sum(improved), 1 + len(improved) - sum(improved))
        if draws[True] >= draws[False]:
            chosen.append(section)
    return chosen


def choose_parents(
    ranked: Sequence[str], count: int, random: Random, by: Literal["rank", "random"] = "rank"
) -> list[str]:
    """Distinct parents from names ranked best first; by rank, the k-th best has weight 1/k."""
    left, chosen = list(dict.fromkeys(ranked)), []
    for _ in range(min(count, len(left))):
        weights = [1.0 / place if by == "rank" else 1.0 for place in range(1, len(left) + 1)]
        chosen.append(left.pop(random.choices(range(len(left)), weights)[0]))
    return chosen


def choose_from_cells(ranked: Mapping[str, Hashable], count: int, random: Random) -> list[str]:
    """Distinct parents, each the best of a uniformly drawn cell. `ranked`: name -> cell, best first.

    If there are fewer cells than parents, the rest is drawn by rank.
    """
    best: dict[Hashable, str] = {}
    for name, cell in ranked.items():
        best.setdefault(cell, name)
    chosen = choose_parents([*best.values()], count, random, "random")
    left = [name for name in ranked if name not in chosen]
    return chosen + choose_parents(left, count - len(chosen), random)
