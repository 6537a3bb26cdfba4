"""SDSA, Skew-aware Dynamic Sparsity Allocation: units whose |weights| are strongly right-skewed are pruned less.

The idea is AutoPrune's (arXiv 2511.15390). Its formula is not public; the definition here is this project's own.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autoprune.errors import UsageError
from autoprune.pruning.allocation.budget import project

WINSOR = 3.0
NO_SPREAD = 1e-9


@dataclass(frozen=True)
class SDSA:
    """SDSA with its constants, a function from units and sparsity to densities.

    Args:
        kappa: share of the budget that is re-weighted (0 = uniform).
        tau: softmax temperature (large = uniform).
        delta: largest deviation of a unit's density from the mean.
        smallest, largest: limits of a unit's sparsity.
        compress: whether to replace the skewness gamma by sign(gamma) log(1 + |gamma|).
    """

    kappa: float = 0.5
    tau: float = 1.0
    delta: float = 0.15
    smallest: float = 0.0
    largest: float = 1.0
    compress: bool = True

    def __post_init__(self) -> None:
        if not (0.0 <= self.kappa <= 1.0 and self.tau > 0.0 and 0.0 <= self.delta <= 1.0):
            raise UsageError(
                f"SDSA needs kappa in [0, 1], tau > 0 and delta in [0, 1], not {self.kappa}, {self.tau}, {self.delta}"
            )

    def __call__(self, units: Sequence[Mapping[str, Any]], sparsity: float) -> list[float]:
        """Densities on the budget, from each unit's `size` and `skewness`."""
        return self.densities([unit["skewness"] for unit in units], [unit["size"] for unit in units], sparsity)

    def densities(
        self,
        skewness: Sequence[float],
        sizes: Sequence[int],
        sparsity: float,
        box: tuple[float, float] | None = None,
        ceilings: Sequence[float] | None = None,
    ) -> list[float]:
        """Densities with sum n_u d_u = (1 - s) N, non-decreasing in the skewness.

        `box` replaces the limits of density from the constants; `ceilings` are upper limits per unit, from earlier
        stages. Raises UsageError if a skewness is not finite or the limits cannot hold the budget.
        """
        if not all(math.isfinite(gamma) for gamma in skewness):
            raise UsageError("a unit's skewness is not finite; its weights hold inf or NaN")
        density = 1.0 - sparsity
        signal = [math.copysign(math.log1p(abs(g)), g) if self.compress else g for g in skewness]
        reweighted = _softmax_weights(_z_scores(signal, sizes), sizes, self.tau)
        raw = [density * ((1.0 - self.kappa) + self.kappa * weight) for weight in reweighted]
        lo, hi = box or self.box(sparsity)
        if ceilings is None:
            return project(raw, sizes, sparsity, lo, hi)
        highs = [min(hi, ceiling) for ceiling in ceilings]
        return project(raw, sizes, sparsity, [min(lo, high) for high in highs], highs)

    def box(self, sparsity: float) -> tuple[float, float]:
        """The lowest and the highest density of a unit."""
        density = 1.0 - sparsity
        return max(1.0 - self.largest, density - self.delta), min(1.0 - self.smallest, density + self.delta)


def _z_scores(values: Sequence[float], sizes: Sequence[int]) -> list[float]:
    """Winsorised standard scores by size-weighted moments; all zero if the values are nearly equal."""
    weights = sum(sizes)
    mean = math.fsum(n * value for n, value in zip(sizes, values, strict=True)) / weights
    variance = math.fsum(n * (value - mean) ** 2 for n, value in zip(sizes, values, strict=True)) / weights
    spread = math.sqrt(variance)
    if spread <= NO_SPREAD * max(1.0, abs(mean)):
        return [0.0] * len(values)
    return [min(max((value - mean) / spread, -WINSOR), WINSOR) for value in values]


def _softmax_weights(z: Sequence[float], sizes: Sequence[int], tau: float) -> list[float]:
    """exp(z_u / tau) divided by its size-weighted mean."""
    top = max(z)
    powers = [math.exp((value - top) / tau) for value in z]
    mean = math.fsum(n * power for n, power in zip(sizes, powers, strict=True)) / sum(sizes)
    return [power / mean for power in powers]
