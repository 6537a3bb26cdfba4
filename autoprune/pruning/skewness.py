"""Skewness of weight magnitudes: streaming central moments in float64 (FIELD: SDSA, item 1)."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

RELATIVE_EPS = 1e-12
"""Avoids division by zero for constant tensors; relative to the mean square, so that skewness is scale-invariant."""

CHUNK = 1 << 20


@dataclass(frozen=True)
class Moments:
    """Count, mean and the sums of squared and cubed deviations of a sample; `a + b` is the pooled sample."""

    count: int = 0
    mean: float = 0.0
    sum2: float = 0.0
    sum3: float = 0.0

    def __add__(self, other: "Moments") -> "Moments":
        """Pairwise update of central moments (Chan, Golub, LeVeque 1979; third order: Pebay 2008)."""
        if self.count == 0 or other.count == 0:
            return self if other.count == 0 else other
        n, a, b = self.count + other.count, self.count, other.count
        step = other.mean - self.mean
        return Moments(
            count=n,
            mean=self.mean + step * b / n,
            sum2=self.sum2 + other.sum2 + step * step * a * b / n,
            sum3=self.sum3
            + other.sum3
            + step**3 * a * b * (a - b) / (n * n)
            + 3.0 * step * (a * other.sum2 - b * self.sum2) / n,
        )

    @property
    def skewness(self) -> float:
        """m3 / (m2 + eps)^(3/2) with m_k the central moments; 0 for an empty or constant sample."""
        if self.count == 0:
            return 0.0
        m2, m3 = self.sum2 / self.count, self.sum3 / self.count
        guarded = m2 + RELATIVE_EPS * (m2 + self.mean * self.mean)
        return m3 / guarded**1.5 if guarded > 0.0 else 0.0


def moments(values: Tensor) -> Moments:
    """Central moments of all entries of a tensor of any shape and real dtype, in float64, a chunk at a time."""
    total = Moments()
    for chunk in values.detach().reshape(-1).split(CHUNK):
        exact = chunk.double()
        mean = exact.mean()
        deviation = exact.sub_(mean)
        squared = deviation.square()
        total = total + Moments(chunk.numel(), float(mean), float(squared.sum()), float(torch.dot(squared, deviation)))
    return total


def skewness(values: Tensor) -> float:
    """Skewness of all entries of a tensor of any shape (oracles: |N(0,1)| 0.9953, |Laplace| 2, |uniform| 0)."""
    return moments(values).skewness


def weight_skewness(weight: Tensor) -> float:
    """Skewness of |W|, the signal of the allocation sdsa-paper; needs no data."""
    return skewness(weight.detach().abs())


def surviving_skewness(weight: Tensor) -> float:
    """Skewness of |W| over the weights that are not zero, that is, without those pruned in earlier stages."""
    size = weight.detach().abs()
    return skewness(torch.masked_select(size, size > 0))


def unit_skewness(matrices: Iterable[tuple[int, float]]) -> float:
    """A unit's skewness from its matrices' (size, skewness): the size-weighted mean.

    Pooling the raw values instead would create skewness from differences in scale between the matrices.
    """
    pairs = list(matrices)
    size = sum(count for count, _ in pairs)
    return math.fsum(count * value for count, value in pairs) / size if size else 0.0
