"""Density by the role of a unit's matrices: a shape for candidates, of this project's own making."""

from collections.abc import Mapping, Sequence
from typing import Any

from autoprune.pruning.allocation.budget import project


def by_role(units: Sequence[Mapping[str, Any]], sparsity: float, factors: Mapping[str, float]) -> list[float]:
    """Densities on the budget from each unit's `size` and `role`: 1 - s times the factor of the role, 1 without one."""
    raw = [(1.0 - sparsity) * factors.get(unit["role"], 1.0) for unit in units]
    return project(raw, [unit["size"] for unit in units], sparsity)
