"""Searched allocation: budget-exact swaps between pairs of units, evolved on measurements with early rejection.

In the manner of EvoPress (Sieberling et al., arXiv 2410.14649), but masks are made anew from scores for every
allocation, so that no database of pruned layers is needed.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from autoprune.errors import UsageError
from autoprune.pruning.allocation.spec import AllocationSpec, Context, Made
from autoprune.pruning.allocation.uniform import uniform

Evaluate = Callable[[tuple[int, ...], int], float]
"""From zeros per unit and a number of windows to a loss on that many search windows; lower is better."""

STEPS = (0.005, 0.01, 0.02, 0.05)
"""Share of the smaller unit's weights that one swap moves."""

MOST_SWAPS = 3


@dataclass(frozen=True)
class Rung:
    """One step of early rejection: measure on so many windows, let so many offspring pass."""

    windows: int
    survivors: int


@dataclass
class Searched:
    """The best allocation found, its loss on the last rung, and how the search went.

    `losses`: the best loss after each generation, the start first.
    """

    zeros: tuple[int, ...]
    loss: float
    losses: list[float] = field(default_factory=list)


def searched(
    start: Sequence[int],
    sizes: Sequence[int],
    evaluate: Evaluate,
    rungs: Sequence[Rung] = (Rung(2, 4), Rung(8, 1), Rung(16, 1)),
    generations: int = 20,
    offspring: int = 12,
    seed: int = 0,
    floors: Sequence[int] | None = None,
    on_progress: Callable[[float], None] = lambda loss: None,
) -> Searched:
    """Evolve zeros per unit from `start`; their sum never changes, and each stays between its floor (0) and size.

    A generation makes `offspring` by a few random swaps; each rung measures those that are left on more windows; the
    last survivor replaces the parent if its loss on the last rung is lower. `on_progress` gets the best loss after
    each. Deterministic in the seed.
    """
    lows = list(floors or [0] * len(sizes))
    if not all(low <= zeros <= n for low, zeros, n in zip(lows, start, sizes, strict=True)):
        raise UsageError("the search must start from an allocation inside its limits")
    chance = random.Random(seed)
    losses_of: dict[tuple[tuple[int, ...], int], float] = {}
    best = Searched(tuple(start), 0.0)

    def loss(zeros: tuple[int, ...], windows: int) -> float:
        if (zeros, windows) not in losses_of:
            losses_of[zeros, windows] = evaluate(zeros, windows)
        return losses_of[zeros, windows]

    full = rungs[-1].windows
    best.loss = loss(best.zeros, full)
    best.losses.append(best.loss)
    for _ in range(generations):
        mutants = (mutate(best.zeros, sizes, lows, chance) for _ in range(offspring))
        alive = [mutant for mutant in dict.fromkeys(mutants) if mutant != best.zeros]
        for rung in rungs:
            alive = sorted(alive, key=partial(loss, windows=rung.windows))[: rung.survivors]
        if alive and loss(alive[0], full) < best.loss:
            best.zeros, best.loss = alive[0], loss(alive[0], full)
        best.losses.append(best.loss)
        on_progress(best.loss)
    return best


def mutate(zeros: Sequence[int], sizes: Sequence[int], floors: Sequence[int], chance: random.Random) -> tuple[int, ...]:
    """A few paired swaps: some zeros of one unit go to another, as far as both have room. The sum is kept."""
    changed = list(zeros)
    if len(changed) < 2:
        return tuple(changed)
    # The minimum of two draws: most often one swap.
    for _ in range(min(chance.randint(1, MOST_SWAPS), chance.randint(1, MOST_SWAPS))):
        giver, taker = chance.sample(range(len(changed)), 2)
        amount = max(1, round(chance.choice(STEPS) * min(sizes[giver], sizes[taker])))
        amount = min(amount, changed[giver] - floors[giver], sizes[taker] - changed[taker])
        changed[giver] -= amount
        changed[taker] += amount
    return tuple(changed)


GENERATIONS = 12
OFFSPRING = 8


def _zeros(context: Context) -> dict[str, int]:
    """Evolved on search text, from the uniform allocation."""
    units, sparsity, windows = context.units, context.sparsity, context.windows

    def measure(zeros: tuple[int, ...], count: int) -> float:
        return context.loss(units.spread_totals(zeros), min(count, windows))

    rungs = [Rung(2, 3), Rung(max(windows // 2, 2), 1), Rung(windows, 1)]
    start = units.totals(units.spread(uniform(units.described(()), sparsity), sparsity))
    return units.spread_totals(searched(start, units.sizes, measure, rungs, GENERATIONS, OFFSPRING).zeros)


SPECS = (AllocationSpec("searched", lambda parameters: Made(zeros=_zeros), "trials"),)
