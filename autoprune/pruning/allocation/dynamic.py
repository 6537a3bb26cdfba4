"""SDSA during pruning: unit by unit (`online`) or in stages of rising sparsity (`staged`).

Both have exact totals: round(s N) zeros at the end, and round(s_t N) in stage t.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from autoprune.errors import UsageError
from autoprune.pruning.allocation.budget import total_zeros, unit_zeros
from autoprune.pruning.allocation.sdsa import SDSA
from autoprune.pruning.allocation.spec import Context

if TYPE_CHECKING:
    from torch import Tensor

STAGES = 4


class Online:
    """Allocates to one unit after the other, from the current skewness of the remaining units.

    The skewness is that of an importance that changes as the prefix is pruned, unlike |W|.
    """

    def __init__(self, sdsa: SDSA, sizes: Sequence[int], sparsity: float) -> None:
        self._sdsa = sdsa
        self._sizes = list(sizes)
        self._box = sdsa.box(sparsity)
        self._zeros = total_zeros(sparsity, sum(sizes))

    @property
    def remaining(self) -> int:
        return len(self._sizes)

    def next_zeros(self, skewness_of_rest: Sequence[float]) -> int:
        """The zeros of the next unit, from the skewness of all remaining units, the next one first."""
        if len(skewness_of_rest) != self.remaining or not self._sizes:
            raise UsageError(f"{len(skewness_of_rest)} values of skewness were given for {self.remaining} units")
        sparsity = self._zeros / sum(self._sizes)
        # Rounding can leave the remaining density slightly outside the box.
        box = (min(self._box[0], 1.0 - sparsity), max(self._box[1], 1.0 - sparsity))
        densities = self._sdsa.densities(skewness_of_rest, self._sizes, sparsity, box)
        zeros = unit_zeros(densities, self._sizes, sparsity)[0]
        self._sizes.pop(0)
        self._zeros -= zeros
        return zeros


def stages(sparsity: float, count: int) -> list[float]:
    """Rising sparsities s_1 < ... < s_count = s; every stage keeps the same share of the weights before it."""
    if count < 1:
        raise UsageError(f"there must be at least one stage, not {count}")
    return [1.0 - (1.0 - sparsity) ** (stage / count) for stage in range(1, count)] + [sparsity]


def next_stage(
    sdsa: SDSA, skewness_now: Sequence[float], sizes: Sequence[int], sparsity: float, zeros: Sequence[int]
) -> list[int]:
    """Zeros per unit at the sparsity of the next stage, at least the present `zeros`, in total exactly round(s_t N).

    `skewness_now`: of the remaining weights (`surviving_skewness`).
    """
    box = sdsa.box(sparsity)
    ceilings = [min(box[1], 1.0 - count / n) for count, n in zip(zeros, sizes, strict=True)]
    # Rounding in the previous stage can leave slightly too little room for the density.
    room = math.fsum(n * ceiling for n, ceiling in zip(sizes, ceilings, strict=True)) / sum(sizes)
    densities = sdsa.densities(skewness_now, sizes, max(sparsity, 1.0 - room), box, ceilings)
    return unit_zeros(densities, sizes, sparsity, zeros)


def staged_zeros(sdsa: SDSA, context: Context) -> dict[str, int]:
    """Zeros per layer after stages of rising sparsity, each from the skewness of the weights that remain before it."""
    from autoprune.pruning.masks import make_mask, masked_weight  # these import torch
    from autoprune.pruning.skewness import surviving_skewness, unit_skewness
    from autoprune.pruning.threads import side_by_side

    units = context.units
    totals = units.totals(units.floors)
    for stage in stages(context.sparsity, STAGES):
        zeros = units.spread_totals(totals)

        def surviving(scored: "tuple[str, Tensor]", zeros: dict[str, int] = zeros) -> tuple[str, float]:
            name, score = scored
            weight = context.weight(name)
            mask = make_mask(score, weight, zeros[name], context.group)
            return name, surviving_skewness(masked_weight(weight, mask))

        skew = dict(side_by_side(surviving, context.scores(zeros)))
        now = [unit_skewness((layer.size, skew[layer.name]) for layer in unit) for unit in units.members.values()]
        totals = next_stage(sdsa, now, units.sizes, stage, totals)
    return units.spread_totals(totals)
