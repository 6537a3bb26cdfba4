"""Uniform allocation: every unit gets the target sparsity."""

from collections.abc import Mapping, Sequence
from typing import Any

from autoprune.pruning.allocation.spec import AllocationSpec, Made


def uniform(units: Sequence[Mapping[str, Any]], sparsity: float) -> list[float]:
    """The same density for every unit."""
    return [1.0 - sparsity] * len(units)


SPECS = (AllocationSpec("uniform", lambda parameters: Made(uniform)),)
