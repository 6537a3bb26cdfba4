"""Searched allocation: an evolutionary search over swaps between pairs of units, with early rejection.

Like EvoPress (Sieberling et al., arXiv 2410.14649), but masks are computed from scores for every allocation instead of
using a database of pruned layers.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from autoprune.errors import UsageError
from autoprune.pruning.allocation.spec import AllocationSpec, Context, Made
from autoprune.pruning.allocation.uniform import uniform

Evaluate = Callable[[tuple[int, ...], int], float]
"""From zeros per unit and a number of windows to the loss on these windows of the search split."""

STEPS = (0.005, 0.01, 0.02, 0.05)
"""Zeros that one swap moves, as shares of the smaller unit's weights."""

MOST_SWAPS = 3


@dataclass(frozen=True)
class Rung:
    """One step of early rejection: the number of windows, and of the offspring that pass."""

    windows: int
    survivors: int


@dataclass
class Searched:
    """The best allocation, its loss on the last rung, and the best loss after each generation, beginning with the
    start."""

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
    """Evolve zeros per unit from `start`, with a constant sum and between floors (0) and sizes.

    Each generation creates `offspring` by random swaps, selects them on the rungs, and replaces the parent if the last
    survivor has a lower loss on the last rung. `on_progress` is called with the best loss after each generation.
    Deterministic in the seed.
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
    """Random swaps that move zeros from one unit to another within their limits."""
    changed = list(zeros)
    if len(changed) < 2:
        return tuple(changed)
    # The minimum of two draws, which favours a single swap.
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
    """Zeros from a search on the search split that starts at the uniform allocation."""
    units, sparsity, windows = context.units, context.sparsity, context.windows

    def measure(zeros: tuple[int, ...], count: int) -> float:
        return context.loss(units.spread_totals(zeros), min(count, windows))

    rungs = [Rung(2, 3), Rung(max(windows // 2, 2), 1), Rung(windows, 1)]
    start = units.totals(units.spread(uniform(units.described(()), sparsity), sparsity))
    return units.spread_totals(searched(start, units.sizes, measure, rungs, GENERATIONS, OFFSPRING).zeros)


SPECS = (AllocationSpec("searched", lambda parameters: Made(zeros=_zeros), "trials"),)
