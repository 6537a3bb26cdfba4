"""AlphaPruning: sparsity rises with the power-law exponent of the spectrum (Lu et al., arXiv 2410.10912)."""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from autoprune.pruning.allocation.budget import project
from autoprune.pruning.allocation.spec import AllocationSpec, Made, Parameters, Setting

EPSILON = 0.3
EPSILONS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)


def alphapruning(units: Sequence[Mapping[str, Any]], sparsity: float, epsilon: float = EPSILON) -> list[float]:
    """Densities from each unit's `size` and `alpha`: sparsity is linear in alpha, from 1 - eps to 1 + eps times a
    common factor that makes the size-weighted mean exact."""
    alphas, sizes = [unit["alpha"] for unit in units], [unit["size"] for unit in units]
    low, high = min(alphas), max(alphas)
    width = 2.0 * epsilon / (high - low) if high > low else 0.0
    slopes = [1.0 - epsilon + width * (alpha - low) for alpha in alphas]
    mean = math.fsum(n * slope for n, slope in zip(sizes, slopes, strict=True)) / sum(sizes)
    return project([1.0 - sparsity * slope / mean for slope in slopes], sizes, sparsity)


def _make(parameters: Parameters) -> Made:
    return Made(partial(alphapruning, epsilon=float(parameters.get("epsilon", EPSILON))), ("alpha",))


def _grid(default: Setting, units: Sequence[Mapping[str, Any]], sparsity: float) -> Iterator[Setting]:
    for epsilon in EPSILONS:
        yield Setting("alphapruning", default.unit, {"epsilon": epsilon})


SPECS = (AllocationSpec("alphapruning", _make, grid=_grid, default=lambda units, sparsity: {"epsilon": EPSILON}),)
