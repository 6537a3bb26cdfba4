"""The exact budget: projecting raw densities onto a box with a fixed mean, and rounding by largest remainder."""

import math
from collections.abc import Callable, Sequence

from autoprune.errors import UsageError

LARGEST_RAW = 1e6
"""Limit of raw densities, beyond which adding the common shift would lose digits of the budget."""

ROUNDING = 1e-12
"""Tolerance of the sums of bounds for floating-point errors."""


def total_zeros(sparsity: float, weights: int) -> int:
    """The number of zeros for a sparsity in [0, 1]: round(s N)."""
    if not 0.0 <= sparsity <= 1.0:
        raise UsageError(f"sparsity {sparsity} is not between 0 and 1")
    return round(sparsity * weights)


def project(
    raw_densities: Sequence[float],
    sizes: Sequence[int],
    sparsity: float,
    lo: float | Sequence[float] = 0.0,
    hi: float | Sequence[float] = 1.0,
) -> list[float]:
    """Densities d_u = clip(raw_u + mu, lo, hi) with sum n_u d_u = (1 - s) N (FIELD: SDSA, items 4 and 5).

    Bounds are common or per unit; common bounds preserve the order of the densities. Raises UsageError if the box
    cannot hold the budget, or a raw density is not finite or too large.
    """
    count = len(sizes)
    if len(raw_densities) != count or not count:
        raise UsageError(f"{len(raw_densities)} densities were given for {count} units")
    if min(sizes) <= 0:
        raise UsageError("every unit must hold at least one weight")
    if not all(math.isfinite(raw) and abs(raw) <= LARGEST_RAW for raw in raw_densities):
        raise UsageError(f"densities must be finite and at most {LARGEST_RAW:g} in size")
    lows = [lo] * count if isinstance(lo, int | float) else list(lo)
    highs = [hi] * count if isinstance(hi, int | float) else list(hi)
    density, weights = 1.0 - sparsity, sum(sizes)
    least, most = (math.fsum(n * bound for n, bound in zip(sizes, box, strict=True)) / weights for box in (lows, highs))
    inside = all(0.0 <= low <= high <= 1.0 for low, high in zip(lows, highs, strict=True))
    if not inside or not least - ROUNDING <= density <= most + ROUNDING:
        raise UsageError(
            f"a mean density of {density:.4g} does not lie in the allowed range {least:.4g} to {most:.4g}; "
            "widen delta or the limits on sparsity"
        )
    units = list(zip(raw_densities, sizes, lows, highs, strict=True))

    def budget_at(shift: float) -> float:
        return math.fsum(n * min(max(raw + shift, low), high) for raw, n, low, high in units)

    breakpoints = sorted({bound - raw for raw, _, low, high in units for bound in (low, high)})
    shift = _root(budget_at, density * weights, breakpoints)
    return [min(max(raw + shift, low), high) for raw, _, low, high in units]


def unit_zeros(
    densities: Sequence[float], sizes: Sequence[int], sparsity: float, floors: Sequence[int] | None = None
) -> list[int]:
    """Zeros per unit, in total exactly round(s N), from densities on the budget. `floors`: existing zeros per unit."""
    shares = [(1.0 - density) * n for density, n in zip(densities, sizes, strict=True)]
    return largest_remainder(shares, total_zeros(sparsity, sum(sizes)), sizes, floors)


def matrix_zeros(zeros: int, sizes: Sequence[int], floors: Sequence[int] | None = None) -> list[int]:
    """Distribute a unit's zeros over its matrices in proportion to their sizes, in total exactly `zeros`."""
    weights = sum(sizes)
    return largest_remainder([zeros * n / weights for n in sizes], zeros, sizes, floors)


def largest_remainder(
    shares: Sequence[float], total: int, caps: Sequence[int], floors: Sequence[int] | None = None
) -> list[int]:
    """Round `shares` to integers between their floors (0) and caps that sum to `total`.

    The largest remainders are rounded up, with ties in favour of earlier entries. Excess at a bound is distributed one
    by one over the other entries. Raises UsageError if `total` does not fit between the bounds.
    """
    lows = floors or [0] * len(caps)
    if not sum(lows) <= total <= sum(caps):
        raise UsageError(f"{total} zeros do not fit between the {sum(lows)} that are there and {sum(caps)} weights")
    counts = [min(max(math.floor(share), low), cap) for share, low, cap in zip(shares, lows, caps, strict=True)]
    missing = total - sum(counts)
    step = 1 if missing > 0 else -1
    by_remainder = sorted(range(len(counts)), key=lambda i: step * (counts[i] - shares[i]))
    while missing:
        for i in by_remainder:
            if missing and lows[i] <= counts[i] + step <= caps[i]:
                counts[i] += step
                missing -= step
    return counts


def _root(function: Callable[[float], float], target: float, breakpoints: list[float]) -> float:
    """The argument where a piecewise linear, non-decreasing function with these breakpoints reaches the target."""
    first, last = 0, len(breakpoints) - 1
    while last - first > 1:
        middle = (first + last) // 2
        if function(breakpoints[middle]) <= target:
            first = middle
        else:
            last = middle
    left, right = breakpoints[first], breakpoints[last]
    below, above = function(left), function(right)
    if above <= below:
        return left
    return left + (right - left) * min(max((target - below) / (above - below), 0.0), 1.0)
