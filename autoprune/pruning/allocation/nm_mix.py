"""N:M patterns over units: each unit keeps its own n of every m, and the budget is repaired in whole numbers."""

import math
from collections.abc import Sequence

from autoprune.errors import UsageError
from autoprune.pruning.allocation.budget import total_zeros

REACH = 2
"""How far a unit's n may move from its wish for the budget's sake."""

MOST_SUMS = 2_000
"""Sizes with a small common divisor reach very many sums; then the cheapest in each of so many ranges is kept."""

Sums = dict[int, tuple[float, tuple[int, ...]]]


def mix(densities: Sequence[float], sizes: Sequence[int], sparsity: float, m: int) -> list[int]:
    """n per unit, so that unit u is pruned n_u:m: near m d_u, and with exactly round(s N) zeros where that is possible.

    A unit's pattern changes its zeros in steps of n_u / m, so some budgets are out of reach; then the nearest is taken
    (`mixed_zeros` tells). Among the choices that hold it, the least weighted sum of squared deviations. Raises
    UsageError when a unit's size is not divisible by m.
    """
    for n in sizes:
        if n % m:
            raise UsageError(f"a pattern of n:{m} needs units of a multiple of {m} weights, not {n}")
    groups = [n // m for n in sizes]
    unit = math.gcd(*groups)
    steps = [count // unit for count in groups]
    kept = (sum(sizes) - total_zeros(sparsity, sum(sizes))) / unit
    # sum of n_u * steps_u -> (cost, choices): dynamic programming over the units.
    sums: Sums = {0: (0.0, ())}
    for density, step in zip(densities, steps, strict=True):
        middle = density * m
        reached: Sums = {}
        for n in range(max(0, math.floor(middle) - REACH), min(m, math.ceil(middle) + REACH) + 1):
            price = step * (n - middle) ** 2
            for total, (cost, choices) in sums.items():
                at = total + n * step
                if at not in reached or cost + price < reached[at][0]:
                    reached[at] = (cost + price, (*choices, n))
        sums = reached if len(reached) <= MOST_SUMS else _thinned(reached)
    best = min(sums, key=lambda total: (abs(total - kept), sums[total][0]))
    return list(sums[best][1])


def mixed_zeros(kept_of_m: Sequence[int], sizes: Sequence[int], m: int) -> list[int]:
    """Zeros per unit under these patterns."""
    return [(m - n) * (size // m) for n, size in zip(kept_of_m, sizes, strict=True)]


def _thinned(sums: Sums) -> Sums:
    low, high = min(sums), max(sums)
    width = (high - low) // MOST_SUMS + 1
    kept: dict[int, int] = {}
    for total, (cost, _) in sums.items():
        place = (total - low) // width
        if place not in kept or cost < sums[kept[place]][0]:
            kept[place] = total
    return {total: sums[total] for total in kept.values()}
