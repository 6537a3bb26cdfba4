"""OWL: density follows the share of outliers (Yin et al., Outlier Weighed Layerwise sparsity, arXiv 2310.05175)."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any

from autoprune.pruning.allocation.budget import project
from autoprune.pruning.allocation.spec import AllocationSpec, Made, Parameters, Setting

LAMBDA = 0.08
MULTIPLE = 5.0
"""M: a score counts as an outlier above M times the mean."""
SHARES = {3.0: "outlier_share_3", MULTIPLE: "outlier_share", 10.0: "outlier_share_10"}
"""M -> the signal that counts outliers by it."""
LAMBDAS = (0.02, 0.05, 0.08, 0.12, 0.2)


def owl(
    units: Sequence[Mapping[str, Any]], sparsity: float, lam: float = LAMBDA, signal: str = "outlier_share"
) -> list[float]:
    """Densities from each unit's `size` and share of outliers, spread over a width of 2 lambda around the mean.

    `signal`: the field with that share, which depends on M (`SHARES`).
    """
    return spread([unit[signal] for unit in units], [unit["size"] for unit in units], sparsity, 2.0 * lam)


def spread(worth: Sequence[float], sizes: Sequence[int], sparsity: float, width: float) -> list[float]:
    """Densities linear in `worth`, its range mapped to `width`, shifted so that the size-weighted mean is 1 - s.

    Equal worth gives uniform densities. Clipping at 0 and 1 keeps the budget exact.
    """
    low, high = min(worth), max(worth)
    # The share first: over a range of a few rounding errors, width / range would be infinite.
    shares = [(value - low) / (high - low) if high > low else 0.0 for value in worth]
    return project([1.0 - sparsity + width * share for share in shares], sizes, sparsity)


def _make(parameters: Parameters) -> Made:
    signal = SHARES[float(parameters.get("M", MULTIPLE))]
    return Made(partial(owl, lam=float(parameters.get("lambda", LAMBDA)), signal=signal), (signal,))


def _grid(default: Setting, units: Sequence[Mapping[str, Any]], sparsity: float) -> Iterator[Setting]:
    for width, multiple in product(LAMBDAS, SHARES):
        yield Setting("owl", default.unit, {"lambda": width, "M": multiple})


SPECS = (AllocationSpec("owl", _make, grid=_grid, default=lambda units, sparsity: {"lambda": LAMBDA, "M": MULTIPLE}),)
