"""OWL: density follows the share of outliers (Yin et al., Outlier Weighed Layerwise sparsity, arXiv 2310.05175)."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any

from autoprune.pruning.allocation.budget import project
from autoprune.pruning.allocation.spec import AllocationSpec, Made, Parameters, Setting

LAMBDA = 0.08
MULTIPLE = 5.0
"""M: scores above M times the mean are outliers."""
SHARES = {3.0: "outlier_share_3", MULTIPLE: "outlier_share", 10.0: "outlier_share_10"}
"""M -> the signal with the share of outliers."""
LAMBDAS = (0.02, 0.05, 0.08, 0.12, 0.2)


def owl(
    units: Sequence[Mapping[str, Any]], sparsity: float, lam: float = LAMBDA, signal: str = "outlier_share"
) -> list[float]:
    """Densities from each unit's `size` and share of outliers (field `signal`), within a width of 2 lambda."""
    return spread([unit[signal] for unit in units], [unit["size"] for unit in units], sparsity, 2.0 * lam)


def spread(worth: Sequence[float], sizes: Sequence[int], sparsity: float, width: float) -> list[float]:
    """Densities linear in `worth`, whose range is mapped to `width`, with the size-weighted mean 1 - s, in [0, 1]."""
    low, high = min(worth), max(worth)
    # The share is computed first, since width / range could overflow for a tiny range.
    shares = [(value - low) / (high - low) if high > low else 0.0 for value in worth]
    return project([1.0 - sparsity + width * share for share in shares], sizes, sparsity)


def _make(parameters: Parameters) -> Made:
    signal = SHARES[float(parameters.get("M", MULTIPLE))]
    return Made(partial(owl, lam=float(parameters.get("lambda", LAMBDA)), signal=signal), (signal,))


def _grid(default: Setting, units: Sequence[Mapping[str, Any]], sparsity: float) -> Iterator[Setting]:
    for width, multiple in product(LAMBDAS, SHARES):
        yield Setting("owl", default.unit, {"lambda": width, "M": multiple})


SPECS = (AllocationSpec("owl", _make, grid=_grid, default=lambda units, sparsity: {"lambda": LAMBDA, "M": MULTIPLE}),)
