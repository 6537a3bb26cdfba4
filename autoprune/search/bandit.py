"""Which operator next, which parents, which prompt: chance, weighted by what has paid off so far in this run."""

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
}
"""How many parents each operator takes. `repair` takes a failed candidate."""


@dataclass(frozen=True)
class Trial:
    """One slot's end, as the bandit sees it: what was used, and whether it beat its best parent.

    `sections`: those in its prompt; None where there was no choice of sections.
    """

    operator: str
    improved: bool
    sections: frozenset[str] | None = None


def choose_operator(
    trials: Sequence[Trial], measured: int, failed: int, random: Random, allowed: Sequence[str] | None = None
) -> Operator:
    """Thompson sampling: one draw per operator from Beta(1 + improved, 1 + not), the largest wins.

    `measured` and `failed` count possible parents; operators that lack parents are left out, and those that are not
    `allowed` (None: all are). `initialise` is drawn where that leaves none.
    """
    eligible: list[Operator] = [
        operator
        for operator, parents in PARENTS.items()
        if (failed if operator == "repair" else measured) >= parents and (allowed is None or operator in allowed)
    ]
    draws = {}
    for operator in eligible or ["initialise"]:
        used = [trial.improved for trial in trials if trial.operator == operator]
        draws[operator] = random.betavariate(1 + sum(used), 1 + len(used) - sum(used))
    return max(draws, key=lambda operator: draws[operator])


def choose_sections(trials: Sequence[Trial], random: Random) -> list[str]:
    """Each section by itself: one draw for a prompt with it, Beta(2 + improved, 1 + not), one for a prompt without it,
    Beta(1 + improved, 1 + not); the larger wins. Without experience a section is more often in than out."""
    chosen = []
    for section in SECTIONS:
        draws = {}
        for shown, prior in ((True, 2), (False, 1)):
            ends = [t.improved for t in trials if t.sections is not None and (section in t.sections) == shown]
            draws[shown] = random.betavariate(prior + sum(ends), 1 + len(ends) - sum(ends))
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
    """Distinct parents, each the best of another cell, every cell alike. `ranked`: names, best first, with their cells.

    Where there are fewer cells than parents, the others are drawn by rank from all that are left.
    """
    best: dict[Hashable, str] = {}
    for name, cell in ranked.items():
        best.setdefault(cell, name)
    chosen = choose_parents([*best.values()], count, random, "random")
    left = [name for name in ranked if name not in chosen]
    return chosen + choose_parents(left, count - len(chosen), random)
